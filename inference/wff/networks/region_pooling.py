"""RoIAlign over a feature pyramid as weighted sums of rows, all images and levels in one call.

The same numbers as torchvision's MultiScaleRoIAlign (aligned=False) gives, whose CPU kernel runs in a single thread.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops.poolers import LevelMapper

from inference.wff.networks.sampling import table_of, weighted_rows


def pool_regions(levels: Sequence[Tensor], boxes: Tensor, *, image_size: int, size: int, sampling: int) -> Tensor:
    """levels (B, C, H, W) from fine to coarse, boxes (B, R, 4) in image pixels -> (B x R, size x size, C).

    Each of the size x size bins of a box is the mean of sampling x sampling points, on the level that fits its area.
    """
    device = boxes.device
    flat = boxes.reshape(-1, 4)
    chosen = LevelMapper(*(round(math.log2(image_size / maps.shape[-1])) for maps in (levels[0], levels[-1])))([flat])
    sides = torch.tensor([maps.shape[-1] for maps in levels], device=device)
    areas = sides**2
    side = sides[chosen]
    image = torch.arange(len(boxes), device=device).repeat_interleave(boxes.shape[1])
    first = (len(boxes) * (areas.cumsum(0) - areas))[chosen] + image * areas[chosen]
    start = flat[:, :2] * (side / image_size)[:, None]
    extent = (flat[:, 2:] * (side / image_size)[:, None] - start).clamp(min=1.0)
    columns, across = _along(start[:, 0], extent[:, 0], side, size=size, sampling=sampling)
    rows, down = _along(start[:, 1], extent[:, 1], side, size=size, sampling=sampling)
    places = first.view(-1, 1, 1, 1, 1) + (rows * side.view(-1, 1, 1))[:, :, None, :, None] + columns[:, None, :, None]
    weights = down[:, :, None, :, None] * across[:, None, :, None]
    bins = (len(flat), size * size, -1)
    table = torch.cat([table_of(maps) for maps in levels])
    return weighted_rows(table, places.to(torch.int32).view(bins), weights.view(bins))


def _along(start: Tensor, extent: Tensor, limit: Tensor, *, size: int, sampling: int) -> tuple[Tensor, Tensor]:
    """One axis: start, extent and limit (N,) in pixels of the map -> places and weights (N, size, 2 x sampling)."""
    inside_bin = (torch.arange(size * sampling, device=start.device) + 0.5) / sampling
    at = start[:, None] + inside_bin * (extent / size)[:, None]
    last = limit[:, None] - 1
    counted = (at >= -1) & (at <= limit[:, None])
    at = torch.minimum(at.clamp(min=0.0), last)
    low = at.floor()
    part = at - low
    places = torch.stack((low, torch.minimum(low + 1, last)), dim=-1)
    weights = torch.stack((1.0 - part, part), dim=-1) * counted[..., None] / sampling
    return places.long().view(len(start), size, -1), weights.view(len(start), size, -1)
