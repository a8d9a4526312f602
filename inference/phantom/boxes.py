"""Ground-truth boxes: what a careful reader would draw around the 3-D mask on each slice."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from inference.findings import Box
from inference.phantom.lesions.painting import LesionMask

# Source: phantom specification, item 6: at least 12 px at 512 px, and more than .35 of the largest cross-section.
_MINIMUM_SIDE: Final = 12 / 512  # of the matrix, so that the millimetres stay the same
_LEAST_PIXELS: Final = 3.0  # nobody draws a smaller rectangle, and no loader takes one
_MINIMUM_COVERAGE: Final = 0.35


def boxes_per_slice(masks: Sequence[LesionMask], slices: int, *, matrix: int) -> tuple[tuple[Box, ...], ...]:
    """Boxes of each slice, lesions in order; outer-corner pixel convention of `Box`."""
    found: list[list[Box]] = [[] for _ in range(slices)]
    for mask in masks:
        area = mask.voxels.sum(axis=(1, 2))
        if area.size == 0:
            continue
        for offset in np.flatnonzero(area > _MINIMUM_COVERAGE * area.max()):
            box = _bounding_box(mask, int(offset))
            if min(box.x1 - box.x0, box.y1 - box.y0) >= max(_LEAST_PIXELS, _MINIMUM_SIDE * matrix):
                found[mask.index[0].start + int(offset)].append(box)
    return tuple(tuple(boxes) for boxes in found)


def _bounding_box(mask: LesionMask, offset: int) -> Box:
    rows = np.flatnonzero(mask.voxels[offset].any(axis=1)) + mask.index[1].start
    columns = np.flatnonzero(mask.voxels[offset].any(axis=0)) + mask.index[2].start
    return Box(x0=float(columns[0]), y0=float(rows[0]), x1=float(columns[-1] + 1), y1=float(rows[-1] + 1))
