"""Pixels of a segmentation: as many as its frames need, those of the box of the lesion and no others."""

from collections.abc import Iterable
from math import ceil, floor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.report.check.boxes import ROUNDING_PX, Corners
from node.report.check.reading import ReadDataset, data, number, text

Mask = NDArray[np.uint8]  # (rows, columns), 0 outside the segment

_BINARY: Final = {
    "BitsAllocated": "1",
    "BitsStored": "1",
    "HighBit": "0",
    "PhotometricInterpretation": "MONOCHROME2",
    "PixelRepresentation": "0",
    "SamplesPerPixel": "1",
    "SegmentationType": "BINARY",
}


def form_faults(dataset: ReadDataset) -> Iterable[str]:
    """Of the attributes that say how the pixels are to be read."""
    for keyword, expected in _BINARY.items():
        if text(dataset, keyword) != expected:
            yield f"{keyword} is not {expected}"


def masks(dataset: ReadDataset) -> list[Mask]:
    """One mask per frame, from single bits (PS3.5 Section 8.1.1); none when there are too few or too many pixels."""
    shape = number(dataset, "NumberOfFrames"), number(dataset, "Rows"), number(dataset, "Columns")
    pixels = data(dataset, "PixelData")
    size = shape[0] * shape[1] * shape[2]
    length = ceil(size / 8)
    if min(shape) < 1 or len(pixels) != length + length % 2:
        return []
    bits = np.unpackbits(np.frombuffer(pixels, dtype=np.uint8), count=size, bitorder="little")
    return list(bits.reshape(shape))


def mask_faults(mask: Mask, corners: Corners) -> Iterable[str]:
    rows, columns = np.nonzero(mask)
    if rows.size == 0:
        yield "is empty"
        return
    x0, y0, x1, y1 = corners
    if columns.min() < floor(x0) or rows.min() < floor(y0) or columns.max() >= ceil(x1) or rows.max() >= ceil(y1):
        yield "reaches beyond the box of its lesion"
    if not mask[_inside(y0, y1, mask.shape[0]), _inside(x0, x1, mask.shape[1])].all():
        yield "does not fill the box of its lesion"


def _inside(start: float, end: float, length: int) -> slice:
    """Pixels whose centres lie in the box beyond doubt; pixel i reaches from i to i + 1. None in a very narrow box."""
    first, stop = ceil(start - 0.5 + ROUNDING_PX), ceil(end - 0.5 - ROUNDING_PX)
    return slice(max(0, first), max(0, min(length, stop)))
