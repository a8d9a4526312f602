"""What training does to slices: MultiScale-SelfCutMix of the paper, scale, shift and grey-value changes.

All functions take the generator they draw from. Images are (Y, X) float32 grey values 0..255; boxes (n, 4) float32 as
x0, y0, x1, y1 in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from inference.wff.training.tables import key

Boxes = NDArray[np.float32]

_LARGEST_FACTOR = 100.0  # of a size or a grey value


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
        _require_range("scale", self.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """Scale about the centre, shift, flip."""

    scale: tuple[float, float] = key((0.8, 1.2), "of the whole slice, about its centre")
    shift: float = key(0.08, "at most, as a share of the side", least=0.0, most=0.5)
    flip_probability: float = key(0.0, "front to back; the spine is not symmetric that way", least=0.0, most=1.0)
    visible: float = key(0.4, "a box that keeps less of its area inside the image is dropped", least=0.0, most=1.0)

    def __post_init__(self) -> None:
        _require_range("scale", self.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipMovement:
    """Mirror, flip, turn and stretch a clip."""

    mirror_probability: float = key(
        0.0, "slices in reverse order: the body's left and right change places", least=0, most=1
    )
    flip_probability: float = key(0.0, "head to foot; the spine is not symmetric that way", least=0.0, most=1.0)
    turn_degrees: float = key(0.0, "at most, either way, in the plane of the slices", least=0.0, most=180.0)
    stretch: float = key(0.0, "at most, of both sides alike, as a share", least=0.0, most=0.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class GreyChanges:
    """Grey values 0..255."""

    gamma: tuple[float, float] = key((0.8, 1.25), "exponent of the grey values")
    gain: tuple[float, float] = key((0.85, 1.15), "factor of the grey values")
    noise_sd: float = key(6.0, "at most, in grey values of 0..255", least=0.0, most=255.0)
    blur_probability: float = key(0.2, "3 x 3 mean", least=0.0, most=1.0)

    def __post_init__(self) -> None:
        _require_range("gamma", self.gamma)
        _require_range("gain", self.gain)


def _require_range(name: str, values: tuple[float, ...]) -> None:
    if len(values) != 2 or not 0.0 < values[0] <= values[1] <= _LARGEST_FACTOR:
        raise ValueError(f"{name} is {list(values)}, expected [lowest, highest] above 0, at most {_LARGEST_FACTOR:g}")


NO_CUT_MIX = SelfCutMix(probability=0.0)
NO_MOVEMENT = Movement(scale=(1.0, 1.0), shift=0.0)
NO_CLIP_MOVEMENT = ClipMovement()
NO_GREY_CHANGES = GreyChanges(gamma=(1.0, 1.0), gain=(1.0, 1.0), noise_sd=0.0, blur_probability=0.0)


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
    room = config.cover * _areas(boxes)  # pixels of each box that may still be pasted over
    for _ in range(int(rng.integers(1, config.maximum_pastes + 1))):
        patch = patches[int(rng.integers(len(patches)))]
        height, width = (max(_MINIMUM_PATCH, round(n * rng.uniform(*config.scale))) for n in patch.pixels.shape)
        place = _free_place(mixed.shape, (height, width), centre_x, (boxes, room), config, rng)
        if place is None:
            continue
        x, y = place
        mixed[y : y + height, x : x + width] = _resized(patch.pixels, height, width)
        pasted = np.array([[x, y, x + width, y + height]], dtype=np.float32)
        room = np.append(room - _shared(pasted[0], boxes), config.cover * _areas(pasted))
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
    union = _areas(boxes) + (box[2:] - box[:2]).prod() - shared
    iou: NDArray[np.float32] = shared / np.maximum(union, np.float32(1e-6))
    return iou


def _shared(box: NDArray[np.float32], boxes: Boxes) -> NDArray[np.float32]:
    """Area that one box (4,) has in common with each of (n, 4)."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared: NDArray[np.float32] = np.clip(high - low, 0, None).prod(axis=1)
    return shared


def move(image: Tensor, boxes: Boxes, config: Movement, rng: np.random.Generator) -> tuple[Tensor, Boxes]:
    """Flip, scale about the centre and shift. image (1, Y, X); what comes in from outside repeats the edge."""
    rows, columns = image.shape[-2:]
    scale = rng.uniform(*config.scale)
    shift_x, shift_y = rng.uniform(-config.shift, config.shift, 2)
    if rng.random() < config.flip_probability:
        image, boxes = image.flip(-1), _flipped(boxes, columns)
    # affine_grid maps output to input in -1..1: in = (out - 2 shift) / scale
    theta = torch.tensor(
        [[1 / scale, 0, -2 * shift_x / scale], [0, 1 / scale, -2 * shift_y / scale]], dtype=image.dtype
    )
    grid = functional.affine_grid(theta[None], [1, 1, rows, columns], align_corners=False)
    moved = functional.grid_sample(image[None], grid, padding_mode="border", align_corners=False)[0]
    side = np.array([columns, rows, columns, rows], dtype=np.float32)
    shift = np.array([shift_x, shift_y, shift_x, shift_y], dtype=np.float32) * side
    full = (boxes - side / 2) * np.float32(scale) + side / 2 + shift
    clipped = np.clip(full, 0, side).astype(np.float32)
    kept = _areas(clipped) >= config.visible * np.maximum(_areas(full), 1e-6)
    return moved, clipped[kept]


def change_grey_values(x: Tensor, config: GreyChanges, rng: np.random.Generator) -> Tensor:
    """Gamma, gain, blur and noise on grey values 0..255 of any shape (.., Y, X)."""
    gamma = float(np.exp(rng.uniform(*np.log(config.gamma))))
    gain = float(rng.uniform(*config.gain))
    changed = 255.0 * (x.clamp(0, 255) / 255.0) ** gamma * gain
    if rng.random() < config.blur_probability:
        changed = functional.avg_pool2d(changed, 3, stride=1, padding=1, count_include_pad=False)
    sd = float(rng.uniform(0, config.noise_sd))
    noise = torch.from_numpy(rng.standard_normal(tuple(x.shape), dtype=np.float32))
    return (changed + sd * noise).clamp(0, 255)


def _flipped(boxes: Boxes, columns: int) -> Boxes:
    flipped = boxes.copy()
    flipped[:, [0, 2]] = columns - boxes[:, [2, 0]]
    return flipped


def _areas(boxes: Boxes) -> NDArray[np.float32]:
    areas: NDArray[np.float32] = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas


def _resized(pixels: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    x = torch.from_numpy(pixels)[None, None]
    resized: NDArray[np.float32] = functional.interpolate(
        x, size=(height, width), mode="bilinear", antialias=True, align_corners=False
    )[0, 0].numpy()
    return resized


def move_clip(clip: Tensor, config: ClipMovement, rng: np.random.Generator) -> Tensor:
    """(N, Y, X) -> the same shape; what lies outside is filled with the nearest edge."""
    if rng.random() < config.mirror_probability:
        clip = clip.flip(0)
    if rng.random() < config.flip_probability:
        clip = clip.flip(1)
    if config.turn_degrees == config.stretch == 0.0:
        return clip
    angle = np.deg2rad(rng.uniform(-config.turn_degrees, config.turn_degrees))
    scale = rng.uniform(1.0 - config.stretch, 1.0 + config.stretch)
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    matrix = torch.tensor([[[cosine, -sine, 0.0], [sine, cosine, 0.0]]], dtype=clip.dtype)
    grid = functional.affine_grid(matrix, [1, *clip.shape], align_corners=False)
    return functional.grid_sample(clip[None], grid, padding_mode="border", align_corners=False)[0]
