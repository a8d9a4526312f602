from dataclasses import replace

import pytest
import torch
from torch import nn
from torchvision.ops import deform_conv2d

from inference.wff.config import BackboneConfig, ClipNet, Fen, WffConfig, micro_config, paper_config
from inference.wff.model import WffModel
from inference.wff.networks.backbone import DeformableConv3x3, PyramidBackbone
from inference.wff.networks.detector import Detector, Target
from inference.wff.networks.sequence_classifier import SequenceClassifier


@pytest.mark.parametrize("fen", list(Fen))
def test_the_pyramid_has_five_levels_at_strides_four_to_sixty_four(fen: Fen) -> None:
    backbone = PyramidBackbone(replace(micro_config().detector.backbone, fen=fen))

    pyramid = backbone(torch.zeros(2, 3, 128, 128))

    assert [tuple(level.shape) for level in pyramid.values()] == [(2, 16, side, side) for side in (32, 16, 8, 4, 2)]


@pytest.mark.parametrize(("stride", "groups", "side"), [(1, 1, 7), (2, 4, 8), (1, 4, 1)])
def test_deformable_convolution_on_the_cpu_equals_the_kernel_of_torchvision(
    stride: int, groups: int, side: int
) -> None:
    torch.manual_seed(0)
    layer = DeformableConv3x3(8, stride=stride, groups=groups).double()
    nn.init.normal_(layer.offset.weight, std=0.3)  # offsets that leave the image
    x = torch.randn(2, 8, side, side, dtype=torch.float64)

    ours = layer(x)

    theirs = deform_conv2d(x, layer.offset(x), layer.conv.weight, stride=stride, padding=1)
    assert torch.allclose(ours, theirs, atol=1e-9)


def test_deformable_convolution_starts_as_the_plain_one() -> None:
    layer = DeformableConv3x3(4, stride=2, groups=2)
    x = torch.randn(1, 4, 9, 9)

    plain = nn.functional.conv2d(x, layer.conv.weight, stride=2, padding=1, groups=2)

    assert torch.allclose(layer(x), plain, atol=1e-5)


def test_gradients_of_the_deformable_convolution_are_right() -> None:
    torch.manual_seed(1)
    layer = DeformableConv3x3(2, stride=1, groups=1).double()
    assert layer.offset.bias is not None
    nn.init.constant_(layer.offset.bias, 0.3)  # away from whole pixels, where the derivative jumps
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(layer, (x,))


def test_the_detector_learns_from_all_its_parts() -> None:
    detector = Detector(micro_config().detector).train()
    targets = [
        Target(torch.tensor([[30.0, 30.0, 70.0, 70.0]]), torch.tensor([2])),
        Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)),  # a slice without lesion
    ]

    losses = detector.losses(torch.randn(2, 3, 128, 128), targets)

    assert set(losses) == {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg"}
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_the_detector_refuses_images_of_another_size() -> None:
    with pytest.raises(ValueError, match="128, 128"):
        Detector(micro_config().detector).eval().detect(torch.zeros(1, 3, 64, 128))


def test_a_slice_gives_the_same_boxes_alone_and_in_a_batch(micro_model: WffModel) -> None:
    detector, _ = micro_model.nets
    images = torch.randn(5, 3, 128, 128, generator=torch.Generator().manual_seed(2))

    together = detector.detect(images)

    for index, among_others in enumerate(together):
        (alone,) = detector.detect(images[index : index + 1])
        assert len(alone.boxes) > 0
        assert torch.equal(alone.labels, among_others.labels)
        assert torch.allclose(alone.boxes, among_others.boxes, atol=1e-3)
        assert torch.allclose(alone.scores, among_others.scores, atol=1e-5)


@pytest.mark.parametrize("variant", list(ClipNet))
def test_a_clip_gives_the_same_probability_alone_and_in_a_batch(variant: ClipNet) -> None:
    torch.manual_seed(4)
    config = replace(micro_config().sequence, variant=variant)
    net = SequenceClassifier(config).eval()
    clips = torch.randn(3, config.clip_slices, config.clip_size, config.clip_size)

    together = net.probability_malignant(clips)

    alone = [net.probability_malignant(clip[None])[0] for clip in clips]
    assert together == pytest.approx(alone, abs=1e-5)
    assert all(0 < p < 1 for p in together)


def test_all_sizes_are_built_by_the_same_code() -> None:
    assert isinstance(micro_config(), WffConfig)
    assert paper_config().detector.backbone == BackboneConfig()
