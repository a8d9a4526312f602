"""What training does to slices and clips: a narrower field of view, movement, other grey values.

All functions take the generator they draw from. Images are (Y, X) float32 grey values 0..255; boxes (n, 4) float32 as
x0, y0, x1, y1 in pixels.
"""

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
class FieldOfView:
    """A part of the rows and columns, where vertebrae are cut by the edge as they are in a narrow field of view."""

    probability: float = key(0.0, "of a slice to be narrowed", least=0.0, most=1.0)
    kept: tuple[float, float] = key((0.6, 1.0), "of the rows and, drawn apart, of the columns")
    blank_probability: float = key(
        0.5,
        "the rest is black, as scanners fill a rectangle up to a square, instead of cut off",
        least=0.0,
        most=1.0,
    )
    visible: float = key(0.4, "a box that keeps less of its area inside is dropped", least=0.0, most=1.0)

    def __post_init__(self) -> None:
        require_range("kept", self.kept)
        if self.kept[1] > 1.0:
            raise ValueError(f"kept is {list(self.kept)}, expected shares of at most 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """Scale about the centre, shift, flip."""

    scale: tuple[float, float] = key((0.8, 1.2), "of the whole slice, about its centre")
    shift: float = key(0.08, "at most, as a share of the side", least=0.0, most=0.5)
    flip_probability: float = key(0.0, "front to back; the spine is not symmetric that way", least=0.0, most=1.0)
    visible: float = key(0.4, "a box that keeps less of its area inside the image is dropped", least=0.0, most=1.0)

    def __post_init__(self) -> None:
        require_range("scale", self.scale)


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
    shading: float = key(
        0.0, "at most, of each coefficient of the logarithm of a smooth coil profile", least=0.0, most=3.0
    )

    def __post_init__(self) -> None:
        require_range("gamma", self.gamma)
        require_range("gain", self.gain)


def require_range(name: str, values: tuple[float, ...]) -> None:
    if len(values) != 2 or not 0.0 < values[0] <= values[1] <= _LARGEST_FACTOR:
        raise ValueError(f"{name} is {list(values)}, expected [lowest, highest] above 0, at most {_LARGEST_FACTOR:g}")


WHOLE_FIELD_OF_VIEW = FieldOfView(probability=0.0)
NO_MOVEMENT = Movement(scale=(1.0, 1.0), shift=0.0)
NO_CLIP_MOVEMENT = ClipMovement()
NO_GREY_CHANGES = GreyChanges(gamma=(1.0, 1.0), gain=(1.0, 1.0), noise_sd=0.0, blur_probability=0.0)


def areas(boxes: Boxes) -> NDArray[np.float32]:
    found: NDArray[np.float32] = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return found


def narrow(
    image: NDArray[np.float32], boxes: Boxes, config: FieldOfView, rng: np.random.Generator
) -> tuple[NDArray[np.float32], Boxes]:
    """Cut the slice to a rectangle, or blank what lies outside of it. Boxes end where the rectangle does."""
    if config.probability == 0.0 or rng.random() >= config.probability:
        return image, boxes
    sides = np.array(image.shape)
    kept = np.maximum(1, np.round(sides * rng.uniform(*config.kept, size=2))).astype(int)
    top, left = first = rng.integers(0, sides - kept + 1)
    bottom, right = first + kept
    clipped = np.clip(boxes, (left, top, left, top), (right, bottom, right, bottom)).astype(np.float32)
    inside = clipped[_is_visible(clipped, boxes, config.visible)]
    part = image[top:bottom, left:right]
    if rng.random() >= config.blank_probability:
        return part, inside - np.array((left, top, left, top), dtype=np.float32)
    blanked = np.zeros_like(image)
    blanked[top:bottom, left:right] = part
    return blanked, inside


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
    return moved, clipped[_is_visible(clipped, full, config.visible)]


def _is_visible(clipped: Boxes, whole: Boxes, least: float) -> NDArray[np.bool_]:
    """(n,) whether a box keeps that share of its area; one without area shows nothing, whatever was asked."""
    return (areas(clipped) > 0.0) & (areas(clipped) >= least * areas(whole))


def change_grey_values(x: Tensor, config: GreyChanges, rng: np.random.Generator) -> Tensor:
    """Gamma, gain, shading, blur and noise on grey values 0..255 of any shape (.., Y, X)."""
    gamma = float(np.exp(rng.uniform(*np.log(config.gamma))))
    gain = float(rng.uniform(*config.gain))
    changed = 255.0 * (x.clamp(0, 255) / 255.0) ** gamma * gain
    if config.shading > 0.0:
        changed = changed * _coil_profile(x.shape[-2], x.shape[-1], config.shading, rng)
    if rng.random() < config.blur_probability:
        changed = functional.avg_pool2d(changed, 3, stride=1, padding=1, count_include_pad=False)
    sd = float(rng.uniform(0, config.noise_sd))
    noise = torch.from_numpy(rng.standard_normal(tuple(x.shape), dtype=np.float32))
    return (changed + sd * noise).clamp(0, 255)


def _coil_profile(rows: int, columns: int, most: float, rng: np.random.Generator) -> Tensor:
    """(Y, X), of mean 1: the exponential of a polynomial of second degree over -1..1."""
    y, x = torch.linspace(-1, 1, rows)[:, None], torch.linspace(-1, 1, columns)[None, :]
    a, b, c, d, e = (float(one) for one in rng.uniform(-most, most, 5))
    profile = torch.exp(a * y + b * x + c * y * y + d * x * x + e * x * y)
    return profile / profile.mean()


def _flipped(boxes: Boxes, columns: int) -> Boxes:
    flipped = boxes.copy()
    flipped[:, [0, 2]] = columns - boxes[:, [2, 0]]
    return flipped


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
