"""Sets of phantom patients on disk: made by all cores, resumed after a stop, the same bytes every time."""
