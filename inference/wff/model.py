"""The two nets and the age table, working on windowed slices held in memory."""

from collections.abc import Sequence
from copy import copy, deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from inference.runtime import Device, Runtime
from inference.wff.age import AgeTable
from inference.wff.as_run import as_run, changed_sizes
from inference.wff.config import FusionConfig, WffConfig
from inference.wff.networks.batches import DetectionRun, Images, SliceBoxes, SliceDetector
from inference.wff.networks.clips import choose_clip
from inference.wff.networks.detector import Detector
from inference.wff.networks.devices import Numerics, settle
from inference.wff.networks.frozen_classifier import FrozenClassifier
from inference.wff.networks.frozen_detector import FrozenDetector
from inference.wff.networks.second_look import AT_ONCE, Find, SecondLook
from inference.wff.networks.sequence_classifier import SequenceClassifier
from inference.wff.networks.static_shapes import accelerated
from inference.wff.networks.workers import Workers
from inference.wff.reading import ClipReading, PatientReading, read_patient, read_sequence
from inference.wff.stage_times import StageTimes

__all__ = ["Images", "SliceBoxes", "WffModel"]


class WffModel:
    """Detector, sequence classifier and age table of one bundle on one device.

    The nets are copied into the form that runs fastest there when the model is made: train them before.
    """

    def __init__(
        self,
        config: WffConfig,
        detector: Detector,
        classifier: SequenceClassifier,
        age_table: AgeTable,
        *,
        device: str = "cpu",
        runtime: Runtime | None = None,
    ) -> None:
        """`runtime` says more than `device` and goes before it; it may change the `config`."""
        self.runtime = runtime or Runtime(device=Device(torch.device(device).type))
        self.config = as_run(config, self.runtime)
        self.changed = changed_sizes(config, self.runtime)
        self.age_table = age_table
        self.nets = detector.eval(), classifier.eval()  # as trained
        self._placement = settle(self.runtime, image_size=self.config.detector.image_size)
        self.device = self._placement.device
        numerics = self._placement.numerics
        self.frozen = FrozenDetector(detector, self.config.detector, device=self.device, numerics=numerics)
        self.full = self.frozen  # the same in full precision
        if numerics != Numerics():
            self.full = FrozenDetector(detector, self.config.detector, device=self.device, numerics=Numerics())
        self._classifier = FrozenClassifier(classifier, device=self.device)
        self._slices = self._slice_detector(self.config.fusion.tau)

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process, which makes its own copies on the CPU."""
        nets = [net if _is_on_cpu(net) else deepcopy(net).cpu() for net in self.nets]
        return _on_cpu, (self.config, *nets, self.age_table, self.runtime)

    @property
    def precision(self) -> str:
        """Number format in which the detector searches, e.g. "bfloat16"."""
        return str(self.frozen.dtype).removeprefix("torch.")

    def with_fusion(self, fusion: FusionConfig) -> "WffModel":
        """The same nets with another threshold and other weights."""
        other = copy(self)
        other.config = replace(self.config, fusion=fusion)
        other._slices = self._slice_detector(fusion.tau)  # noqa: SLF001 (of a copy of itself)
        return other

    def analyse(
        self, sequences: Sequence[Images], age_years: float | None, times: StageTimes | None = None
    ) -> PatientReading:
        """All windowed sequences of one patient -> votes. Sequences may differ in size."""
        times = times if times is not None else StageTimes()
        with times.stage("detector"), self.detection() as run:
            for images in sequences:
                run.add(images)
            found = run.results()
        return self.decide(sequences, found, age_years, times)

    def detection(self) -> DetectionRun:
        """For sequences that come one by one; use it as a context."""
        return DetectionRun(self._slices, workers=self._placement.workers)

    def detect(self, images: Images) -> tuple[SliceBoxes, ...]:
        """Boxes of every slice in image pixels, best first."""
        with self.detection() as run:
            run.add(images)
            return run.results()[0]

    def decide(
        self,
        sequences: Sequence[Images],
        found: Sequence[Sequence[SliceBoxes]],
        age_years: float | None,
        times: StageTimes | None = None,
    ) -> PatientReading:
        """From the boxes of every sequence to the votes."""
        times = times if times is not None else StageTimes()
        clips = self.classify(sequences, found, self.config.fusion, times)
        with times.stage("fusion"):
            age = self.age_table.probability(age_years)
            read = [read_sequence(f, c, age, self.config.fusion) for f, c in zip(found, clips, strict=True)]
            return read_patient(read)

    def classify(
        self,
        sequences: Sequence[Images],
        found: Sequence[Sequence[SliceBoxes]],
        fusion: FusionConfig,
        times: StageTimes | None = None,
    ) -> list[ClipReading | None]:
        """One clip reading per sequence; None where no slice votes."""
        times = times if times is not None else StageTimes()
        with times.stage("crops"):
            settings = self.config.sequence
            clips = [choose_clip(i, boxes, fusion.tau, settings) for i, boxes in zip(sequences, found, strict=True)]
        with times.stage("sequence"):
            probabilities = iter(self._probabilities([clip.values for clip in clips if clip is not None]))
        return [None if c is None else ClipReading(c.region, c.slices, next(probabilities)) for c in clips]

    def clip_logits(self, clips: Tensor) -> Tensor:
        """(B, N, size, size) -> (B, 2) logits of the sequence classifier: benign, malignant."""
        return self._classifier.logits(clips)

    def warm_up(self) -> None:
        """The first call of every kernel costs seconds; pay them before the first patient."""
        size = self.config.detector.image_size
        example = torch.zeros(self._placement.batch, 3, size, size, dtype=self.frozen.dtype, device=self.device)
        example = example.contiguous(memory_format=torch.channels_last)
        self.frozen.run_dense = accelerated(self.frozen.dense, example, self._placement.compile)
        if self.full is not self.frozen:
            for count in range(1, AT_ONCE + 1) if self.device.type == "cuda" else (1,):
                self.full(example[:count])
        self.detect(np.zeros((1, size, size), dtype=np.uint8))
        clip = self.config.sequence
        self._classifier([torch.zeros(clip.clip_slices, clip.clip_size, clip.clip_size)])

    def _slice_detector(self, tau: float) -> SliceDetector:
        config = self.config.detector
        find: Find = self.frozen
        if self.full is not self.frozen:
            find = SecondLook(self.frozen, self.full, tau=tau, unseen=config.score_threshold)
        return SliceDetector(find, image_size=config.image_size, batch=self._placement.batch, device=self.device)

    def _probabilities(self, clips: Sequence[Tensor]) -> list[float]:
        """On a CPU a clip per worker, else all together."""
        if not clips or not self._placement.on_cpu:
            return self._classifier(clips) if clips else []
        with Workers(self._placement.workers) as workers:
            return [p for part in workers.map(self._classifier, [[clip] for clip in clips]) for p in part]


def _is_on_cpu(net: nn.Module) -> bool:
    return all(parameter.device.type == "cpu" for parameter in net.parameters())


def _on_cpu(
    config: WffConfig, detector: Detector, classifier: SequenceClassifier, age_table: AgeTable, runtime: Runtime
) -> WffModel:
    return WffModel(config, detector, classifier, age_table, runtime=replace(runtime, device=Device.CPU))
