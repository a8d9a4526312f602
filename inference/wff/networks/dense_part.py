"""The part of the detector whose shapes never change: backbone, pyramid and the maps of the proposal network."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from inference.wff.networks.backbone import LEVELS, PyramidBackbone


class DenseMaps(NamedTuple):
    """Per level of the pyramid, fine to coarse."""

    features: tuple[Tensor, ...]  # (B, C, side, side), channels last
    objectness: tuple[Tensor, ...]  # (B, side x side x shapes) logits in 32 bits
    deltas: tuple[Tensor, ...]  # (B, side x side x shapes, 4) in 32 bits


Dense = Callable[[Tensor], DenseMaps]  # images (B, 3, S, S) -> their maps


class DensePart(nn.Module):
    """images (B, 3, S, S) -> DenseMaps."""

    def __init__(self, backbone: PyramidBackbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: Tensor) -> DenseMaps:
        features = list(self.backbone(images).values())
        logits, deltas = self.head(features)
        return DenseMaps(
            features=tuple(features),
            objectness=tuple(one.permute(0, 2, 3, 1).flatten(1).float() for one in logits),
            deltas=tuple(one.permute(0, 2, 3, 1).reshape(len(one), -1, 4).float() for one in deltas),
        )


def sides_of(size: int) -> tuple[int, ...]:
    """Side of the maps of each level in pixels, for images of `size` pixels: strides 4, 8, 16, 32, 64."""
    return tuple(size // (4 * 2**n) for n in range(len(LEVELS)))
