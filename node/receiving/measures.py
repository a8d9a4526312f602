"""Counting, as far as a connection knows of it."""

from typing import Protocol


class Measures(Protocol):
    """Whoever counts: `node.metrics.Metrics`, whose table has the names."""

    def count(self, name: str, by: float = 1, **labels: str) -> None: ...
