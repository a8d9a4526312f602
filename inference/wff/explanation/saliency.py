"""Where the output of the sequence classifier is sensitive: windows of its clip are covered, one after the other.

Occlusion (Zeiler and Fergus 2014) by captum. It was chosen over gradients because it says what it measured, a change of
the probability, has no layer to choose, and its last feature map of one slice and a few pixels would leave Grad-CAM
without a place to point at. It is not a proof: what is covered becomes an image that no scanner makes, and two places
that tell the same hide each other.
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
from inference.wff.networks.clips import Clip

Logits = Callable[[Tensor], Tensor]  # clips (B, N, size, size) -> (B, 2): benign, malignant

_WINDOWS_ACROSS: Final = 5  # side by side: a lesion fills the clip, so a fifth is a part of it
_MOST_SLICES_COVERED: Final = 4  # at once: through a lesion, not through the whole clip
_TOGETHER: Final = 8  # covered clips in one batch
WEAK: Final = 0.05  # largest change of the probability below which no single window matters much


@dataclass(frozen=True, slots=True)
class Saliency:
    """A map per slice of a clip, in the pixels of the image, and the window whose covering changes most.

    A place of the maps is the mean |change| of the malignant probability over the windows that covered it, as a share
    of the largest such mean: 1 is the most sensitive place of the clip.
    """

    region: Box  # whole pixels
    slices: tuple[int, ...]  # of the sequence, ascending, each once
    maps: NDArray[np.float32]  # (len(slices), rows, columns) of the region, 0..1
    uncovered: float  # malignant probability of the clip as it is
    covered: float  # ... with the one window covered that changes it most

    @property
    def strongest(self) -> float:
        """The largest |change| of the malignant probability that covering a single window made."""
        return abs(self.covered - self.uncovered)

    @property
    def slices_covered(self) -> int:
        """By one window."""
        return _slices_covered(len(self.slices))

    @property
    def is_weak(self) -> bool:
        return self.strongest < WEAK


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How covering windows of a clip changed its malignant probability."""

    maps: Tensor  # (N, size, size): mean |change| over the windows that covered a place
    uncovered: float
    covered: float  # by the window of the largest |change|


def require_captum() -> None:
    """Raises ExplanationError where the optional library is missing."""
    _occlusion()


def saliency_of(clip: Clip, logits: Logits) -> Saliency:
    """A slice that stands in the clip several times is covered everywhere at once.

    Raises ExplanationError where captum is missing.
    """
    slices = tuple(dict.fromkeys(clip.slices))
    each_once = clip.values[[clip.slices.index(one) for one in slices]]
    places = [slices.index(one) for one in clip.slices]
    found = clip_saliency(each_once, lambda shown: logits(shown[:, places]))
    rows, columns = round(clip.region.y1 - clip.region.y0), round(clip.region.x1 - clip.region.x0)
    maps = functional.interpolate(found.maps[None], size=(rows, columns), mode="bilinear", align_corners=False)[0]
    scaled = maps / maps.max().clamp(min=torch.finfo(torch.float32).tiny)
    return Saliency(clip.region, slices, scaled.numpy(), found.uncovered, found.covered)


def clip_saliency(clip: Tensor, logits: Logits) -> Sensitivity:
    """clip (N, size, size), z-scored. Covered places become 0, the mean of the clip; windows overlap by half."""
    side, deep = max(1, round(clip.shape[-1] / _WINDOWS_ACROSS)), _slices_covered(len(clip))
    with torch.inference_mode():
        uncovered = _malignant(logits(clip[None]))
        seen = [uncovered]

        def change(clips: Tensor) -> Tensor:
            """Without a sign: captum takes the mean over windows, and there opposite directions would cancel."""
            seen.append(_malignant(logits(clips)))
            return (seen[-1] - uncovered).abs()

        lost: Tensor = _occlusion()(change).attribute(  # 0 for the clip as it is, less the change
            clip[None],
            sliding_window_shapes=(deep, side, side),
            strides=(max(1, deep // 2), max(1, side // 2), max(1, side // 2)),
            baselines=0,
            perturbations_per_eval=_TOGETHER,
        )
    told = torch.cat(seen)
    covered = told[(told - uncovered).abs().argmax()]
    return Sensitivity(_smooth(lost[0].neg().clamp(min=0.0).float(), side // 2), float(uncovered), float(covered))


def _slices_covered(slices: int) -> int:
    return min(_MOST_SLICES_COVERED, max(1, slices // 2))


def _smooth(maps: Tensor, width: int) -> Tensor:
    """(N, rows, columns): the mean over about half a window, so that the grid of windows is not taken for anatomy."""
    odd = width // 2 * 2 + 1
    return functional.avg_pool2d(maps[None], odd, stride=1, padding=odd // 2, count_include_pad=False)[0]


def _malignant(logits: Tensor) -> Tensor:
    """(B, 2) -> (B,) on the CPU, in double precision: a sure classifier moves by little."""
    return torch.sigmoid((logits[:, 1] - logits[:, 0]).double().cpu())


def _occlusion() -> Any:
    try:
        from captum.attr import Occlusion  # type: ignore[import-untyped]  # it ships no types
    except ImportError as error:
        raise ExplanationError('a saliency map needs captum: pip install "spinenode[science]"') from error
    return Occlusion
