"""The two nets and the age table, working on windowed slices held in memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.findings import Box, Verdict
from inference.wff.age import AgeTable
from inference.wff.config import FusionConfig, WffConfig
from inference.wff.detector import MALIGNANT, Detections, Detector
from inference.wff.preprocessing import Letterbox, clip_of, crop_region, letterbox, pick_slices
from inference.wff.reading import (
    ClipReading,
    DetectedBox,
    PatientReading,
    largest_box,
    read_patient,
    read_sequence,
    voting_slices,
)
from inference.wff.sequence_classifier import SequenceClassifier

log = structlog.get_logger(__name__)

Images = NDArray[np.uint8]  # (Z, Y, X) windowed slices in spatial order
SliceBoxes = tuple[DetectedBox, ...]
_CPU_BATCH = 8  # slices; larger batches gain nothing on a CPU and cost memory
_GPU_BATCH = 64
_THINNEST_PX = 0.01  # coordinates leave as 32 bit floats: a thinner box would have no area


@dataclass(slots=True)
class StageTimes:
    """Seconds spent per stage, summed over the sequences of a case."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - started


class WffModel:
    """Detector, sequence classifier and age table of one bundle on one device."""

    def __init__(
        self,
        config: WffConfig,
        detector: Detector,
        classifier: SequenceClassifier,
        age_table: AgeTable,
        *,
        device: str = "cpu",
    ) -> None:
        self.config = config
        self.age_table = age_table
        self.device = torch.device(device)
        self._detector = detector.to(self.device).eval()
        self._classifier = classifier.to(self.device).eval()
        self._batch = _CPU_BATCH if self.device.type == "cpu" else _GPU_BATCH

    def with_fusion(self, fusion: FusionConfig) -> "WffModel":
        """The same nets with another threshold and other weights."""
        config = replace(self.config, fusion=fusion)
        return WffModel(config, self._detector, self._classifier, self.age_table, device=str(self.device))

    @property
    def nets(self) -> tuple[Detector, SequenceClassifier]:
        return self._detector, self._classifier

    def analyse(
        self, sequences: Sequence[Images], age_years: float | None, times: StageTimes | None = None
    ) -> PatientReading:
        """All windowed sequences of one patient -> votes. Sequences may differ in size."""
        times = times if times is not None else StageTimes()
        found = [self.detect(images, times) for images in sequences]
        clips = self.classify(sequences, found, self.config.fusion, times)
        with times.stage("fusion"):
            age = self.age_table.probability(age_years)
            read = [read_sequence(f, c, age, self.config.fusion) for f, c in zip(found, clips, strict=True)]
            return read_patient(read)

    def detect(self, images: Images, times: StageTimes | None = None) -> tuple[SliceBoxes, ...]:
        """Boxes of every slice in image pixels, best first."""
        times = times if times is not None else StageTimes()
        with times.stage("preprocess"):
            x, frame = letterbox(images, self.config.detector.image_size)
        with times.stage("detector"):
            found = self._detect(x)
        return tuple(_in_image(one, frame) for one in found)

    def classify(
        self,
        sequences: Sequence[Images],
        found: Sequence[Sequence[SliceBoxes]],
        fusion: FusionConfig,
        times: StageTimes | None = None,
    ) -> list[ClipReading | None]:
        """One clip reading per sequence, all clips in one batch; None where no slice votes."""
        times = times if times is not None else StageTimes()
        with times.stage("crops"):
            cuts = [self._cut(images, boxes, fusion.tau) for images, boxes in zip(sequences, found, strict=True)]
        clips = [cut[2] for cut in cuts if cut is not None]
        with times.stage("sequence"):
            batch = torch.stack(clips).to(self.device) if clips else None
            probabilities = iter([] if batch is None else self._classifier.probability_malignant(batch))
        return [None if cut is None else ClipReading(cut[0], cut[1], next(probabilities)) for cut in cuts]

    def warm_up(self) -> None:
        """The first call of every kernel costs seconds; pay them before the first patient."""
        size = self.config.detector.image_size
        self.detect(np.zeros((1, size, size), dtype=np.uint8))
        clip = self.config.sequence
        zeros = torch.zeros(1, clip.clip_slices, clip.clip_size, clip.clip_size, device=self.device)
        self._classifier.probability_malignant(zeros)

    def _detect(self, x: Tensor) -> list[Detections]:
        while True:
            try:
                return [d for part in torch.split(x, self._batch) for d in self._detector.detect(part.to(self.device))]
            except torch.OutOfMemoryError:
                if self._batch == 1:
                    raise
                self._batch //= 2
                log.warning("detector_batch_halved", batch=self._batch, reason="device out of memory")

    def _cut(
        self, images: Images, found: Sequence[SliceBoxes], tau: float
    ) -> tuple[Box, tuple[int, ...], Tensor] | None:
        largest = largest_box(found, tau)
        if largest is None:
            return None
        centre, chosen = largest
        settings = self.config.sequence
        rows, columns = images.shape[1:]
        region = crop_region(chosen.box, rows=rows, columns=columns, margin=settings.margin)
        slices = tuple(pick_slices(voting_slices(found, tau), centre, settings.clip_slices))
        return region, slices, clip_of(images, region, slices, settings)


def _in_image(found: Detections, frame: Letterbox) -> SliceBoxes:
    boxes = []
    for corners, label, score in zip(found.boxes.tolist(), found.labels.tolist(), found.scores.tolist(), strict=True):
        box = frame.to_image(Box(x0=corners[0], y0=corners[1], x1=corners[2], y1=corners[3]))
        if min(box.x1 - box.x0, box.y1 - box.y0) > _THINNEST_PX:  # one in the filled part of the square shows nothing
            boxes.append(DetectedBox(box, Verdict.MALIGNANT if label == MALIGNANT else Verdict.BENIGN, score))
    return tuple(boxes)
