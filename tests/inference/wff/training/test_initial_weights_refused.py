"""Weights that do not fit a net are refused by name, before anything is written."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import resnext50_32x4d, resnext101_32x8d, resnext101_64x4d
from torchvision.models.resnet import ResNet

from inference.errors import WeightsError
from inference.wff.config import ClipNet, Norm
from inference.wff.networks.sequence_classifier import SequenceClassifier
from inference.wff.training.initial_weights.conversion import Net, convert, load_initial
from inference.wff.training.initial_weights.names import Purpose
from tests.inference.wff.training.foreign_nets import State, detector, sequence_config, zeros_like


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (resnext101_32x8d, "ResNeXt-101 32x8d; the detector net is a 2-D ResNeXt 32x4d"),
        (resnext101_64x4d, "ResNeXt-101 64x4d; the detector net is a 2-D ResNeXt 32x4d"),
    ],
)
def test_another_width_is_refused_with_the_architecture_that_fits(
    make: Callable[[], nn.Module], named: str, tmp_path: Path
) -> None:
    torch.save(zeros_like(make), tmp_path / "wide.pth")

    with pytest.raises(WeightsError, match=f"{named}.*resnext50_32x4d"):
        convert(tmp_path / "wide.pth", Purpose.DETECTOR, tmp_path / "initial.safetensors")
    assert not (tmp_path / "initial.safetensors").exists()


def test_a_resnext_50_of_the_right_width_fits_a_detector_with_its_blocks(tmp_path: Path) -> None:
    state = zeros_like(resnext50_32x4d)
    torch.save(state, tmp_path / "fifty.pth")

    done = convert(tmp_path / "fifty.pth", Purpose.DETECTOR, tmp_path / "initial.safetensors")

    assert done.matched == len(state) - 2
    assert str(done.source.architecture) == "2-D ResNeXt-50 32x4d"
    with pytest.raises(WeightsError, match=r"blocks 3-4-6-3, the net to train has blocks 1-1-1-1"):
        load_initial(detector(), tmp_path / "initial.safetensors")


def test_a_shape_that_does_not_fit_is_refused_with_both_shapes(resnext: ResNet, tmp_path: Path) -> None:
    state = resnext.state_dict()
    state["layer3.0.bn2.weight"] = torch.zeros(5)
    torch.save(state, tmp_path / "odd.pth")

    with pytest.raises(WeightsError, match=r"layer3\.0\.bn2\.weight has shape \(5,\), but .*bn2\.weight has \(512,\)"):
        convert(tmp_path / "odd.pth", Purpose.DETECTOR, tmp_path / "initial.safetensors")


def without(name: str) -> Callable[[State], State]:
    return lambda state: {n: v for n, v in state.items() if n != name}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (without("layer2.0.bn1.running_mean"), r"lacks layer2\.0\.bn1\.running_mean"),
        (without("conv1.weight"), r"no tensor conv1\.weight"),
        (lambda s: s | {"layer1.0.se.fc.weight": torch.zeros(1)}, r"has layer1\.0\.se\.fc\.weight, which"),
        (lambda s: {"epoch": 3}, "holds no state dict: epoch"),
    ],
)
def test_a_trunk_that_is_not_whole_or_not_plain_is_refused(
    resnext: ResNet, tmp_path: Path, change: Callable[[State], State], named: str
) -> None:
    torch.save(change(resnext.state_dict()), tmp_path / "odd.pth")

    with pytest.raises(WeightsError, match=named):
        convert(tmp_path / "odd.pth", Purpose.DETECTOR, tmp_path / "initial.safetensors")


def test_a_pickle_that_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    torch.save({"state_dict": Path("/")}, tmp_path / "evil.pth")

    with pytest.raises(WeightsError, match="could run code"):
        convert(tmp_path / "evil.pth", Purpose.DETECTOR, tmp_path / "initial.safetensors")


@pytest.mark.parametrize("name", ["weights.pkl", "weights.bin", "weights", "weights.pth", "weights.safetensors"])
def test_a_file_of_another_kind_is_refused_by_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"no weights at all")

    with pytest.raises(WeightsError, match=name):
        convert(tmp_path / name, Purpose.DETECTOR, tmp_path / "initial.safetensors")


@pytest.mark.parametrize(
    ("net", "named"),
    [
        (lambda: detector(norm=Norm.GROUP), "norm 'group': set norm to 'batch'"),
        (lambda: detector(blocks=(1, 2, 1, 1)), "blocks 1-1-1-1, the net to train has blocks 1-2-1-1"),
        (lambda: SequenceClassifier(sequence_config()), "weights for 'detector', not for 'sequence'"),
        (lambda: SequenceClassifier(sequence_config(variant=ClipNet.TWO_D, planes=(32,) * 4)), "3-D sequence"),
    ],
)
def test_a_net_that_the_weights_do_not_fit_is_refused(
    net: Callable[[], Net], named: str, resnext_file: Path, tmp_path: Path
) -> None:
    convert(resnext_file, Purpose.DETECTOR, tmp_path / "initial.safetensors")

    with pytest.raises(WeightsError, match=named):
        load_initial(net(), tmp_path / "initial.safetensors")


def test_a_video_net_for_the_detector_is_refused(video: tuple[nn.Module, Path], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="3-D ResNeXt-17 32x4d; the detector net is a 2-D ResNeXt"):
        convert(video[1], Purpose.DETECTOR, tmp_path / "initial.safetensors")
