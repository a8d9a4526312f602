"""The level table of the spine: sizes of every vertebra, and how a patient's list of levels is drawn.

Lengths in mm. Source: phantom specification, item 1 (ends of the ranges); values between are chosen.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from inference.datasets import SpineRegion

_COUNT_VARIANT: Final = 0.05  # probability of four or six lumbar vertebrae
_REGION_OF_LETTER: Final = {
    "C": SpineRegion.CERVICAL,
    "T": SpineRegion.THORACIC,
    "L": SpineRegion.LUMBAR,
    "S": SpineRegion.SACRAL,
}


@dataclass(frozen=True, slots=True)
class Level:
    """Mean sizes of one vertebra and of the disc above it."""

    name: str
    height: float  # of the body
    depth: float  # of the body, front to back
    width: float  # of the body
    disc: float  # height of the disc above
    canal: float  # depth of the bony canal
    spinous: tuple[float, float, float]  # process: length, half height, droop (mm down per mm back)

    @property
    def region(self) -> SpineRegion:
        return region_of(self.name)


_TABLE: Final[dict[str, Level]] = {
    level.name: level
    for level in (
        Level("CO", 16.0, 8.0, 12.0, 1.5, 3.0, (0.0, 0.0, 0.0)),
        Level("S5", 14.0, 9.0, 20.0, 0.6, 5.0, (0.0, 0.0, 0.0)),
        Level("S4", 16.0, 11.5, 24.0, 0.6, 7.0, (3.0, 3.5, 0.2)),
        Level("S3", 18.0, 15.0, 30.0, 0.9, 9.0, (6.0, 5.0, 0.2)),
        Level("S2", 22.0, 20.0, 40.0, 2.2, 12.0, (9.0, 6.0, 0.2)),
        Level("S1", 28.0, 30.0, 50.0, 9.5, 16.0, (12.0, 6.5, 0.2)),
        Level("L6", 27.5, 34.5, 52.0, 10.5, 16.5, (19.0, 6.5, 0.15)),
        Level("L5", 28.0, 35.0, 52.0, 11.0, 16.5, (19.0, 7.0, 0.15)),
        Level("L4", 28.0, 35.0, 50.0, 11.0, 16.5, (24.0, 9.5, 0.15)),
        Level("L3", 28.0, 34.5, 48.0, 10.2, 16.5, (26.0, 10.5, 0.12)),
        Level("L2", 27.5, 33.5, 46.0, 9.2, 16.5, (26.0, 10.0, 0.12)),
        Level("L1", 27.0, 32.5, 44.0, 8.0, 16.5, (24.0, 9.0, 0.2)),
        Level("T12", 26.0, 31.0, 42.0, 6.8, 16.0, (21.0, 7.5, 0.3)),
        Level("T11", 24.5, 30.0, 38.0, 5.8, 15.5, (20.0, 6.0, 0.5)),
        Level("T10", 23.0, 29.0, 35.0, 5.0, 15.0, (20.0, 5.0, 0.8)),
        Level("T9", 22.0, 28.0, 33.0, 4.5, 15.0, (20.0, 4.6, 1.0)),
        Level("T8", 21.0, 27.0, 32.0, 4.3, 15.0, (20.0, 4.5, 1.15)),
        Level("T7", 20.5, 26.0, 31.0, 4.0, 15.0, (20.0, 4.5, 1.2)),
        Level("T6", 20.0, 25.0, 30.0, 4.0, 15.0, (20.0, 4.5, 1.15)),
        Level("T5", 19.3, 23.5, 29.0, 3.8, 15.0, (20.0, 4.5, 1.05)),
        Level("T4", 18.8, 22.0, 28.5, 3.8, 15.0, (21.0, 4.5, 0.9)),
        Level("T3", 18.3, 20.5, 28.5, 3.7, 15.0, (22.0, 4.6, 0.75)),
        Level("T2", 17.8, 19.0, 29.0, 3.8, 15.0, (24.0, 4.8, 0.6)),
        Level("T1", 17.0, 18.0, 30.0, 4.6, 15.0, (27.0, 5.2, 0.5)),
        Level("C7", 14.8, 17.6, 28.0, 5.3, 14.5, (26.0, 5.0, 0.45)),
        Level("C6", 13.6, 17.2, 26.0, 5.4, 14.0, (18.0, 4.4, 0.5)),
        Level("C5", 13.4, 16.6, 24.0, 5.2, 14.0, (13.0, 4.0, 0.4)),
        Level("C4", 13.6, 16.3, 22.5, 5.0, 14.0, (12.0, 4.0, 0.35)),
        Level("C3", 14.0, 16.0, 21.0, 4.8, 14.5, (12.0, 4.2, 0.35)),
        Level("C2", 17.0, 16.0, 19.5, 1.0, 16.0, (16.0, 6.0, 0.3)),
    )
}
SACRAL: Final = frozenset({"CO", "S1", "S2", "S3", "S4", "S5"})


def region_of(level: str) -> SpineRegion:
    """Region of a level's name; the coccyx counts as sacral."""
    return SpineRegion.SACRAL if level == "CO" else _REGION_OF_LETTER[level[0]]


def draw_levels(rng: np.random.Generator) -> tuple[Level, ...]:
    """A patient's levels from caudal to cranial: five lumbar ones, in one of twenty patients four or six."""
    drawn = float(rng.random())
    left_out = {"L6"}
    if drawn < _COUNT_VARIANT / 2:
        left_out = set()
    elif drawn < _COUNT_VARIANT:
        left_out = {"L6", "L5"}
    return tuple(level for name, level in _TABLE.items() if name not in left_out)
