"""What the sequence classifier learns from: clips cut round the largest labelled box of a sequence."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from inference.datasets import LabelledPatient, LabelledSeries, open_data_set
from inference.findings import Box, Verdict
from inference.wff.augmentation import AugmentationConfig, change_grey_values
from inference.wff.config import SequenceConfig
from inference.wff.preprocessing import crop_region, cut_clip, fill_to, z_score
from inference.wff.sequence_classifier import SequenceClassifier
from inference.wff.training import Losses


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceTask:
    config: SequenceConfig
    data: Path
    batch: int = 16
    box_jitter: float = 0.12  # of the side: a detector's box is not the labelled one
    label_smoothing: float = 0.05
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    def build(self) -> nn.Module:
        return SequenceClassifier(self.config)

    def open(self) -> Losses:
        source = ClipSource(self, open_data_set(self.data))

        def losses(model: nn.Module, rng: np.random.Generator) -> dict[str, Tensor]:
            drawn = [source.draw(rng) for _ in range(self.batch)]
            device = next(model.parameters()).device
            clips = torch.stack([clip for clip, _ in drawn]).to(device)
            labels = torch.tensor([label for _, label in drawn], device=device)
            return {
                "classification": functional.cross_entropy(model(clips), labels, label_smoothing=self.label_smoothing)
            }

        return losses


class ClipSource:
    """Draws clips: both classes equally often, sequences of a class with equal chances."""

    def __init__(self, task: SequenceTask, patients: Sequence[LabelledPatient]) -> None:
        self._task = task
        self._series = {
            verdict: [s for p in patients if p.verdict is verdict for s in p.series if s.labelled_slices]
            for verdict in Verdict
        }
        if not all(self._series.values()):
            raise ValueError("training needs benign and malignant sequences with labelled boxes")

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, int]:
        """One augmented clip (N, size, size) and its class: 0 benign, 1 malignant."""
        malignant = int(rng.random() < 0.5)
        candidates = self._series[Verdict.MALIGNANT if malignant else Verdict.BENIGN]
        series = candidates[int(rng.integers(len(candidates)))]
        images = series.images()
        box = _jittered(_largest(series), self._task.box_jitter, rng)
        region = crop_region(box, rows=images.shape[1], columns=images.shape[2], margin=self._task.config.margin)
        slices = training_slices(series.labelled_slices, self._task.config.clip_slices, rng)
        grey = change_grey_values(cut_clip(images, region, slices, self._task.config), self._task.augmentation, rng)
        return z_score(grey, dims=(0, 1, 2)), malignant


def training_slices(labelled: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """Half the time `count` random slices with tumour, sorted; else a run of them from a random start.

    Fewer than `count` are repeated. Source: sampling of the paper.
    """
    if len(labelled) <= count:
        return fill_to(labelled, count)
    if rng.random() < 0.5:
        return sorted(int(i) for i in rng.choice(labelled, size=count, replace=False))
    start = int(rng.integers(len(labelled) - count + 1))
    return list(labelled[start : start + count])


def _largest(series: LabelledSeries) -> Box:
    return max((box for boxes in series.boxes for box in boxes), key=lambda box: box.area)


def _jittered(box: Box, amount: float, rng: np.random.Generator) -> Box:
    width, height = box.x1 - box.x0, box.y1 - box.y0
    x0, y0, x1, y1 = rng.normal(0.0, amount / 2, 4) * (width, height, width, height)
    return Box(x0=box.x0 + x0, y0=box.y0 + y0, x1=box.x1 + x1, y1=box.y1 + y1)
