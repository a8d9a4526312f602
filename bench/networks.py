"""The contenders of the inference benchmark: our pipeline, and a plain loop over torchvision's own parts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from inference.bundle import DEMO_BUNDLE, open_bundle
from inference.phantom import PhantomConfig, generate_patient
from inference.phantom.data_set import windowed
from inference.runtime import Runtime
from inference.wff.age import AgeTable
from inference.wff.config import FusionConfig, paper_config
from inference.wff.model import WffModel
from inference.wff.networks.batches import Images, SliceBoxes, in_image
from inference.wff.networks.clips import choose_clip
from inference.wff.networks.deformable import DeformableConv3x3
from inference.wff.networks.detector import Detector
from inference.wff.networks.preprocessing import letterbox
from inference.wff.networks.sequence_classifier import SequenceClassifier
from inference.wff.weights import load_model

SAME_PX = 1.0
_TIED = 1e-4  # scores that differ by less may change places
_SEQUENCES = 4
_UNTRAINED_TAU = 0.06  # so that every sequence has a clip


def load(size: str, runtime: Runtime) -> WffModel:
    """The demo bundle, or the published architecture with untrained weights."""
    if size == "demo":
        return load_model(open_bundle(DEMO_BUNDLE), runtime=runtime)
    config = replace(paper_config(), fusion=FusionConfig(tau=_UNTRAINED_TAU))
    torch.manual_seed(0)
    detector, classifier = Detector(config.detector), SequenceClassifier(config.sequence)
    for module in [*detector.modules(), *classifier.modules()]:
        _spread(module)
    nn.init.normal_(detector.rpn.head.cls_logits.weight, std=0.3)
    nn.init.normal_(detector.roi_heads.box_predictor.cls_score.weight, std=0.1)
    return WffModel(config, detector, classifier, AgeTable(), runtime=runtime)


def _spread(module: nn.Module) -> None:
    """Offsets of about a pixel and blocks that count: at their start both are zero, and reading straight is quick."""
    if isinstance(module, DeformableConv3x3):
        nn.init.normal_(module.offset.weight, std=1.0 / module.offset.weight[0].numel() ** 0.5)
    if isinstance(module, nn.GroupNorm):
        nn.init.constant_(module.weight, 0.5)


def patient(size: int, slices: int) -> list[Images]:
    """Four sequences of a phantom of `size` x `size` pixels; the fourth is the first one mirrored."""
    config = PhantomConfig(matrix=size, minimum_slices=15, maximum_slices=15)
    phantom = generate_patient(13, seed=1, config=config)  # one on whose middle slice there are boxes to compare
    sequences = [windowed(series) for series in phantom.series]
    sequences.append(np.ascontiguousarray(sequences[0][:, :, ::-1]))
    first = (15 - slices) // 2  # the middle ones: there is the lesion
    return [np.ascontiguousarray(one[first : first + slices]) for one in sequences[:_SEQUENCES]]


class PlainLoop:
    """What a careful user of torchvision writes: the same nets, a slice at a time, a clip at a time."""

    def __init__(self, model: WffModel) -> None:
        self._model = model
        self._detector = _at_the_sizes_of(model).to(model.device)
        self._classifier = model.nets[1].to(model.device)

    @torch.inference_mode()
    def analyse(self, sequences: Sequence[Images]) -> tuple[list[tuple[SliceBoxes, ...]], list[float]]:
        """Boxes of every slice and a malignant probability of every clip."""
        found = [self.detect(images) for images in sequences]
        tau, settings = self._model.config.fusion.tau, self._model.config.sequence
        clips = [choose_clip(images, boxes, tau, settings) for images, boxes in zip(sequences, found, strict=True)]
        probabilities = [self._probability(clip.values) for clip in clips if clip is not None]
        return found, probabilities

    @torch.inference_mode()
    def detect(self, images: Images) -> tuple[SliceBoxes, ...]:
        with _torchvisions_deformable_convolution():
            return tuple(self._boxes(images[k : k + 1]) for k in range(len(images)))

    def _boxes(self, image: Images) -> SliceBoxes:
        x, frame = letterbox(image, self._model.config.detector.image_size, device=self._model.device)
        return in_image(self._detector.detect(x.contiguous())[0], frame)

    def _probability(self, clip: Tensor) -> float:
        return self._classifier.probability_malignant(clip[None].to(self._model.device))[0]


def _at_the_sizes_of(model: WffModel) -> Detector:
    """The trained detector; where the model runs at other sizes, the same weights in one of these sizes."""
    trained = model.nets[0]
    if not model.changed:
        return trained
    detector = Detector(model.config.detector).eval()
    detector.load_state_dict(trained.state_dict())
    return detector


@contextmanager
def _torchvisions_deformable_convolution() -> Iterator[None]:
    ours = DeformableConv3x3.forward
    theirs: Any = lambda self, x: self.conv(x, self.offset(x))  # noqa: E731
    DeformableConv3x3.forward = theirs
    try:
        yield
    finally:
        DeformableConv3x3.forward = ours


def assert_same(ours: Sequence[Sequence[SliceBoxes]], theirs: Sequence[Sequence[SliceBoxes]]) -> int:
    """Same classes, places within a pixel, same order but for tied scores. Returns how many boxes were compared."""
    compared = 0
    for our_slices, their_slices in zip(ours, theirs, strict=True):
        for a, b in zip(our_slices, their_slices, strict=True):
            assert len(a) == len(b), f"{len(a)} boxes, the plain loop has {len(b)}"
            for place, box in enumerate(a):
                near = [
                    n for n, other in enumerate(b) if other.verdict is box.verdict and _apart(box, other) <= SAME_PX
                ]
                tied = [n for n in near if n == place or abs(b[n].score - b[place].score) < _TIED]
                assert tied, f"box {place} ({box}) is not where the plain loop has it"
                compared += 1
    assert compared, "no box to compare"
    return compared


def share_within_a_pixel(ours: Sequence[Sequence[SliceBoxes]], theirs: Sequence[Sequence[SliceBoxes]]) -> float:
    """Of the boxes of the plain loop: how many have one of ours of their class within a pixel."""
    hits = [
        any(other.verdict is box.verdict and _apart(box, other) <= SAME_PX for other in a)
        for our_slices, their_slices in zip(ours, theirs, strict=True)
        for a, b in zip(our_slices, their_slices, strict=True)
        for box in b
    ]
    return sum(hits) / max(1, len(hits))


def _apart(a: Any, b: Any) -> float:
    return max(abs(getattr(a.box, side) - getattr(b.box, side)) for side in ("x0", "y0", "x1", "y1"))
