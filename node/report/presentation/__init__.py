"""Grayscale Softcopy Presentation States: boxes and words as graphic layers over the source images."""
