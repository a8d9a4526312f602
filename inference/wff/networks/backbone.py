"""Feature extraction of the detector: ResNeXt with deformable convolutions, five scales, feature pyramid."""

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from inference.wff.config import BackboneConfig, Fen, Norm
from inference.wff.networks.deformable import DeformableConv3x3

EXPANSION = 4  # output channels of a bottleneck per plane
LEVELS = ("p2", "p3", "p4", "p5", "p6")  # strides 4, 8, 16, 32, 64


class ResNeXt(nn.Module):
    """Stem and four stages. (B, in_channels, H, W) -> maps at 1/4, 1/8, 1/16, 1/32 with 4 x planes channels."""

    def __init__(self, config: BackboneConfig, *, in_channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, config.stem_channels, 7, stride=2, padding=3, bias=False),
            normalisation(config, config.stem_channels),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        channels = config.stem_channels
        stages = []
        for index, (planes, blocks) in enumerate(zip(config.planes, config.blocks, strict=True)):
            stride = 1 if index == 0 else 2
            stages.append(_stage(config, channels, planes, blocks, stride, config.deformable[index]))
            channels = planes * EXPANSION
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class PyramidBackbone(nn.Module):
    """(B, 3, S, S) -> {"p2": (B, C, S/4, S/4), ..., "p6": (B, C, S/64, S/64)}."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.trunk = ResNeXt(config)
        stage_channels = [planes * EXPANSION for planes in config.planes]
        self.adapters = nn.ModuleList()
        self.fifth: nn.Module | None = None
        if config.fen is Fen.PAPER:
            *adapted, fifth = config.fen_channels
            self.adapters.extend(nn.Conv2d(c, a, 1) for c, a in zip(stage_channels, adapted, strict=True))
            self.fifth = _bottleneck(config, stage_channels[-1], fifth // EXPANSION, stride=2, deformable=False)
            self.pyramid = FeaturePyramidNetwork(list(config.fen_channels), config.fpn_channels)
        else:
            self.pyramid = FeaturePyramidNetwork(stage_channels, config.fpn_channels, LastLevelMaxPool())

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps = self.trunk(x)
        scales = maps
        if self.fifth is not None:
            scales = [adapter(m) for adapter, m in zip(self.adapters, maps, strict=True)]
            scales.append(self.fifth(maps[-1]))
        pyramid = self.pyramid(OrderedDict(enumerate(scales)))
        return dict(zip(LEVELS, pyramid.values(), strict=True))


def normalisation(config: BackboneConfig, channels: int) -> nn.Module:
    if config.norm is Norm.BATCH:
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(config.norm_groups, channels)


def _stage(
    config: BackboneConfig, channels: int, planes: int, blocks: int, stride: int, deformable: bool
) -> nn.Sequential:
    first = _bottleneck(config, channels, planes, stride=stride, deformable=deformable)
    rest = [_bottleneck(config, planes * EXPANSION, planes, stride=1, deformable=deformable) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


def _bottleneck(config: BackboneConfig, channels: int, planes: int, *, stride: int, deformable: bool) -> nn.Module:
    """torchvision's bottleneck with our normalisation and, where asked, a deformable 3x3."""
    out_channels = planes * EXPANSION
    shortcut = None
    if stride != 1 or channels != out_channels:
        shortcut = nn.Sequential(
            nn.Conv2d(channels, out_channels, 1, stride=stride, bias=False), normalisation(config, out_channels)
        )
    block: Any = Bottleneck(  # untyped
        channels,
        planes,
        stride=stride,
        downsample=shortcut,
        groups=config.groups,
        base_width=config.width_per_group,
        norm_layer=lambda c: normalisation(config, c),
    )
    if deformable:
        block.conv2 = DeformableConv3x3(block.conv2.in_channels, stride=stride, groups=config.groups)
    # the last normalisation starts at zero: a net trained from scratch starts shallow
    nn.init.zeros_(block.bn3.weight)
    bottleneck: nn.Module = block
    return bottleneck
