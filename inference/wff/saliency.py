"""Where the output of the sequence classifier is sensitive: parts of its clip are covered, one after the other.

Occlusion (Zeiler and Fergus 2014) by captum. It was chosen over gradients because it says what it measured, a change of
the output, has no layer to choose, and its last feature map of one slice and a few pixels would leave Grad-CAM without
a place to point at. It is not a proof: what is covered becomes an image that no scanner makes, and two places that tell
the same hide each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from inference.errors import ExplanationError
from inference.findings import Box
from inference.wff.clips import Clip

Logits = Callable[[Tensor], Tensor]  # clips (B, N, size, size) -> (B, 2): benign, malignant

_SQUARES_ACROSS: Final = 5  # covered squares side by side: a lesion fills the clip, so a fifth is a part of it
_SLICES_COVERED: Final = 4  # at once, at most: through a lesion, not through the whole clip
_TOGETHER: Final = 8  # covered clips in one batch
WEAK: Final = 0.25  # largest change of the log odds below which no place matters much


@dataclass(frozen=True, slots=True)
class Saliency:
    """A map per slice of a clip, in the pixels of the image.

    1 is the place whose covering changes the log odds of malignant most, by `strongest`; 0 changes nothing.
    """

    region: Box  # whole pixels
    slices: tuple[int, ...]  # of the sequence, ascending, each once
    maps: NDArray[np.float32]  # (len(slices), rows, columns) of the region, 0..1
    strongest: float

    @property
    def is_weak(self) -> bool:
        return self.strongest < WEAK


def require_captum() -> None:
    """Raises ExplanationError where the optional library is missing."""
    _occlusion()


def saliency_of(clip: Clip, logits: Logits) -> Saliency:
    """Raises ExplanationError where captum is missing."""
    strength = clip_saliency(clip.values, logits)
    strongest = float(strength.max())
    rows, columns = round(clip.region.y1 - clip.region.y0), round(clip.region.x1 - clip.region.x0)
    resized = functional.interpolate(strength[None], size=(rows, columns), mode="bilinear", align_corners=False)[0]
    slices = tuple(dict.fromkeys(clip.slices))
    places = torch.tensor([slices.index(one) for one in clip.slices])
    maps = torch.stack([resized[places == place].mean(dim=0) for place in range(len(slices))])
    scaled = maps / maps.max().clamp(min=torch.finfo(torch.float32).tiny)
    return Saliency(clip.region, slices, scaled.numpy().astype(np.float32), strongest)


def clip_saliency(clip: Tensor, logits: Logits) -> Tensor:
    """clip (N, size, size), z-scored -> (N, size, size): how far covering each place moves the log odds.

    Covered places become 0, the mean of the clip. Squares overlap by half; a place is as sensitive as the mean of the
    squares that covered it.
    """
    size, slices = clip.shape[-1], len(clip)
    side, deep = max(1, round(size / _SQUARES_ACROSS)), min(_SLICES_COVERED, max(1, slices // 2))
    with torch.inference_mode():
        changes: Tensor = _occlusion()(lambda clips: _log_odds(logits(clips))).attribute(
            clip[None],
            sliding_window_shapes=(deep, side, side),
            strides=(max(1, deep // 2), max(1, side // 2), max(1, side // 2)),
            baselines=0,
            perturbations_per_eval=_TOGETHER,
        )
    return _smooth(changes[0].abs().float().cpu(), side // 2)


def _smooth(maps: Tensor, width: int) -> Tensor:
    """(N, rows, columns): the mean over about half a square, so that the grid of squares is not taken for anatomy."""
    odd = width // 2 * 2 + 1
    return functional.avg_pool2d(maps[None], odd, stride=1, padding=odd // 2, count_include_pad=False)[0]


def _log_odds(logits: Tensor) -> Tensor:
    """Of malignant; unlike a probability it still moves where the classifier is sure."""
    return logits[:, 1] - logits[:, 0]


def _occlusion() -> Any:
    try:
        from captum.attr import Occlusion  # type: ignore[import-untyped]  # it ships no types
    except ImportError as error:
        raise ExplanationError('a saliency map needs captum: pip install "spinenode[science]"') from error
    return Occlusion
