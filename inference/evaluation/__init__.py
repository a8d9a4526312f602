"""Measured numbers and how sure they are."""
