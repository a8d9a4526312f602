"""A sheet of grey tiles with labels, saved as a small PNG."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from inference.findings import Box

NOTICE: Final = "synthetic phantom, no clinical meaning"
LARGEST_BYTES: Final = 150_000
_SHADES: Final = (96, 64, 48, 32, 24, 16)  # tried in turn: noise makes a PNG large, and few shades show a phantom
_GAP: Final = 3
_LABEL: Final = 15
_SIDE: Final = 92  # of the column of row labels
_BOX_GREY: Final = 255


@dataclass(frozen=True, eq=False)
class Tile:
    """One picture: grey values (Y, X) uint8, and boxes in its own pixels."""

    grey: NDArray[np.uint8]
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Sheet:
    """Rows of tiles, every one shown as large as `tile` (width, height); labels may be empty."""

    title: str
    rows: Sequence[Sequence[Tile]]
    row_labels: Sequence[str]
    column_labels: Sequence[str]
    tile: tuple[int, int]
    captions: Sequence[Sequence[str]] = ()  # one per tile, written into its upper edge; rows may be short

    def image(self) -> Image.Image:
        width, height = self.tile
        columns = max(len(row) for row in self.rows)
        left = _SIDE if any(self.row_labels) else 0
        top = 2 * _LABEL + 4 + (_LABEL if any(self.column_labels) else 0)
        size = (left + columns * (width + _GAP), top + len(self.rows) * (height + _GAP))
        page = Image.new("L", size, 0)
        pen = ImageDraw.Draw(page)
        pen.text((4, 2), self.title, fill=255, font=_font(13))
        pen.text((4, 2 + _LABEL), NOTICE, fill=170, font=_font(11))
        for column, label in enumerate(self.column_labels):
            pen.text((left + column * (width + _GAP) + 3, top - _LABEL), label, fill=220, font=_font(11))
        for number, (row, label) in enumerate(zip(self.rows, self.row_labels, strict=True)):
            y = top + number * (height + _GAP)
            pen.multiline_text((4, y + 3), label, fill=220, font=_font(11))
            for column, tile in enumerate(row):
                page.paste(_shown(tile, self.tile), (left + column * (width + _GAP), y))
        self._write_captions(pen, left, top)
        return page

    def _write_captions(self, pen: ImageDraw.ImageDraw, left: int, top: int) -> None:
        width, height = self.tile
        for number, row in enumerate(self.captions):
            for column, caption in enumerate(row):
                place = (left + column * (width + _GAP) + 3, top + number * (height + _GAP) + 1)
                pen.text(place, caption, fill=255, font=_font(11), stroke_width=2, stroke_fill=0)

    def save(self, path: Path) -> None:
        """Write a PNG of at most `LARGEST_BYTES`, with as many shades as fit."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(small_png(self.image()))


def small_png(page: Image.Image) -> bytes:
    """The page in as many greys as fit into `LARGEST_BYTES`, smaller where even the fewest do not."""
    while True:
        for shades in _SHADES:
            step = 255.0 / (shades - 1)
            levels = np.rint(np.rint(np.asarray(page) / step) * step).astype(np.uint8)
            content = io.BytesIO()
            Image.fromarray(levels).quantize(shades).save(content, format="PNG", optimize=True)
            if content.tell() <= LARGEST_BYTES:
                return content.getvalue()
        page = page.resize((page.width * 9 // 10, page.height * 9 // 10), Image.Resampling.LANCZOS)


def grey(pixels: NDArray[np.number], window: tuple[float, float]) -> NDArray[np.uint8]:
    """Values under a window (centre, width) -> 0..255."""
    centre, width = window
    scaled = (pixels.astype(np.float32) - np.float32(centre - width / 2)) * np.float32(255.0 / width)
    shown: NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return shown


def cropped(tile: Tile, centre: tuple[float, float], half: int) -> Tile:
    """A square of 2 x `half` pixels around (x, y); black outside the image."""
    x, y = round(centre[0]), round(centre[1])
    padded = np.pad(tile.grey, half)
    boxes = tuple(
        Box(x0=box.x0 - x + half, y0=box.y0 - y + half, x1=box.x1 - x + half, y1=box.y1 - y + half)
        for box in tile.boxes
    )
    return Tile(padded[y : y + 2 * half, x : x + 2 * half], boxes)


def _shown(tile: Tile, size: tuple[int, int]) -> Image.Image:
    picture = Image.fromarray(tile.grey).resize(size, Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(picture)
    along, down = size[0] / tile.grey.shape[1], size[1] / tile.grey.shape[0]
    for box in tile.boxes:
        pen.rectangle((box.x0 * along, box.y0 * down, box.x1 * along, box.y1 * down), outline=_BOX_GREY)
    return picture


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
