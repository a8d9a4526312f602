"""What the sequence classifier learns from: clips cut round the largest labelled box of a sequence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from inference.datasets import LabelledPatient, LabelledSeries
from inference.errors import TrainingError
from inference.findings import Box, Verdict
from inference.wff.config import SequenceConfig
from inference.wff.networks.preprocessing import crop_region, cut_clip, fill_to, z_score
from inference.wff.networks.sequence_classifier import SequenceClassifier
from inference.wff.training.augmentation import change_grey_values, move_clip
from inference.wff.training.initial_weights.start import set_training_mode, start_from
from inference.wff.training.patients import patients_of
from inference.wff.training.settings import SequenceTraining

Clip = tuple[Tensor, int]  # (N, size, size) z-scored over the clip; 0 benign, 1 malignant


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceTask:
    config: SequenceConfig
    settings: SequenceTraining
    data: Path
    patients: tuple[str, ...]  # identifiers of those to learn from

    def build(self) -> nn.Module:
        return SequenceClassifier(self.config)

    def start(self, net: nn.Module) -> None:
        start_from(_classifier(net), self.settings.initial_weights)

    def train_mode(self, net: nn.Module) -> None:
        set_training_mode(_classifier(net), started_from_weights=bool(self.settings.initial_weights))

    def open(self) -> Callable[[np.random.Generator], Clip]:
        return ClipSource(self.config, self.settings, patients_of(self.data, self.patients)).draw

    def losses(self, net: nn.Module, items: Sequence[Clip], device: torch.device) -> dict[str, Tensor]:
        """Cross-entropy, each clip times the weight of its class; the weights are scaled to a mean of 1, so that the
        loss of a batch stays a mean over its clips however they are shared among processes.

        With mixup the clips are blended with those of a permuted batch, and so are the losses.
        Source: Zhang et al., mixup, ICLR 2018.
        """
        clips = torch.stack([clip for clip, _ in items]).to(device)
        labels = torch.tensor([label for _, label in items], device=device)
        if not self.settings.mixup:
            return {"classification": self._loss(net(clips), labels)}
        share = torch.distributions.Beta(self.settings.mixup, self.settings.mixup).sample().item()
        others = torch.randperm(len(items)).to(device)
        said = net(share * clips + (1.0 - share) * clips[others])
        return {"classification": share * self._loss(said, labels) + (1.0 - share) * self._loss(said, labels[others])}

    def _loss(self, said: Tensor, labels: Tensor) -> Tensor:
        weights = torch.tensor(self.settings.class_weights, device=labels.device)
        weights = weights * len(weights) / weights.sum()
        smoothing = self.settings.label_smoothing
        each = functional.cross_entropy(said, labels, label_smoothing=smoothing, reduction="none")
        return (weights[labels] * each).mean()


class ClipSource:
    """Draws clips: both classes equally often, sequences of a class with equal chances."""

    def __init__(self, config: SequenceConfig, settings: SequenceTraining, patients: Sequence[LabelledPatient]) -> None:
        self._config, self._settings = config, settings
        self._series = {
            verdict: [s for p in patients if p.verdict is verdict for s in p.series if s.labelled_slices]
            for verdict in Verdict
        }
        if not all(self._series.values()):
            raise TrainingError("training needs benign and malignant patients with labelled boxes")

    def draw(self, rng: np.random.Generator) -> Clip:
        """One augmented clip (N, size, size) and its class: 0 benign, 1 malignant."""
        malignant = int(rng.random() < 0.5)
        candidates = self._series[Verdict.MALIGNANT if malignant else Verdict.BENIGN]
        series = candidates[int(rng.integers(len(candidates)))]
        images = series.images()
        box = _jittered(_largest(series), self._settings.box_jitter, rng)
        region = crop_region(box, rows=images.shape[1], columns=images.shape[2], margin=self._config.margin)
        slices = training_slices(
            series.labelled_slices, self._config.clip_slices, rng, random_share=self._settings.random_share
        )
        clip = move_clip(cut_clip(images, region, slices, self._config), self._settings.movement, rng)
        return z_score(change_grey_values(clip, self._settings.grey_values, rng), dims=(0, 1, 2)), malignant


def training_slices(
    labelled: Sequence[int], count: int, rng: np.random.Generator, *, random_share: float = 0.5
) -> list[int]:
    """`count` random slices with tumour, sorted, or a run of them from a random start: half and half in the paper.

    Fewer than `count` are repeated. Source: sampling of the paper.
    """
    if len(labelled) <= count:
        return fill_to(labelled, count)
    if rng.random() < random_share:
        return sorted(int(i) for i in rng.choice(labelled, size=count, replace=False))
    start = int(rng.integers(len(labelled) - count + 1))
    return list(labelled[start : start + count])


def labelled_sequences(patients: Sequence[LabelledPatient]) -> int:
    return sum(bool(series.labelled_slices) for patient in patients for series in patient.series)


def _classifier(net: nn.Module) -> SequenceClassifier:
    if not isinstance(net, SequenceClassifier):
        raise TypeError(f"expected a SequenceClassifier, got {type(net).__name__}")
    return net


def _largest(series: LabelledSeries) -> Box:
    return max((box for boxes in series.boxes for box in boxes), key=lambda box: box.area)


def _jittered(box: Box, amount: float, rng: np.random.Generator) -> Box:
    width, height = box.x1 - box.x0, box.y1 - box.y0
    x0, y0, x1, y1 = rng.normal(0.0, amount / 2, 4) * (width, height, width, height)
    return Box(x0=box.x0 + x0, y0=box.y0 + y0, x1=box.x1 + x1, y1=box.y1 + y1)
