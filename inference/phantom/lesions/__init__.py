"""Tumours and what looks like them: families, solids, insides, mimics."""
