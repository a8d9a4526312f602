"""MultiScale-SelfCutMix of the paper: tumour regions of a series pasted into slices of the same series.

Images are (Y, X) float32 grey values 0..255; boxes (n, 4) float32 as x0, y0, x1, y1 in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from inference.wff.training.augmentation import Boxes, areas, require_range
from inference.wff.training.tables import key


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCutMix:
    """MultiScale-SelfCutMix: rescaled tumour regions of a series pasted into a slice of the same series."""

    probability: float = key(0.5, "share of the lesion slices that get a paste", least=0.0, most=1.0)
    maximum_pastes: int = key(2, "per slice", least=1, most=100)
    scale: tuple[float, float] = key((0.5, 1.0), "of width and height, drawn apart (the paper's range)")
    reach: float = key(
        0.15, 'of the image width, round the lesions of the slice: "near the spine"', least=0.0, most=1.0
    )
    overlap: float = key(0.1, "IoU with every other box stays below", least=0.0, most=1.0)
    cover: float = key(
        0.2,
        "share of the area of any other box that is pasted over at most: a small lesion is not hidden",
        least=0.0,
        most=1,
    )

    def __post_init__(self) -> None:
        require_range("scale", self.scale)


NO_CUT_MIX = SelfCutMix(probability=0.0)


@dataclass(frozen=True, slots=True)
class Patch:
    """A labelled tumour region cut from a slice of the same series."""

    pixels: NDArray[np.float32]  # (h, w)


_PASTE_ATTEMPTS = 10  # places tried before a paste is given up
_MINIMUM_PATCH = 4  # pixels


def cut_patches(image: NDArray[np.float32], boxes: Boxes) -> list[Patch]:
    """The pixels under each box, edges rounded outward."""
    patches = []
    for x0, y0, x1, y1 in boxes:
        pixels = image[max(0, int(y0)) : int(np.ceil(y1)), max(0, int(x0)) : int(np.ceil(x1))]
        if min(pixels.shape) >= _MINIMUM_PATCH:
            patches.append(Patch(pixels.copy()))
    return patches


def self_cut_mix(
    image: NDArray[np.float32],
    boxes: Boxes,
    patches: Sequence[Patch],
    config: SelfCutMix,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], Boxes]:
    """Paste one or two rescaled tumour regions of the same series near the spine; their boxes are added.

    The column of a paste lies within `reach` of the centres of the case's boxes, its row anywhere in the inner
    80 %. Source: MultiScale-SelfCutMix of the paper; probability, count and place are chosen here.
    """
    if not patches or not len(boxes) or rng.random() >= config.probability:
        return image, boxes
    centre_x = float(boxes[:, [0, 2]].mean())
    mixed = image.copy()
    room = config.cover * areas(boxes)  # pixels of each box that may still be pasted over
    for _ in range(int(rng.integers(1, config.maximum_pastes + 1))):
        patch = patches[int(rng.integers(len(patches)))]
        height, width = (max(_MINIMUM_PATCH, round(n * rng.uniform(*config.scale))) for n in patch.pixels.shape)
        place = _free_place(mixed.shape, (height, width), centre_x, (boxes, room), config, rng)
        if place is None:
            continue
        x, y = place
        mixed[y : y + height, x : x + width] = _resized(patch.pixels, height, width)
        pasted = np.array([[x, y, x + width, y + height]], dtype=np.float32)
        room = np.append(room - _shared(pasted[0], boxes), config.cover * areas(pasted))
        boxes = np.vstack((boxes, pasted))
    return mixed, boxes


def _free_place(
    shape: tuple[int, ...],
    size: tuple[int, int],
    centre_x: float,
    others: tuple[Boxes, NDArray[np.float32]],
    config: SelfCutMix,
    rng: np.random.Generator,
) -> tuple[int, int] | None:
    """Top left corner (x, y) of a free place for a patch of `size` (height, width), or None.

    `others`: the boxes of the slice, and the area of each that may be pasted over. A large paste can hide a small
    lesion whole though their IoU is small; its label would then name nothing.
    """
    rows, columns = shape
    boxes, room = others
    height, width = size
    for _ in range(_PASTE_ATTEMPTS):
        x = round(centre_x + rng.uniform(-1, 1) * config.reach * columns - width / 2)
        y = round(rng.uniform(0.1, 0.9) * rows - height / 2)
        if x < 0 or y < 0 or x + width > columns or y + height > rows:
            continue
        placed = np.array([x, y, x + width, y + height], dtype=np.float32)
        if overlaps(placed, boxes).max(initial=0.0) < config.overlap and (_shared(placed, boxes) <= room).all():
            return x, y
    return None


def overlaps(box: NDArray[np.float32], boxes: Boxes) -> NDArray[np.float32]:
    """IoU of one box (4,) with each of (n, 4)."""
    shared = _shared(box, boxes)
    union = areas(boxes) + (box[2:] - box[:2]).prod() - shared
    iou: NDArray[np.float32] = shared / np.maximum(union, np.float32(1e-6))
    return iou


def _shared(box: NDArray[np.float32], boxes: Boxes) -> NDArray[np.float32]:
    """Area that one box (4,) has in common with each of (n, 4)."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared: NDArray[np.float32] = np.clip(high - low, 0, None).prod(axis=1)
    return shared


def _resized(pixels: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    x = torch.from_numpy(pixels)[None, None]
    resized: NDArray[np.float32] = functional.interpolate(
        x, size=(height, width), mode="bilinear", antialias=True, align_corners=False
    )[0, 0].numpy()
    return resized
