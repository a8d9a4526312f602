"""Batch normalisation at its stored statistics is a scale and a shift: folded into the convolution before it."""

from itertools import pairwise
from typing import Any

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_conv_bn_weights
from torchvision.models.resnet import Bottleneck

from inference.wff.networks.deformable import DeformableConv3x3

_BATCH_NORM = (nn.BatchNorm2d, nn.BatchNorm3d)
_CONVOLUTION = (nn.Conv2d, nn.Conv3d, DeformableConv3x3)


def fold_batch_norm(net: nn.Module) -> None:
    """Changes `net`, which must be in evaluation mode; other normalisations stay."""
    for module in list(net.modules()):
        for conv_name, norm_name in _pairs(module):
            norm = getattr(module, norm_name)
            if isinstance(norm, _BATCH_NORM):
                setattr(module, conv_name, _folded(getattr(module, conv_name), norm))
                setattr(module, norm_name, nn.Identity())


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    """Names of convolutions and of what normalises each."""
    if isinstance(module, Bottleneck):
        return [(f"conv{n}", f"bn{n}") for n in (1, 2, 3)]
    if isinstance(module, nn.Sequential):
        named = list(module.named_children())
        return [(a, b) for (a, conv), (b, _) in pairwise(named) if isinstance(conv, _CONVOLUTION)]
    return []


def _folded(conv: Any, norm: Any) -> nn.Module:
    if not isinstance(conv, DeformableConv3x3):
        folded: nn.Module = fuse_conv_bn_eval(conv, norm)
        return folded
    inner = conv.conv
    inner.weight, inner.bias = fuse_conv_bn_weights(
        inner.weight, inner.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    return conv
