"""Pretrained trunks of other libraries give the same features in our nets."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models.resnet import ResNet

from inference.wff.networks.sequence_classifier import SequenceClassifier
from inference.wff.training.initial_weights.conversion import convert, load_initial
from inference.wff.training.initial_weights.names import Purpose
from tests.inference.wff.training.foreign_nets import (
    detector,
    sequence_config,
)


def features(net: ResNet, x: Tensor) -> list[Tensor]:
    x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
    maps = []
    for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
        x = stage(x)
        maps.append(x)
    return maps


@pytest.mark.parametrize("deformable", [True, False])
def test_a_converted_trunk_gives_the_maps_of_torchvision(
    resnext: ResNet, resnext_file: Path, tmp_path: Path, deformable: bool
) -> None:
    convert(resnext_file, Purpose.DETECTOR, tmp_path / "initial.safetensors")
    ours = detector(deformable=deformable)

    load_initial(ours, tmp_path / "initial.safetensors")

    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        for found, right in zip(ours.backbone.trunk(x), features(resnext, x), strict=True):
            assert right.abs().max() > 0.1
            assert torch.allclose(found, right, rtol=1e-4, atol=1e-4 * float(right.abs().max()))


def test_a_conversion_tells_what_matched_what_is_left_out_and_what_stays_at_its_start(
    resnext_file: Path, tmp_path: Path
) -> None:
    done = convert(resnext_file, Purpose.DETECTOR, tmp_path / "initial.safetensors")

    assert done.matched == len(torch.load(resnext_file, weights_only=True)) - 2
    assert done.left_out == {"fc": 2}
    assert done.at_start == {
        "offsets": 6,
        "backbone.adapters": 8,
        "backbone.fifth": 15 + 5,
        "backbone.pyramid": 20,
        "rpn.head": 6,
        "roi_heads.box_head": 4,
        "roi_heads.box_predictor": 4,
    }


def test_the_header_names_the_source_by_its_hash_and_the_licence(resnext_file: Path, tmp_path: Path) -> None:
    convert(resnext_file, Purpose.DETECTOR, tmp_path / "initial.safetensors", licence="BSD-3-Clause, torchvision")

    with safe_open(tmp_path / "initial.safetensors", framework="pt") as opened:
        header = opened.metadata()
    assert header["source_sha256"] == hashlib.sha256(resnext_file.read_bytes()).hexdigest()
    assert header["licence"] == "BSD-3-Clause, torchvision"
    assert (header["purpose"], header["origin"], header["blocks"]) == ("detector", "torchvision", "1-1-1-1")


def test_a_safetensors_file_is_read_as_well(resnext: ResNet, resnext_file: Path, tmp_path: Path) -> None:
    save_file(resnext.state_dict(), tmp_path / "model.safetensors")

    one = convert(tmp_path / "model.safetensors", Purpose.DETECTOR, tmp_path / "a.safetensors")
    other = convert(resnext_file, Purpose.DETECTOR, tmp_path / "b.safetensors")

    assert one.matched == other.matched


def test_of_an_mmdetection_checkpoint_the_backbone_comes_with_its_learned_offsets(
    resnext: ResNet, tmp_path: Path
) -> None:
    state = {f"backbone.{name}": value for name, value in resnext.state_dict().items() if not name.startswith("fc")}
    offsets = torch.randn(18, 256, 3, 3, generator=torch.Generator().manual_seed(3))
    state |= {"backbone.layer2.0.conv2.conv_offset.weight": offsets, "neck.lateral_convs.0.conv.bias": torch.zeros(2)}
    torch.save({"meta": {"epoch": 12}, "state_dict": state}, tmp_path / "faster_rcnn.pth")

    done = convert(tmp_path / "faster_rcnn.pth", Purpose.DETECTOR, tmp_path / "initial.safetensors")
    net = detector()
    load_initial(net, tmp_path / "initial.safetensors")

    assert done.left_out == {"neck": 1}
    assert done.at_start["offsets"] == 5
    assert torch.equal(net.backbone.trunk.stages[1][0].conv2.offset.weight, offsets)


def test_a_converted_video_net_gives_its_own_features_for_gray_clips(
    video: tuple[nn.Module, Path], tmp_path: Path
) -> None:
    reference, file = video
    done = convert(file, Purpose.SEQUENCE, tmp_path / "initial.safetensors")
    net = SequenceClassifier(sequence_config()).eval()

    loaded = load_initial(net, tmp_path / "initial.safetensors")

    clips = torch.randn(2, 4, 32, 32, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        right = reference(done.input_std * clips[:, None].expand(-1, 3, -1, -1, -1))
        assert torch.allclose(net.trunk(clips), right, rtol=1e-4, atol=1e-4 * float(right.abs().max()))
        assert right.std(dim=1).min() > 0.01
    assert done.left_out == {"fc": 2}
    assert loaded.at_start == {"head.1": 2}
    assert loaded.header["origin"] == "3D-ResNets-PyTorch"
    assert done.input_std == pytest.approx(38.9)  # gray levels less their mean, where ours sees standardised ones


def test_who_knows_what_the_source_was_trained_on_can_say_so(video: tuple[nn.Module, Path], tmp_path: Path) -> None:
    convert(video[1], Purpose.SEQUENCE, tmp_path / "usual.safetensors")
    convert(video[1], Purpose.SEQUENCE, tmp_path / "told.safetensors", input_std=2.0)

    usual, told = (load_file(tmp_path / f"{name}.safetensors")["trunk.stem.0.weight"] for name in ("usual", "told"))

    assert torch.allclose(told / 2.0, usual / 38.9)
