"""Pretrained trunks of other libraries give the same features in our nets; what does not fit is refused by name."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models import resnext50_32x4d, resnext101_32x8d, resnext101_64x4d
from torchvision.models.resnet import Bottleneck, ResNet

from inference.errors import WeightsError
from inference.wff.config import ClipNet, Norm, SequenceConfig, paper_config
from inference.wff.detector import Detector
from inference.wff.pretrained import Net, convert, load_initial
from inference.wff.pretrained_names import Purpose
from inference.wff.sequence_classifier import SequenceClassifier

PAPER = paper_config()
SHALLOW = (1, 1, 1, 1)
State = dict[str, Tensor]


def randomised(net: nn.Module) -> nn.Module:
    """Statistics as of a trained net, so that a mixed-up normalisation shows."""
    generator = torch.Generator().manual_seed(7)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            for value in (module.weight, module.bias, module.running_mean, module.running_var):
                assert value is not None
                value.data.uniform_(0.2, 1.0, generator=generator)
    return net.eval()


def shallow_resnext(width_per_group: int = 4, groups: int = 32) -> ResNet:
    torch.manual_seed(1)
    net = randomised(ResNet(Bottleneck, list(SHALLOW), groups=groups, width_per_group=width_per_group, num_classes=5))
    assert isinstance(net, ResNet)
    return net


@pytest.fixture(scope="module")
def resnext() -> ResNet:
    return shallow_resnext()


@pytest.fixture(scope="module")
def file(resnext: ResNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "resnext.pth"
    torch.save(resnext.state_dict(), path)
    return path


def detector(*, blocks: tuple[int, ...] = SHALLOW, norm: Norm = Norm.BATCH, deformable: bool = True) -> Detector:
    backbone = replace(PAPER.detector.backbone, blocks=blocks, norm=norm, deformable=(False, *(deformable,) * 3))
    return Detector(replace(PAPER.detector, backbone=backbone, image_size=64, roi_hidden=8)).eval()


def features(net: ResNet, x: Tensor) -> list[Tensor]:
    x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
    maps = []
    for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
        x = stage(x)
        maps.append(x)
    return maps


@pytest.mark.parametrize("deformable", [True, False])
def test_a_converted_trunk_gives_the_maps_of_torchvision(
    resnext: ResNet, file: Path, tmp_path: Path, deformable: bool
) -> None:
    convert(file, Purpose.DETECTOR, tmp_path / "initial.safetensors")
    ours = detector(deformable=deformable)

    load_initial(ours, tmp_path / "initial.safetensors")

    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        for found, right in zip(ours.backbone.trunk(x), features(resnext, x), strict=True):
            assert right.abs().max() > 0.1
            assert torch.allclose(found, right, rtol=1e-4, atol=1e-4 * float(right.abs().max()))


def test_a_conversion_tells_what_matched_what_is_left_out_and_what_stays_at_its_start(
    file: Path, tmp_path: Path
) -> None:
    done = convert(file, Purpose.DETECTOR, tmp_path / "initial.safetensors")

    assert done.matched == len(torch.load(file, weights_only=True)) - 2
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


def test_the_header_names_the_source_by_its_hash_and_the_licence(file: Path, tmp_path: Path) -> None:
    convert(file, Purpose.DETECTOR, tmp_path / "initial.safetensors", licence="BSD-3-Clause, torchvision")

    with safe_open(tmp_path / "initial.safetensors", framework="pt") as opened:
        header = opened.metadata()
    assert header["source_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert header["licence"] == "BSD-3-Clause, torchvision"
    assert (header["purpose"], header["origin"], header["blocks"]) == ("detector", "torchvision", "1-1-1-1")


def test_a_safetensors_file_is_read_as_well(resnext: ResNet, file: Path, tmp_path: Path) -> None:
    save_file(resnext.state_dict(), tmp_path / "model.safetensors")

    one = convert(tmp_path / "model.safetensors", Purpose.DETECTOR, tmp_path / "a.safetensors")
    other = convert(file, Purpose.DETECTOR, tmp_path / "b.safetensors")

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


class VideoBlock(nn.Module):
    """The bottleneck of a 3-D ResNeXt with expansion 2, written plainly."""

    def __init__(self, channels: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv3d(channels, planes, 1, bias=False), nn.BatchNorm3d(planes)
        self.conv2 = nn.Conv3d(planes, planes, 3, stride, padding=1, groups=32, bias=False)
        self.bn2 = nn.BatchNorm3d(planes)
        self.conv3, self.bn3 = nn.Conv3d(planes, 2 * planes, 1, bias=False), nn.BatchNorm3d(2 * planes)
        if stride > 1 or channels != 2 * planes:
            shortcut = nn.Conv3d(channels, 2 * planes, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm3d(2 * planes))

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn1(self.conv1(x)).relu()
        out = self.bn2(self.conv2(out)).relu()
        return (self.bn3(self.conv3(out)) + (self.downsample(x) if hasattr(self, "downsample") else x)).relu()


class VideoNet(nn.Module):
    def __init__(self, blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, 7, stride=(1, 2, 2), padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        channels = 64
        for number, (planes, count) in enumerate(zip((128, 256, 512, 1024), blocks, strict=True), 1):
            stage = []
            for block in range(count):
                stage.append(VideoBlock(channels, planes, 2 if number > 1 and block == 0 else 1))
                channels = 2 * planes
            setattr(self, f"layer{number}", nn.Sequential(*stage))
        self.fc = nn.Linear(channels, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool3d(self.bn1(self.conv1(x)).relu(), 3, stride=2, padding=1)
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        return x.mean(dim=(2, 3, 4))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    torch.manual_seed(4)
    net = randomised(VideoNet((2, 1, 1, 1)))
    old = {f"module.{n}": v for n, v in net.state_dict().items() if not n.endswith("num_batches_tracked")}
    path = tmp_path_factory.mktemp("source") / "resnext-101-kinetics.pth"
    checkpoint = {"epoch": 150, "arch": "resnext-101", "state_dict": old}
    torch.save(checkpoint, path, _use_new_zipfile_serialization=False)  # as in the days of that library
    return net, path


def sequence_config(**changed: object) -> SequenceConfig:
    small = replace(PAPER.sequence, blocks=(2, 1, 1, 1), norm=Norm.BATCH, clip_slices=4, clip_size=32)
    return replace(small, **changed)  # type: ignore[arg-type]


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


def zeros_like(make: Callable[[], nn.Module]) -> State:
    """Names and shapes of a full-size net in a few kilobytes: one number, repeated by strides of zero."""
    with torch.device("meta"):
        return {name: torch.zeros((), device="cpu").expand(v.shape) for name, v in make().state_dict().items()}


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
    net: Callable[[], Net], named: str, file: Path, tmp_path: Path
) -> None:
    convert(file, Purpose.DETECTOR, tmp_path / "initial.safetensors")

    with pytest.raises(WeightsError, match=named):
        load_initial(net(), tmp_path / "initial.safetensors")


def test_a_video_net_for_the_detector_is_refused(video: tuple[nn.Module, Path], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="3-D ResNeXt-17 32x4d; the detector net is a 2-D ResNeXt"):
        convert(video[1], Purpose.DETECTOR, tmp_path / "initial.safetensors")
