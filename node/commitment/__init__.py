"""Storage commitment (PS3.4 annex J), in both directions, and asking archives what they hold."""
