"""From the maps of the region proposal network to a fixed number of boxes per image, all images at once."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import clip_boxes_to_image

from inference.wff.networks.suppression import suppress


class Proposer:
    """Anchors and limits of a trained proposal network for square images of `size` pixels; a level is a scale."""

    def __init__(
        self,
        rpn: RegionProposalNetwork,
        *,
        size: int,
        sides: Sequence[int],
        counts: tuple[int, int],
        device: torch.device,
    ) -> None:
        """`sides` of the maps of each level in pixels; `counts` of boxes per level before and per image after NMS."""
        self._size = size
        self._before, self._after = counts
        self._coder = rpn.box_coder
        self._iou = rpn.nms_thresh
        self._smallest = rpn.min_size
        maps = [torch.empty(1, 1, side, side, device=device) for side in sides]
        (anchors,) = rpn.anchor_generator(ImageList(torch.empty(1, 3, size, size, device=device), [(size, size)]), maps)
        per_place = rpn.anchor_generator.num_anchors_per_location()
        self._anchors = anchors.split([side**2 * n for side, n in zip(sides, per_place, strict=True)])

    def __call__(self, objectness: Sequence[Tensor], deltas: Sequence[Tensor]) -> Tensor:
        """Per level objectness (B, n) and deltas (B, n, 4) -> (B, R, 4) best first; where there are fewer, empty boxes.

        The order of the anchors is rows, columns, shapes.
        """
        levels = [self._best_of(*level) for level in zip(self._anchors, objectness, deltas, strict=True)]
        boxes, scores = (torch.cat(parts, dim=1) for parts in zip(*levels, strict=True))
        best = scores.topk(min(self._after, scores.shape[1]), dim=1)
        chosen = boxes.gather(1, best.indices[..., None].expand(-1, -1, 4))
        return torch.where(best.values[..., None] >= 0, chosen, 0.0)

    def _best_of(self, anchors: Tensor, objectness: Tensor, deltas: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (B, k, 4) of one level and their scores (B, k), -1 for suppressed ones."""
        best = objectness.topk(min(self._before, objectness.shape[1]), dim=1)
        deltas = deltas.gather(1, best.indices[..., None].expand(-1, -1, 4))
        decoded = self._coder.decode_single(deltas.reshape(-1, 4), anchors[best.indices].view(-1, 4))
        boxes = clip_boxes_to_image(decoded, (self._size, self._size)).view(deltas.shape)
        kept = suppress(boxes, at_least(boxes, self._smallest), self._iou)
        return boxes, best.values.sigmoid().where(kept, -1.0)


def at_least(boxes: Tensor, side: float) -> Tensor:
    """boxes (..., 4) -> (...): whether both sides have this length."""
    return (boxes[..., 2] - boxes[..., 0] >= side) & (boxes[..., 3] - boxes[..., 1] >= side)
