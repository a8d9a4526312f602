"""Windowed slices -> what the two nets see, and boxes back to the pixels of the image.

Boxes follow `inference.findings.Box`: continuous coordinates from the outer corner of the first pixel, so a resize
by a factor is a multiplication by that factor.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from inference.findings import Box
from inference.wff.config import SequenceConfig

_EPSILON = 1e-5  # of the z-score, against flat images
_MINIMUM_CROP = 4  # pixels; a thinner crop has no texture


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How an image of `rows` x `columns` lies in the top left of a square of `size` pixels."""

    rows: int
    columns: int
    size: int

    @property
    def scale_x(self) -> float:
        return self.fitted[1] / self.columns

    @property
    def scale_y(self) -> float:
        return self.fitted[0] / self.rows

    @property
    def fitted(self) -> tuple[int, int]:
        """Rows and columns inside the square; the longer one fills it."""
        scale = self.size / max(self.rows, self.columns)
        return max(1, round(self.rows * scale)), max(1, round(self.columns * scale))

    def to_square(self, box: Box) -> Box:
        return Box(
            x0=box.x0 * self.scale_x, y0=box.y0 * self.scale_y, x1=box.x1 * self.scale_x, y1=box.y1 * self.scale_y
        )

    def to_image(self, box: Box) -> Box:
        """Back to image pixels, clipped to the image."""
        return Box(
            x0=min(max(box.x0 / self.scale_x, 0.0), self.columns),
            y0=min(max(box.y0 / self.scale_y, 0.0), self.rows),
            x1=min(max(box.x1 / self.scale_x, 0.0), self.columns),
            y1=min(max(box.y1 / self.scale_y, 0.0), self.rows),
        )


def letterbox(images: NDArray[np.uint8], size: int, *, device: torch.device | None = None) -> tuple[Tensor, Letterbox]:
    """(Z, Y, X) uint8 -> (Z, 3, size, size) float32 z-scored slices on `device`; the rest of the square is 0, the mean.

    The grey value is copied to the three channels (a view, not memory).
    """
    frame = Letterbox(images.shape[1], images.shape[2], size)
    x = torch.from_numpy(images.copy()).to(device).float()[:, None]  # bytes travel, not floats
    x = to_square(z_score(fit(x, frame), dims=(1, 2, 3)), frame)
    return x.expand(-1, 3, -1, -1), frame


def fit(x: Tensor, frame: Letterbox) -> Tensor:
    """(Z, 1, rows, columns) -> resized to `frame.fitted`; grey values stay what they are."""
    if frame.fitted == (frame.rows, frame.columns):
        return x
    return functional.interpolate(x, size=frame.fitted, mode="bilinear", antialias=True, align_corners=False)


def to_square(x: Tensor, frame: Letterbox) -> Tensor:
    """(Z, 1, fitted) -> (Z, 1, size, size), filled with 0 right and below."""
    return functional.pad(x, (0, frame.size - x.shape[-1], 0, frame.size - x.shape[-2]))


def z_score(x: Tensor, *, dims: tuple[int, ...]) -> Tensor:
    """(x - mean + e) / (std + e) over `dims`."""
    mean = x.mean(dim=dims, keepdim=True)
    std = x.std(dim=dims, keepdim=True, correction=0)
    scored: Tensor = (x - mean + _EPSILON) / (std + _EPSILON)
    return scored


def fill_to(indices: Sequence[int], count: int) -> list[int]:
    """At least `count` indices: fewer are repeated in turn, then sorted. Five to eight: 0 0 1 1 2 2 3 4."""
    if not indices:
        raise ValueError("no slice to repeat: a clip needs at least one slice")
    if len(indices) >= count:
        return list(indices)
    return sorted(indices[i % len(indices)] for i in range(count))


def pick_slices(voting: Sequence[int], centre: int, count: int) -> list[int]:
    """The `count` slices of a clip from the voting slices (ascending).

    More than `count`: the run of `count` voting slices round `centre` (the slice of the largest box).
    """
    if len(voting) <= count:
        return fill_to(voting, count)
    start = voting.index(centre) - count // 2
    start = min(max(start, 0), len(voting) - count)
    return list(voting[start : start + count])


def crop_region(box: Box, *, rows: int, columns: int, margin: float) -> Box:
    """`box` widened by `margin` of its sides, on whole pixels, inside the image."""
    wide_x, wide_y = margin * (box.x1 - box.x0), margin * (box.y1 - box.y0)
    x0, x1 = _whole(box.x0 - wide_x, box.x1 + wide_x, columns)
    y0, y1 = _whole(box.y0 - wide_y, box.y1 + wide_y, rows)
    return Box(x0=x0, y0=y0, x1=x1, y1=y1)


def clip_of(images: NDArray[np.uint8], region: Box, slices: Sequence[int], config: SequenceConfig) -> Tensor:
    """(Z, Y, X) uint8, a region on whole pixels -> (N, clip_size, clip_size) float32, z-scored over the clip."""
    return z_score(cut_clip(images, region, slices, config), dims=(0, 1, 2))


def cut_clip(images: NDArray[np.uint8], region: Box, slices: Sequence[int], config: SequenceConfig) -> Tensor:
    """The clip in grey values 0..255."""
    x0, y0, x1, y1 = int(region.x0), int(region.y0), int(region.x1), int(region.y1)
    cut = torch.from_numpy(images[list(slices), y0:y1, x0:x1].astype(np.float32))
    size = (config.clip_size, config.clip_size)
    return functional.interpolate(cut[None], size=size, mode="bilinear", antialias=True, align_corners=False)[0]


def _whole(low: float, high: float, limit: int) -> tuple[float, float]:
    """Whole-pixel interval that covers low..high within 0..limit, at least the minimum crop wide."""
    first, last = max(0, int(np.floor(low))), min(limit, int(np.ceil(high)))
    missing = _MINIMUM_CROP - (last - first)
    if missing > 0:
        first = max(0, min(first - missing // 2, limit - _MINIMUM_CROP))
        last = min(limit, first + _MINIMUM_CROP)
    return float(first), float(last)
