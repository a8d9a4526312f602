"""What the detector learns from: slices of one class per patient, with and without lesions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.datasets import LabelledPatient, LabelledSeries, open_data_set
from inference.findings import Verdict
from inference.wff.augmentation import (
    AugmentationConfig,
    Boxes,
    change_grey_values,
    cut_patches,
    move,
    self_cut_mix,
)
from inference.wff.config import DetectorConfig
from inference.wff.detector import BENIGN, MALIGNANT, Detector, Target
from inference.wff.preprocessing import Letterbox, fit, to_square, z_score
from inference.wff.training import Losses

_T = TypeVar("_T")
_LABEL = {Verdict.BENIGN: BENIGN, Verdict.MALIGNANT: MALIGNANT}


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorTask:
    config: DetectorConfig
    data: Path
    batch: int = 4
    lesion_share: float = 0.75  # of the slices of a batch; the rest shows no labelled lesion
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    def build(self) -> nn.Module:
        return Detector(self.config)

    def open(self) -> Losses:
        source = SliceSource(self, open_data_set(self.data))

        def losses(model: nn.Module, rng: np.random.Generator) -> dict[str, Tensor]:
            if not isinstance(model, Detector):
                raise TypeError(f"expected a Detector, got {type(model).__name__}")
            drawn = [source.draw(rng) for _ in range(self.batch)]
            device = next(model.parameters()).device
            images = torch.cat([image for image, _ in drawn]).to(device).expand(-1, 3, -1, -1)
            return model.losses(images, [Target(t.boxes.to(device), t.labels.to(device)) for _, t in drawn])

        return losses


class SliceSource:
    """Draws training slices: classes equally often, then patient, series and slice with equal chances."""

    def __init__(self, task: DetectorTask, patients: Sequence[LabelledPatient]) -> None:
        self._task = task
        self._with_lesion = {
            verdict: [p for p in patients if p.verdict is verdict and any(s.labelled_slices for s in p.series)]
            for verdict in Verdict
        }
        self._lesion_free = [p for p in patients if p.verdict is None]
        if not all(self._with_lesion.values()):
            raise ValueError("training needs benign and malignant patients with labelled boxes")

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Target]:
        """One augmented slice (1, 1, S, S), z-scored, and its target in letterbox pixels."""
        series, index, verdict = self._choose(rng)
        image, boxes = _with_boxes(series, index)
        if len(boxes):
            other = int(rng.choice(series.labelled_slices))
            patches = cut_patches(*_with_boxes(series, other))
            image, boxes = self_cut_mix(image, boxes, patches, self._task.augmentation, rng)
        return self._to_target(image, boxes, _LABEL[verdict], rng)

    def _choose(self, rng: np.random.Generator) -> tuple[LabelledSeries, int, Verdict]:
        verdict = Verdict.MALIGNANT if rng.random() < 0.5 else Verdict.BENIGN
        if rng.random() < self._task.lesion_share:
            patient = _one_of(self._with_lesion[verdict], rng)
            series = _one_of([s for s in patient.series if s.labelled_slices], rng)
            return series, int(rng.choice(series.labelled_slices)), verdict
        free = self._lesion_free if self._lesion_free and rng.random() < 0.5 else self._with_lesion[verdict]
        series = _one_of(_one_of(free, rng).series, rng)
        empty = [index for index, boxes in enumerate(series.boxes) if not boxes]
        return series, int(rng.choice(empty or len(series.boxes))), verdict

    def _to_target(
        self, image: NDArray[np.float32], boxes: Boxes, label: int, rng: np.random.Generator
    ) -> tuple[Tensor, Target]:
        frame = Letterbox(image.shape[0], image.shape[1], self._task.config.image_size)
        x = fit(torch.from_numpy(image)[None, None], frame)[0]
        scale = np.array([frame.scale_x, frame.scale_y] * 2, dtype=np.float32)
        x, boxes = move(x, boxes * scale, self._task.augmentation, rng)
        x = z_score(change_grey_values(x, self._task.augmentation, rng), dims=(0, 1, 2))
        labels = torch.full((len(boxes),), label, dtype=torch.int64)
        return to_square(x[None], frame), Target(torch.from_numpy(boxes), labels)


def _with_boxes(series: LabelledSeries, index: int) -> tuple[NDArray[np.float32], Boxes]:
    boxes = np.array([[b.x0, b.y0, b.x1, b.y1] for b in series.boxes[index]], dtype=np.float32).reshape(-1, 4)
    return series.images()[index].astype(np.float32), boxes


def _one_of(items: Sequence[_T], rng: np.random.Generator) -> _T:
    return items[int(rng.integers(len(items)))]
