"""The full architecture, part by part: what is where, how wide, at which stride; on shapes alone where possible."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from inference.wff.config import Fen, micro_config, paper_config
from inference.wff.networks.backbone import PyramidBackbone
from inference.wff.networks.deformable import DeformableConv3x3
from inference.wff.networks.detector import Detector
from inference.wff.networks.sequence_classifier import SequenceClassifier

PAPER = paper_config()
BLOCKS = (3, 4, 23, 3)


@pytest.fixture(scope="module")
def detector() -> Detector:
    with torch.device("meta"):
        return Detector(PAPER.detector)


def inputs_of(module: nn.Module, run: Callable[[], object]) -> Any:
    """The first argument that `module` gets while `run` runs."""
    seen: list[Any] = []
    handle = module.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    try:
        run()
    finally:
        handle.remove()
    return seen[0]


def three_by_threes(detector: Detector) -> Iterator[tuple[int, int, nn.Module]]:
    """(stage, block, convolution); stage 0 is C2."""
    for stage, blocks in enumerate(detector.backbone.trunk.stages):
        for number, block in enumerate(blocks):
            yield stage, number, block.conv2


def test_the_trunk_is_resnext_101_of_32_groups(detector: Detector) -> None:
    found = [(stage, conv.groups) for stage, _, conv in three_by_threes(detector)]

    assert tuple(sum(s == stage for s, _ in found) for stage in range(4)) == BLOCKS
    assert {groups for _, groups in found} == {32}


def test_every_block_of_c3_to_c5_is_deformable_also_where_it_strides_and_none_of_c2(detector: Detector) -> None:
    for stage, number, conv in three_by_threes(detector):
        width = 128 * 2**stage
        if stage == 0:
            assert isinstance(conv, nn.Conv2d)
            assert conv.stride == (1, 1)
        else:
            assert isinstance(conv, DeformableConv3x3)
            assert conv.stride == (2 if number == 0 else 1)
            assert tuple(conv.conv.weight.shape) == (width, width // 32, 3, 3)
            assert tuple(conv.offset.weight.shape) == (18, width, 3, 3)
            assert conv.offset.stride == (conv.stride, conv.stride)


def test_every_offset_starts_at_zero() -> None:
    layers = [m for m in Detector(micro_config().detector).modules() if isinstance(m, DeformableConv3x3)]

    assert len(layers) == 3
    for layer in layers:
        assert layer.offset.bias is not None
        assert not layer.offset.weight.any()
        assert not layer.offset.bias.any()


@pytest.mark.parametrize(
    ("fen", "channels"), [(Fen.PAPER, (128, 256, 512, 1024, 2048)), (Fen.STANDARD, (256, 512, 1024, 2048))]
)
def test_the_pyramid_fuses_the_published_scales(fen: Fen, channels: tuple[int, ...]) -> None:
    with torch.device("meta"):
        backbone = PyramidBackbone(replace(PAPER.detector.backbone, fen=fen))

        scales = inputs_of(backbone.pyramid, lambda: backbone(torch.empty(1, 3, 512, 512)))

    assert [tuple(scale.shape) for scale in scales.values()] == [
        (1, c, 128 >> level, 128 >> level) for level, c in enumerate(channels)
    ]
    assert isinstance(backbone.pyramid.extra_blocks, LastLevelMaxPool) is (fen is Fen.STANDARD)


def test_the_pyramid_gives_256_channels_at_five_strides(detector: Detector) -> None:
    with torch.device("meta"):
        pyramid = detector.backbone(torch.empty(1, 3, 512, 512))

    assert {name: tuple(level.shape) for name, level in pyramid.items()} == {
        f"p{level}": (1, 256, 512 >> level, 512 >> level) for level in range(2, 7)
    }


def test_every_level_has_three_anchors_of_its_own_size_in_each_place(detector: Detector) -> None:
    anchors = detector.rpn.anchor_generator

    assert anchors.num_anchors_per_location() == [3] * 5
    for size, cell in zip((16, 32, 64, 128, 256), anchors.cell_anchors, strict=True):
        x0, y0, x1, y1 = cell.unbind(1)
        assert torch.sqrt((x1 - x0) * (y1 - y0)).tolist() == pytest.approx([size] * 3, rel=0.05)
        assert ((y1 - y0) / (x1 - x0)).tolist() == pytest.approx([0.5, 1.0, 2.0], rel=0.15)


def test_regions_are_read_from_p2_to_p5_in_seven_by_seven_bins(detector: Detector) -> None:
    pool = detector.roi_heads.box_roi_pool

    assert pool.featmap_names == ["p2", "p3", "p4", "p5"]
    assert (tuple(pool.output_size), pool.sampling_ratio) == ((7, 7), 2)
    assert detector.roi_heads.box_predictor.cls_score.out_features == 3
    assert detector.roi_heads.box_predictor.bbox_pred.out_features == 3 * 4


def test_the_rules_of_sampling_and_suppression_are_those_of_the_reference(detector: Detector) -> None:
    rpn, roi = detector.rpn, detector.roi_heads

    assert (rpn.proposal_matcher.high_threshold, rpn.proposal_matcher.low_threshold) == (0.7, 0.3)
    assert (rpn.fg_bg_sampler.batch_size_per_image, rpn.fg_bg_sampler.positive_fraction) == (256, 0.5)
    assert rpn.nms_thresh == 0.7
    assert (roi.proposal_matcher.high_threshold, roi.proposal_matcher.low_threshold) == (0.5, 0.5)
    assert (roi.fg_bg_sampler.batch_size_per_image, roi.fg_bg_sampler.positive_fraction) == (512, 0.25)
    assert (roi.score_thresh, roi.nms_thresh, roi.detections_per_img) == (0.05, 0.5, 100)


@pytest.mark.parametrize("slices", [4, 8, 16])
def test_the_stem_of_the_sequence_classifier_halves_the_image_first_and_the_slices_only_in_the_pool(
    slices: int,
) -> None:
    with torch.device("meta"):
        net = SequenceClassifier(replace(PAPER.sequence, clip_slices=slices))
        pool, stages = net.trunk.stem[3], net.trunk.stages
        clip = torch.empty(1, slices, 112, 112)

        before = inputs_of(pool, lambda: net(clip))
        after = inputs_of(stages, lambda: net(clip))
        last = inputs_of(net.head, lambda: net(clip))

    assert tuple(before.shape) == (1, 64, slices, 56, 56)
    assert tuple(after.shape) == (1, 64, slices // 2, 28, 28)
    assert tuple(last.shape) == (1, 2048)
    assert [sum(1 for block in stages if block.body[0].out_channels == w) for w in (128, 256, 512, 1024)] == [*BLOCKS]


@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 4)])
def test_gradients_of_the_deformable_convolution_on_the_cpu_are_those_of_torchvision(stride: int, groups: int) -> None:
    torch.manual_seed(5)
    layer = DeformableConv3x3(8, stride=stride, groups=groups).double()
    nn.init.normal_(layer.offset.weight, std=0.3)  # offsets that leave the image
    x = torch.randn(2, 8, 7, 8, dtype=torch.float64, requires_grad=True)
    sought = [x, layer.offset.weight, layer.conv.weight]

    ours = layer(x)
    theirs = deform_conv2d(x, layer.offset(x), layer.conv.weight, stride=stride, padding=1)

    weighting = torch.randn_like(ours)
    expected = torch.autograd.grad(theirs, sought, weighting)
    for found, right in zip(torch.autograd.grad(ours, sought, weighting), expected, strict=True):
        assert torch.allclose(found, right, atol=1e-9)
        assert _is_not_flat(right)


def _is_not_flat(gradient: Tensor) -> bool:
    return bool(gradient.abs().max() > 1e-3)
