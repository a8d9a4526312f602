"""Geometry of image stacks: normals, positions along them, gaps. Millimetres, LPS (x to the patient's left)."""

import math
from collections.abc import Sequence
from typing import Final

from inference.findings import Box
from inference.heads import FrameHead, Vector

SAGITTAL_NORMAL_X: Final = 0.8  # |n.x| of a sagittal slice, i.e. within 37 degrees of the median plane
# Direction cosines have 6 digits or fewer; real files are off by up to 1e-3 (wedge correction, rounding)
UNIT_TOLERANCE: Final = 0.01
# Two images belong to one stack when both axes agree within 1 degree: scanners round, stacks differ by several
PARALLEL_COSINE: Final = math.cos(math.radians(1.0))
SAME_POSITION_MM: Final = 0.1  # the thinnest MR slices are 0.4 mm
# The room of a scanner is a few metres wide; beyond 100 m a position is a broken number, infinity included
FARTHEST_POSITION_MM: Final = 1e5
LARGEST_SPACING_MM: Final = 20.0  # a pixel larger than this is no diagnostic image
CLOSE_RATIO: Final = 1.2  # gaps this near to the smallest one are the usual gap, rounded by the scanner
GAP_RATIO: Final = 1.5  # a gap this much above the usual one misses a slice


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def normal(orientation: Sequence[float]) -> Vector:
    """Unit normal: row direction x column direction; zero where they span no plane. Source: PS3.3 C.7.6.2.1.1."""
    rx, ry, rz, cx, cy, cz = orientation
    n = (ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx)
    length = math.hypot(*n)
    if not 0 < length < math.inf:  # parallel, or numbers too large to multiply: broken files have both
        return (0.0, 0.0, 0.0)
    return (n[0] / length, n[1] / length, n[2] / length)


def box_corners_mm(
    box: Box, *, position_mm: Vector, orientation: Sequence[float], pixel_spacing_mm: tuple[float, float]
) -> tuple[Vector, ...]:
    """Top left, top right, bottom right, bottom left corner of a box on an image, in LPS mm.

    `position_mm` is the centre of the first pixel, half a pixel inside the box (0, 0). Source: PS3.3 C.7.6.2.1.1.
    """
    between_rows, between_columns = pixel_spacing_mm
    row, column = orientation[:3], orientation[3:]

    def point(x: float, y: float) -> Vector:
        along_row, along_column = (x - 0.5) * between_columns, (y - 0.5) * between_rows
        a, b, c = (p + along_row * r + along_column * s for p, r, s in zip(position_mm, row, column, strict=True))
        return a, b, c

    return point(box.x0, box.y0), point(box.x1, box.y0), point(box.x1, box.y1), point(box.x0, box.y1)


def has_geometry(frame: FrameHead) -> bool:
    """True when position, orientation (orthonormal) and pixel spacing are all there and usable."""
    if frame.position_mm is None or frame.orientation is None or frame.pixel_spacing_mm is None:
        return False
    row, column = frame.orientation[:3], frame.orientation[3:]
    orthonormal = (
        abs(math.sqrt(dot(row, row)) - 1) <= UNIT_TOLERANCE
        and abs(math.sqrt(dot(column, column)) - 1) <= UNIT_TOLERANCE
        and abs(dot(row, column)) <= UNIT_TOLERANCE
    )
    return orthonormal and all(0 < spacing <= LARGEST_SPACING_MM for spacing in frame.pixel_spacing_mm)


def is_sagittal(orientation: Sequence[float]) -> bool:
    return abs(normal(orientation)[0]) >= SAGITTAL_NORMAL_X


def is_parallel(a: Sequence[float], b: Sequence[float]) -> bool:
    """True when both image axes point the same way within a degree."""
    return dot(a[:3], b[:3]) >= PARALLEL_COSINE and dot(a[3:], b[3:]) >= PARALLEL_COSINE


def slice_gaps_mm(positions_along_normal_mm: Sequence[float]) -> list[float]:
    """Distances between neighbouring positions in ascending order; repeated positions count once.

    A position beyond `FARTHEST_POSITION_MM`, or one that is no number, is left out.
    """
    gaps, last = [], None
    usable = [position for position in positions_along_normal_mm if abs(position) <= FARTHEST_POSITION_MM]
    for position in sorted(usable):
        if last is None:
            last = position
        elif position - last > SAME_POSITION_MM:
            gaps.append(position - last)
            last = position
    return gaps


def missing_slices(positions_along_normal_mm: Sequence[float]) -> int:
    """How many slices the gaps of a stack lack; 0 for fewer than three positions.

    The usual gap is the mean of those close to the smallest one; repeated positions count once. A slice missing
    at an end leaves no gap, and neither does every second one: this is a lower bound.
    """
    gaps = slice_gaps_mm(positions_along_normal_mm)
    if len(gaps) < 2:
        return 0
    close = [gap for gap in gaps if gap <= min(gaps) * CLOSE_RATIO]
    usual = sum(close) / len(close)
    return sum(round(gap / usual) - 1 for gap in gaps if gap > GAP_RATIO * usual)
