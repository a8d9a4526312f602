"""Parameters and FLOPs (2 x multiply-accumulate) of the full architecture, counted on shapes alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.resnet import Bottleneck, ResNet

from inference.wff.config import BackboneConfig, ClipNet, DetectorConfig, Fen, Norm, SequenceConfig, paper_config
from inference.wff.networks.backbone import PyramidBackbone
from inference.wff.networks.deformable import DeformableConv3x3
from inference.wff.networks.detector import Detector
from inference.wff.networks.sequence_classifier import SequenceClassifier

PAPER = paper_config()
STANDARD = replace(PAPER.detector.backbone, fen=Fen.STANDARD)
PLAIN = replace(STANDARD, deformable=(False,) * 4)
WIDER = replace(STANDARD, width_per_group=8)  # 32x8d
FLAT = replace(PAPER.sequence, variant=ClipNet.TWO_D)
WITHIN = 0.02
DEFORMABLE = torch.ops.torchvision.deform_conv2d


def millions(net: nn.Module) -> float:
    return sum(p.numel() for p in net.parameters()) / 1e6


def deformable_flops(
    _x: Sequence[int], weight: Sequence[int], *_rest: Any, out_shape: Sequence[int], **_named: Any
) -> int:
    """As of a plain convolution: the bilinear reading of the taps is not counted."""
    batch, channels, rows, columns = out_shape
    return 2 * batch * rows * columns * channels * weight[1] * weight[2] * weight[3]


class Count:
    """GFLOPs of what runs inside `with`. The counter of torch passes by what it has no formula for: the deformable
    convolution of torchvision, which is counted apart."""

    def __init__(self) -> None:
        self._counter = FlopCounterMode(display=False, custom_mapping={DEFORMABLE: deformable_flops})

    def __enter__(self) -> "Count":
        self._counter.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._counter.__exit__(*error)

    @property
    def deformable(self) -> float:
        return float(self._counter.get_flop_counts()["Global"].get(DEFORMABLE, 0)) / 1e9

    @property
    def rest(self) -> float:
        return float(self._counter.get_total_flops()) / 1e9 - self.deformable


def count_backbone(config: BackboneConfig, side: int) -> Count:
    with torch.device("meta"), Count() as count:
        PyramidBackbone(config)(torch.empty(1, 3, side, side))
    return count


def count_detector(config: DetectorConfig, proposals: int) -> Count:
    """Of one image; the heads of the regions see `proposals` regions of 7 x 7."""
    with torch.device("meta"), Count() as count:
        detector = Detector(config)
        features: dict[str, Tensor] = detector.backbone(torch.empty(1, 3, config.image_size, config.image_size))
        detector.rpn.head(list(features.values()))
        regions = torch.empty(proposals, config.backbone.fpn_channels, 7, 7)
        detector.roi_heads.box_predictor(detector.roi_heads.box_head(regions))
    return count


@pytest.mark.parametrize(
    ("backbone", "expected"), [(PAPER.detector.backbone, 60.0), (STANDARD, 47.9), (PLAIN, 45.3), (WIDER, 95.0)]
)
def test_the_backbone_with_its_pyramid_has_the_reference_parameter_count(
    backbone: BackboneConfig, expected: float
) -> None:
    with torch.device("meta"):
        assert millions(PyramidBackbone(backbone)) == pytest.approx(expected, rel=WITHIN)


@pytest.mark.parametrize(("fen", "expected"), [(Fen.STANDARD, 62.4), (Fen.PAPER, 62.4 + 12.1)])
def test_the_detector_has_the_reference_parameter_count_and_the_five_published_scales_add_theirs(
    fen: Fen, expected: float
) -> None:
    with torch.device("meta"):
        detector = Detector(replace(PAPER.detector, backbone=replace(STANDARD, fen=fen)))

        assert millions(detector) == pytest.approx(expected, rel=WITHIN)


@pytest.mark.parametrize("slices", [4, 8, 16])
def test_the_sequence_classifier_has_the_published_parameter_count_for_every_length_of_clip(slices: int) -> None:
    with torch.device("meta"):
        net = SequenceClassifier(replace(PAPER.sequence, clip_slices=slices))

        assert millions(net) == pytest.approx(47.5, rel=WITHIN)


@pytest.mark.parametrize("fen", list(Fen))
def test_both_normalisations_have_the_same_number_of_parameters(fen: Fen) -> None:
    backbone = replace(STANDARD, fen=fen)
    with torch.device("meta"):
        group, batch = (PyramidBackbone(replace(backbone, norm=norm)) for norm in Norm)

        assert millions(group) == millions(batch)


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        (STANDARD, {320: 44.5, 384: 64.1, 512: 113.9, 640: 178.0, 800: 278.0}),
        (PAPER.detector.backbone, {320: 46.2, 384: 66.5, 512: 118.3, 640: 184.8, 800: 289.0}),
        (PLAIN, {320: 44.1, 384: 63.5, 512: 113.0, 640: 176.5, 800: 275.8}),
    ],
)
def test_the_backbone_costs_what_was_counted_at_every_image_size(
    backbone: BackboneConfig, expected: dict[int, float]
) -> None:
    counted = {side: count_backbone(backbone, side).rest for side in expected}

    assert counted == pytest.approx(expected, rel=WITHIN)


def test_a_deformable_network_costs_as_much_as_the_plain_one_and_the_convolutions_of_its_offsets() -> None:
    plain, deformable = count_backbone(PLAIN, 512), count_backbone(STANDARD, 512)

    offsets = 0.0
    side = 64  # of the map of C3
    with torch.device("meta"):
        for channels, blocks in ((256, 4), (512, 23), (1024, 3)):
            layer = DeformableConv3x3(channels, stride=1, groups=32)
            with Count() as count:
                layer.offset(torch.empty(1, channels, side, side))
            offsets += blocks * count.rest
            side //= 2
    assert deformable.deformable == pytest.approx(4.53, rel=WITHIN)
    assert deformable.rest + deformable.deformable == pytest.approx(plain.rest + offsets, rel=1e-9)


@pytest.mark.parametrize(("proposals", "expected"), [(300, 148.2), (1000, 167.7)])
def test_the_full_detector_costs_what_was_counted(proposals: int, expected: float) -> None:
    detector = replace(PAPER.detector, backbone=STANDARD)

    assert count_detector(detector, proposals).rest == pytest.approx(expected, rel=WITHIN)


def test_the_five_published_scales_cost_the_detector_as_much_as_its_backbone() -> None:
    added = count_detector(PAPER.detector, 300).rest - 148.2

    assert added == pytest.approx(118.3 - 113.9, rel=WITHIN)


@pytest.mark.parametrize(("slices", "expected"), [(4, 5.5), (8, 7.6), (16, 14.7)])
def test_the_sequence_classifier_costs_what_was_counted(slices: int, expected: float) -> None:
    assert count_clip(replace(PAPER.sequence, clip_slices=slices)) == pytest.approx(expected, rel=WITHIN)


def test_the_classifier_with_slices_as_channels_costs_what_was_counted() -> None:
    assert count_clip(FLAT) == pytest.approx(4.3, rel=WITHIN)


@pytest.mark.parametrize("slices", [4, 8, 16])
def test_the_classifier_with_slices_as_channels_is_resnext_101_of_32_groups_of_4(slices: int) -> None:
    """torchvision's own, with another first and last layer."""
    with torch.device("meta"):
        flat = SequenceClassifier(replace(FLAT, clip_slices=slices))
        reference: nn.Module = ResNet(Bottleneck, [3, 4, 23, 3], groups=32, width_per_group=4)

        first_and_last = (slices - 3) * 64 * 7 * 7 + (2048 + 1) * (2 - 1000)
        assert millions(flat) == pytest.approx(millions(reference) + first_and_last / 1e6, rel=1e-9)
        assert millions(flat) == pytest.approx(42.2, rel=WITHIN)


def count_clip(config: SequenceConfig) -> float:
    with torch.device("meta"), Count() as count:
        SequenceClassifier(config)(torch.empty(1, config.clip_slices, config.clip_size, config.clip_size))
    return count.rest
