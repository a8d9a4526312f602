"""Painters of the spine, and the order in which a scene is painted."""
