"""Greedy non-maximum suppression of many images at once."""

import torch
from torch import Tensor
from torchvision.ops import box_iou, nms

_ROUNDS_PER_LOOK = 4  # looking whether all is settled waits for the device; a round too many costs less


def suppress(boxes: Tensor, valid: Tensor, iou: float) -> Tensor:
    """boxes (B, K, 4) best first, valid (B, K) -> (B, K): those that no better one kept overlaps by more than `iou`."""
    if boxes.device.type == "cpu":
        return _one_by_one(boxes, valid, iou)
    return suppress_together(boxes, valid, iou)


def _one_by_one(boxes: Tensor, valid: Tensor, iou: float) -> Tensor:
    """By torchvision's kernel, which on a CPU stops early where the dense one cannot."""
    keep = torch.zeros_like(valid)
    for image, its_boxes in enumerate(boxes):
        places = valid[image].nonzero()[:, 0]
        best_first = torch.arange(len(places), 0, -1, dtype=boxes.dtype)
        keep[image, places[nms(its_boxes[places], best_first, iou)]] = True
    return keep


def suppress_together(boxes: Tensor, valid: Tensor, iou: float) -> Tensor:
    """All images in the same few kernels, where a call per image would keep a GPU waiting for Python.

    Starts with every valid box and drops what a kept better box overlaps, again and again, until nothing changes:
    after n rounds the first n links of every chain of overlaps are settled, so the end is the greedy answer.
    """
    overlaps = torch.vmap(box_iou)(boxes, boxes) > iou
    beats = torch.triu(overlaps, diagonal=1)  # (B, better, worse)
    keep = valid
    while True:
        before = keep
        for _ in range(_ROUNDS_PER_LOOK):
            keep = valid & ~(beats & keep[:, :, None]).any(dim=1)
        if torch.equal(keep, before):
            return keep
