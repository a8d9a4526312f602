"""From series of a phantom to tiles: middle slices, slices with a lesion, surroundings of a vertebra."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from inference.phantom.gallery.sheet import Sheet, Tile, cropped, grey
from inference.phantom.patient import PhantomSeries

_HALF_MM: Final = 58.0  # shown to each side of a lesion


def slice_tile(series: PhantomSeries, number: int, *, boxes: bool = False) -> Tile:
    return Tile(grey(series.pixels[number], series.window), series.boxes[number] if boxes else ())


def middle_tile(series: PhantomSeries) -> Tile:
    """The slice through the middle of the stack."""
    return slice_tile(series, len(series.pixels) // 2)


def lesion_tiles(series: Sequence[PhantomSeries]) -> list[Tile]:
    """Around the first lesion, in all series at the place where the first series shows most of it."""
    mask = series[0].masks[0]
    largest = int(mask.voxels.sum(axis=(1, 2)).argmax())
    rows, columns = np.nonzero(mask.voxels[largest])
    start = [axis.start for axis in mask.index]
    voxel = (start[0] + largest, start[1] + rows.mean(), start[2] + columns.mean(), 1.0)
    x, y, z, _ = series[0].affine_lps @ voxel
    return [place_tile(one, (float(x), float(y), float(z))) for one in series]


def place_tile(series: PhantomSeries, centre_mm: tuple[float, float, float]) -> Tile:
    """Around a place given in LPS, on the slice through it."""
    k, j, i, _ = np.linalg.inv(series.affine_lps) @ (*centre_mm, 1.0)
    number = int(np.clip(round(float(k)), 0, len(series.pixels) - 1))
    tile = slice_tile(series, number)
    return cropped(tile, (float(i), float(j)), round(_HALF_MM / series.pixel_spacing_mm[0]))


def in_two_columns(title: str, rows: list[list[Tile]], labels: list[str], columns: list[str]) -> Sheet:
    """Labelled triples of tiles, two triples beside each other: the label stands above its triple."""
    half = -(-len(rows) // 2)
    black = Tile(np.zeros_like(rows[0][0].grey))
    rows, labels = rows + [[black] * len(rows[0])] * (2 * half - len(rows)), labels + [""] * (2 * half - len(labels))
    return Sheet(
        title=title,
        rows=[rows[n] + rows[half + n] for n in range(half)],
        row_labels=[""] * half,
        column_labels=columns * 2,
        tile=(132, 132),
        captions=[[labels[n]] + [""] * (len(columns) - 1) + [labels[half + n]] for n in range(half)],
    )
