"""Sequence classifier: a ResNeXt over one clip of N slices, one malignant probability per sequence.

The 3-D net follows Hara et al. 2018 (ResNeXt with bottleneck expansion 2); the 2-D one takes slices as channels.
"""

import torch
from torch import Tensor, nn

from inference.wff.config import BackboneConfig, ClipNet, Norm, SequenceConfig
from inference.wff.networks.backbone import ResNeXt

EXPANSION = 2  # a stage gives twice as many channels as its 3x3 convolutions have, in both nets
_WIDTH_2D = 128  # channels of the 3x3 convolutions per 64 planes of a 2-D ResNeXt, over all groups: 32x4d
CLASSES = 2  # benign, malignant


class SequenceClassifier(nn.Module):
    """(B, N, size, size) normalised clips -> logits (B, 2): benign, malignant."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk: nn.Module
        if config.variant is ClipNet.THREE_D:
            self.trunk = _Trunk3d(config)
        else:
            self.trunk = _Trunk2d(config)
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(config.planes[-1] * EXPANSION, CLASSES))

    def forward(self, clips: Tensor) -> Tensor:
        logits: Tensor = self.head(self.trunk(clips))
        return logits

    @torch.inference_mode()
    def probability_malignant(self, clips: Tensor) -> list[float]:
        """The module must be in evaluation mode."""
        values: list[float] = self(clips).float().softmax(dim=1)[:, 1].tolist()
        return values


class _Trunk2d(nn.Module):
    """Raises ValueError when a width is odd: a 2-D ResNeXt counts its planes in halves of these widths."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        if any(width % 2 for width in config.planes):
            raise ValueError(f"planes of the 2-D sequence classifier are {config.planes}, expected even numbers")
        backbone = BackboneConfig(
            blocks=config.blocks,
            planes=tuple(width * 64 // _WIDTH_2D for width in config.planes),
            stem_channels=config.stem_channels,
            groups=config.groups,
            width_per_group=_WIDTH_2D // config.groups,
            deformable=(False,) * len(config.blocks),
            norm=config.norm,
            norm_groups=config.norm_groups,
        )
        self.net = ResNeXt(backbone, in_channels=config.clip_slices)

    def forward(self, clips: Tensor) -> Tensor:
        last: Tensor = self.net(clips)[-1]
        return last.mean(dim=(2, 3))


class _Trunk3d(nn.Module):
    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(1, config.stem_channels, 7, stride=(1, 2, 2), padding=3, bias=False),
            _normalisation(config, config.stem_channels),
            nn.ReLU(inplace=True),
            nn.MaxPool3d(3, stride=2, padding=1),
        )
        channels = config.stem_channels
        stages: list[nn.Module] = []
        for index, (planes, blocks) in enumerate(zip(config.planes, config.blocks, strict=True)):
            for block in range(blocks):
                stride = 2 if index > 0 and block == 0 else 1
                stages.append(_Bottleneck3d(config, channels, planes, stride))
                channels = planes * EXPANSION
        self.stages = nn.Sequential(*stages)

    def forward(self, clips: Tensor) -> Tensor:
        features: Tensor = self.stages(self.stem(clips[:, None]))  # (B, C, N/16, size/32, size/32), rounded up
        return features.mean(dim=(2, 3, 4))


class _Bottleneck3d(nn.Module):
    def __init__(self, config: SequenceConfig, channels: int, planes: int, stride: int) -> None:
        super().__init__()
        out_channels = planes * EXPANSION
        self.body = nn.Sequential(
            nn.Conv3d(channels, planes, 1, bias=False),
            _normalisation(config, planes),
            nn.ReLU(inplace=True),
            nn.Conv3d(planes, planes, 3, stride=stride, padding=1, groups=config.groups, bias=False),
            _normalisation(config, planes),
            nn.ReLU(inplace=True),
            nn.Conv3d(planes, out_channels, 1, bias=False),
            _normalisation(config, out_channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv3d(channels, out_channels, 1, stride=stride, bias=False), _normalisation(config, out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def _normalisation(config: SequenceConfig, channels: int) -> nn.Module:
    if config.norm is Norm.BATCH:
        return nn.BatchNorm3d(channels)
    return nn.GroupNorm(config.norm_groups, channels)
