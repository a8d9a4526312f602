"""Labelled and found boxes of one image, and how they belong together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.findings import Box


@dataclass(frozen=True, slots=True)
class ScoredBox:
    box: Box
    score: float


@dataclass(frozen=True, slots=True)
class ImageBoxes:
    """`patient` is the place of the patient among those that are evaluated. Boxes in pixels of the image."""

    patient: int
    labelled: tuple[Box, ...]
    found: tuple[ScoredBox, ...]


def overlaps(found: Sequence[ScoredBox], labelled: Sequence[Box]) -> NDArray[np.float64]:
    """Intersection over union of every pair, (found, labelled)."""
    a = np.array([_corners(one.box) for one in found], dtype=np.float64).reshape(-1, 1, 4)
    b = np.array([_corners(one) for one in labelled], dtype=np.float64).reshape(1, -1, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.prod(np.maximum(sides, 0.0), axis=-1)
    union = _areas(a) + _areas(b) - shared
    ratio: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0.0)
    return ratio


def _corners(box: Box) -> tuple[float, float, float, float]:
    return box.x0, box.y0, box.x1, box.y1


def _areas(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = np.prod(np.maximum(corners[..., 2:] - corners[..., :2], 0.0), axis=-1)
    return areas
