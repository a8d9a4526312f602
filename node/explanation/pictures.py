"""Slices with boxes, and crops with the saliency over them. Sizes in picture pixels, origin top left.

The tint is one hue whose opacity grows with the map, and the line round its upper half carries the same without colour.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from inference.findings import Box, Verdict
from inference.wff.reading import DetectedBox
from node.report.pictures.drawing import Colour, draw_box, is_dashed, verdict_colours
from node.report.pictures.slice_picture import pixel_aspect

TINT: Final[Colour] = (240, 228, 66)  # yellow of Okabe and Ito (2008): told from gray by every kind of colour vision
_OPAQUE: Final = 0.62  # where the map is 1: the anatomy below stays visible
_HALF: Final = 0.5  # the line stands where the map crosses this
_WHOLE_HEIGHT, _CROP_HEIGHT = 344, 144
_SURROUNDINGS: Final = 0.35  # of the region's longer side, shown round it on each side
_FRAME: Final[Colour] = (236, 240, 245)
_QUALITY: Final = 88  # JPEG: a page of sixty crops stays small enough to send


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice of a series, as the networks saw it."""

    pixels: NDArray[np.uint8]  # (Y, X)
    boxes: Sequence[DetectedBox]  # that count, in stored pixels
    pixel_spacing_mm: tuple[float, float]  # between rows, between columns


def whole(slice_: Slice, region: Box) -> str:
    """The slice with its boxes and the region that the sequence classifier read, as a data URL."""
    rows, columns = slice_.pixels.shape
    view = _View(slice_, Box(x0=0, y0=0, x1=columns, y1=rows), _WHOLE_HEIGHT)
    picture = view.picture()
    _boxes(picture, view, slice_.boxes, width=2)
    _outline(picture, view, region)
    return _data_url(picture)


def plain(slice_: Slice, region: Box) -> str:
    """The region and its surroundings with the boxes, as a data URL."""
    view = _View(slice_, _round_about(region, slice_.pixels.shape), _CROP_HEIGHT)
    picture = view.picture()
    _boxes(picture, view, slice_.boxes, width=2)
    return _data_url(picture)


def tinted(slice_: Slice, region: Box, saliency: NDArray[np.float32]) -> str:
    """The same part with the map (rows, columns of the region, 0..1) over it, as a data URL."""
    view = _View(slice_, _round_about(region, slice_.pixels.shape), _CROP_HEIGHT)
    picture = view.picture()
    left, top, right, bottom = (round(side) for side in view.place(region))
    size = (max(1, right - left), max(1, bottom - top))
    scaled = np.asarray(Image.fromarray(saliency).resize(size, Image.Resampling.BILINEAR)).clip(0.0, 1.0)
    opacity = Image.fromarray(np.rint(255 * _OPAQUE * scaled).astype(np.uint8))
    picture.paste(Image.new("RGB", size, TINT), (left, top), opacity)
    for mask, colour in ((_edge(scaled, 2), (0, 0, 0)), (_edge(scaled, 1), TINT)):
        picture.paste(Image.new("RGB", size, colour), (left, top), Image.fromarray(255 * mask.astype(np.uint8)))
    _outline(picture, view, region)
    return _data_url(picture)


class _View:
    """A part of a slice enlarged to square pixels of this height."""

    def __init__(self, slice_: Slice, part: Box, height: int) -> None:
        self._part = part
        first_row, last_row, first, last = (round(side) for side in (part.y0, part.y1, part.x0, part.x1))
        self._pixels = slice_.pixels[first_row:last_row, first:last]
        self._y = height / (part.y1 - part.y0)
        self._x = self._y / pixel_aspect(slice_.pixel_spacing_mm)

    def picture(self) -> Image.Image:
        rows, columns = self._pixels.shape
        size = (max(1, round(columns * self._x)), max(1, round(rows * self._y)))
        return Image.fromarray(self._pixels).resize(size, Image.Resampling.BICUBIC).convert("RGB")

    def place(self, box: Box) -> tuple[float, float, float, float]:
        """A box of the slice in this picture: left, top, right, bottom."""
        return (
            (box.x0 - self._part.x0) * self._x,
            (box.y0 - self._part.y0) * self._y,
            (box.x1 - self._part.x0) * self._x,
            (box.y1 - self._part.y0) * self._y,
        )


def _round_about(region: Box, shape: tuple[int, ...]) -> Box:
    """On whole pixels inside the slice."""
    more = round(_SURROUNDINGS * max(region.x1 - region.x0, region.y1 - region.y0))
    rows, columns = shape
    return Box(
        x0=max(0.0, region.x0 - more),
        y0=max(0.0, region.y0 - more),
        x1=min(float(columns), region.x1 + more),
        y1=min(float(rows), region.y1 + more),
    )


def _boxes(picture: Image.Image, view: _View, boxes: Sequence[DetectedBox], *, width: int) -> None:
    colours, draw = verdict_colours("colour_blind_safe"), ImageDraw.Draw(picture)
    for found in boxes:
        draw_box(
            draw,
            view.place(found.box),
            colours[found.verdict],
            width,
            inside=picture.size,
            dashed=is_dashed(found.verdict),
        )


def _outline(picture: Image.Image, view: _View, region: Box) -> None:
    """Thin, and gray: a hue could pass for a verdict."""
    left, top, right, bottom = (round(side) for side in view.place(region))
    ImageDraw.Draw(picture).rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=_FRAME)


def _edge(scaled: NDArray[np.float32], width: int) -> NDArray[np.bool_]:
    """The inner border of the part above one half, `width` pixels wide."""
    above = scaled >= _HALF
    inner = np.pad(above, width, mode="edge")
    rows, columns = above.shape
    kept = above.copy()
    for dy in range(2 * width + 1):
        for dx in range(2 * width + 1):
            kept &= inner[dy : dy + rows, dx : dx + columns]
    return above & ~kept


def verdict_key() -> list[tuple[Verdict, str]]:
    """Each verdict with its colour for CSS."""
    return [(verdict, f"rgb{colour}") for verdict, colour in verdict_colours("colour_blind_safe").items()]


def _data_url(picture: Image.Image) -> str:
    stream = BytesIO()
    picture.save(stream, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
