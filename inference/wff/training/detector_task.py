"""What the detector learns from: slices of one class per patient, with and without lesions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.datasets import LabelledPatient, LabelledSeries
from inference.errors import TrainingError
from inference.findings import Verdict
from inference.wff.config import DetectorConfig
from inference.wff.networks.detector import BENIGN, MALIGNANT, Detector, Target
from inference.wff.networks.preprocessing import Letterbox, fit, to_square, z_score
from inference.wff.training.augmentation import Boxes, change_grey_values, move, narrow
from inference.wff.training.initial_weights.start import set_training_mode, start_from
from inference.wff.training.patients import patients_of
from inference.wff.training.self_cut_mix import cut_patches, self_cut_mix
from inference.wff.training.settings import DetectorTraining

_T = TypeVar("_T")
_LABEL = {Verdict.BENIGN: BENIGN, Verdict.MALIGNANT: MALIGNANT}

Slice = tuple[Tensor, Target]  # (1, 1, S, S) z-scored, and its boxes


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorTask:
    config: DetectorConfig
    settings: DetectorTraining
    data: Path
    patients: tuple[str, ...]  # identifiers of those to learn from

    def build(self) -> nn.Module:
        return Detector(self.config)

    def start(self, net: nn.Module) -> None:
        start_from(_detector(net), self.settings.initial_weights)

    def train_mode(self, net: nn.Module) -> None:
        set_training_mode(_detector(net), started_from_weights=bool(self.settings.initial_weights))

    def open(self) -> Callable[[np.random.Generator], Slice]:
        return SliceSource(self.config, self.settings, patients_of(self.data, self.patients)).draw

    def losses(self, net: nn.Module, items: Sequence[Slice], device: torch.device) -> dict[str, Tensor]:
        images = torch.cat([image for image, _ in items]).to(device).expand(-1, 3, -1, -1)
        targets = [Target(target.boxes.to(device), target.labels.to(device)) for _, target in items]
        return _detector(net).losses(images, targets)


class SliceSource:
    """Draws training slices: classes equally often, then patient, series and slice with equal chances."""

    def __init__(self, config: DetectorConfig, settings: DetectorTraining, patients: Sequence[LabelledPatient]) -> None:
        self._config, self._settings = config, settings
        self._with_lesion = {
            verdict: [p for p in patients if p.verdict is verdict and any(s.labelled_slices for s in p.series)]
            for verdict in Verdict
        }
        self._lesion_free = [p for p in patients if p.verdict is None]
        if not all(self._with_lesion.values()):
            raise TrainingError("training needs benign and malignant patients with labelled boxes")

    def draw(self, rng: np.random.Generator) -> Slice:
        """One augmented slice (1, 1, S, S), z-scored, and its target in letterbox pixels."""
        series, index, verdict = self._choose(rng)
        image, boxes = _with_boxes(series, index)
        if len(boxes):
            other = int(rng.choice(series.labelled_slices))
            patches = cut_patches(*_with_boxes(series, other))
            image, boxes = self_cut_mix(image, boxes, patches, self._settings.self_cut_mix, rng)
        image, boxes = narrow(image, boxes, self._settings.field_of_view, rng)
        return self._to_target(image, boxes, _LABEL[verdict], rng)

    def _choose(self, rng: np.random.Generator) -> tuple[LabelledSeries, int, Verdict]:
        verdict = Verdict.MALIGNANT if rng.random() < 0.5 else Verdict.BENIGN
        if rng.random() < self._settings.lesion_share:
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
        frame = Letterbox(image.shape[0], image.shape[1], self._config.image_size)
        x = fit(torch.from_numpy(image)[None, None], frame)[0]
        scale = np.array([frame.scale_x, frame.scale_y] * 2, dtype=np.float32)
        x, boxes = move(x, boxes * scale, self._settings.movement, rng)
        x = z_score(change_grey_values(x, self._settings.grey_values, rng), dims=(0, 1, 2))
        labels = torch.full((len(boxes),), label, dtype=torch.int64)
        return to_square(x[None], frame), Target(torch.from_numpy(boxes), labels)


def labelled_slices(patients: Sequence[LabelledPatient]) -> int:
    return sum(len(series.labelled_slices) for patient in patients for series in patient.series)


def _detector(net: nn.Module) -> Detector:
    if not isinstance(net, Detector):
        raise TypeError(f"expected a Detector, got {type(net).__name__}")
    return net


def _with_boxes(series: LabelledSeries, index: int) -> tuple[NDArray[np.float32], Boxes]:
    boxes = np.array([[b.x0, b.y0, b.x1, b.y1] for b in series.boxes[index]], dtype=np.float32).reshape(-1, 4)
    return series.images()[index].astype(np.float32), boxes


def _one_of(items: Sequence[_T], rng: np.random.Generator) -> _T:
    return items[int(rng.integers(len(items)))]
