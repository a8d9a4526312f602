"""The fast form of the detector finds what the plain one finds."""

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import MultiScaleRoIAlign, deform_conv2d, nms

from inference.wff.config import Norm, micro_config
from inference.wff.networks import deformable
from inference.wff.networks.deformable import DeformableConv3x3
from inference.wff.networks.detector import Detections
from inference.wff.networks.devices import Numerics
from inference.wff.networks.frozen_classifier import FrozenClassifier
from inference.wff.networks.frozen_detector import FrozenDetector, detections_of
from inference.wff.networks.region_pooling import pool_regions
from inference.wff.networks.suppression import suppress, suppress_together
from tests.inference.wff.networks.lively import lively_nets, with_norm

CPU = torch.device("cpu")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def assert_same(found: list[Detections], expected: list[Detections]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours.labels, theirs.labels)
        assert torch.allclose(ours.boxes, theirs.boxes, atol=1e-3)
        assert torch.allclose(ours.scores, theirs.scores, atol=1e-5)


@pytest.mark.parametrize("norm", list(Norm))
def test_the_frozen_detector_finds_the_boxes_of_the_plain_one_in_the_same_order(norm: Norm) -> None:
    config = with_norm(micro_config(), norm).detector
    detector, _ = lively_nets(with_norm(micro_config(), norm))
    images = noise(5, 3, 128, 128)

    found = detections_of(FrozenDetector(detector, config, device=CPU, numerics=Numerics())(images))

    expected = detector.detect(images)
    assert sum(len(one.boxes) for one in expected) > 20
    assert len({round(score, 3) for one in expected for score in one.scores.tolist()}) > 10
    assert_same(found, expected)


def test_freezing_leaves_the_trained_detector_as_it_was() -> None:
    config = with_norm(micro_config(), Norm.BATCH)
    detector, _ = lively_nets(config)
    before = {name: value.clone() for name, value in detector.state_dict().items()}

    FrozenDetector(detector, config.detector, device=CPU, numerics=Numerics(torch.bfloat16, torch.bfloat16))

    after = detector.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) and after[name].dtype == value.dtype for name, value in before.items())


def test_a_net_without_any_box_above_the_threshold_finds_none() -> None:
    config = micro_config()
    detector, _ = lively_nets(config)
    nn.init.constant_(detector.roi_heads.box_predictor.cls_score.bias[0], 50.0)  # all is background

    found = detections_of(
        FrozenDetector(detector, config.detector, device=CPU, numerics=Numerics())(noise(2, 3, 128, 128))
    )

    assert [len(one.boxes) for one in found] == [0, 0]


@pytest.mark.parametrize("norm", list(Norm))
def test_the_frozen_classifier_says_what_the_plain_one_says(norm: Norm) -> None:
    _, classifier = lively_nets(with_norm(micro_config(), norm))
    clips = noise(3, 4, 32, 32)

    said = FrozenClassifier(classifier, device=CPU)(list(clips))

    assert said == pytest.approx(classifier.probability_malignant(clips), abs=1e-5)


@pytest.mark.parametrize(("stride", "groups", "side"), [(1, 1, 7), (2, 4, 8), (1, 4, 1)])
@pytest.mark.parametrize("cached_bytes", [1, deformable._CACHED_BYTES])  # a piece of one point, and one piece
def test_deformable_convolution_in_inference_equals_the_kernel_of_torchvision(
    stride: int, groups: int, side: int, cached_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deformable, "_CACHED_BYTES", cached_bytes)
    torch.manual_seed(0)
    layer = DeformableConv3x3(8, stride=stride, groups=groups)
    nn.init.normal_(layer.offset.weight, std=0.3)  # offsets that leave the image
    x = torch.randn(2, 8, side, side)

    with torch.inference_mode():
        ours = layer(x)

    theirs = deform_conv2d(x, layer.offset(x), layer.conv.weight, stride=stride, padding=1)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_regions_are_pooled_as_torchvision_pools_them_on_every_level_and_over_every_edge() -> None:
    sides, size = (32, 16, 8, 4), 128
    levels = [noise(2, 6, side, side, seed=side).contiguous(memory_format=torch.channels_last) for side in sides]
    corner = 250 * torch.rand(2, 40, 2, generator=torch.Generator().manual_seed(1)) - 61
    boxes = torch.cat((corner, corner + 2.0 ** (8 * torch.rand(2, 40, 2))), dim=-1).clamp(0, size)
    boxes[:, 0] = 0.0  # what stands where there is no proposal

    pooled = pool_regions(levels, boxes, image_size=size, size=7, sampling=2)

    reference = MultiScaleRoIAlign(["0", "1", "2", "3"], output_size=7, sampling_ratio=2)
    expected = reference({str(n): level for n, level in enumerate(levels)}, list(boxes), [(size, size)] * 2)
    assert torch.allclose(pooled.transpose(1, 2).view_as(expected), expected, atol=1e-4)


@pytest.mark.parametrize("iou", [0.2, 0.5, 0.7])
@pytest.mark.parametrize("run", [suppress, suppress_together])
def test_suppression_of_many_images_at_once_is_the_greedy_one_of_each(run: object, iou: float) -> None:
    corner = 40 * torch.rand(3, 200, 2, generator=torch.Generator().manual_seed(2))
    boxes = torch.cat((corner, corner + 20), dim=-1)
    valid = torch.rand(3, 200, generator=torch.Generator().manual_seed(3)) > 0.2

    kept = run(boxes, valid, iou)  # type: ignore[operator]

    for image in range(3):
        places = valid[image].nonzero()[:, 0]
        best_first = torch.arange(len(places), 0, -1).float()
        expected = places[nms(boxes[image, places], best_first, iou)]
        assert kept[image].nonzero()[:, 0].tolist() == sorted(expected.tolist())


def test_a_long_chain_of_overlaps_is_settled_link_by_link() -> None:
    x = 4.0 * torch.arange(30)
    boxes = torch.stack((x, torch.zeros(30), x + 10, torch.full((30,), 10.0)), dim=-1)[None]  # each overlaps the next

    kept = suppress_together(boxes, torch.ones(1, 30, dtype=torch.bool), 0.3)

    assert kept[0].tolist() == [place % 2 == 0 for place in range(30)]
