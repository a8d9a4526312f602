"""Nets of other libraries as their checkpoints have them, small, and ours that they fit."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

from inference.wff.config import Norm, SequenceConfig, paper_config
from inference.wff.networks.detector import Detector

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


def detector(*, blocks: tuple[int, ...] = SHALLOW, norm: Norm = Norm.BATCH, deformable: bool = True) -> Detector:
    backbone = replace(PAPER.detector.backbone, blocks=blocks, norm=norm, deformable=(False, *(deformable,) * 3))
    return Detector(replace(PAPER.detector, backbone=backbone, image_size=64, roi_hidden=8)).eval()


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


def sequence_config(**changed: object) -> SequenceConfig:
    small = replace(PAPER.sequence, blocks=(2, 1, 1, 1), norm=Norm.BATCH, clip_slices=4, clip_size=32)
    return replace(small, **changed)  # type: ignore[arg-type]


def zeros_like(make: Callable[[], nn.Module]) -> State:
    """Names and shapes of a full-size net in a few kilobytes: one number, repeated by strides of zero."""
    with torch.device("meta"):
        return {name: torch.zeros((), device="cpu").expand(v.shape) for name, v in make().state_dict().items()}
