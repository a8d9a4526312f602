"""Segmentations of the boxes."""
