"""Bilinear reading of feature maps at free points, as weighted sums of whole rows.

A map that lies channels last is a table with one row of channels per pixel; a point between four pixels is a weighted
sum of four rows, which `torch.embedding_bag` adds with vector instructions. On a CPU that is several times faster than
reading the map channel by channel. No gradients: for inference.
"""

import torch
from torch import Tensor

CORNERS = 4  # pixels round a point


def table_of(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B x H x W, C); a view where `x` lies channels last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def corners(y: Tensor, x: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Points (...) in pixels -> places (..., 4) int32 of their neighbours in one map and weights (..., 4).

    0 is the centre of the first pixel. Outside the map all values are 0. Offset the places by the first row of the
    image in the table.
    """
    top, left = y.floor(), x.floor()
    down, right = y - top, x - left
    up, leftwards = 1.0 - down, 1.0 - right
    near_y = torch.stack((top, top, top + 1.0, top + 1.0), dim=-1)
    near_x = torch.stack((left, left + 1.0, left, left + 1.0), dim=-1)
    weights = torch.stack((up * leftwards, up * right, down * leftwards, down * right), dim=-1)
    inside = (near_y >= 0) & (near_y <= rows - 1) & (near_x >= 0) & (near_x <= columns - 1)
    places = near_y.clamp(0, rows - 1) * columns + near_x.clamp(0, columns - 1)
    return places.to(torch.int32), weights * inside


def weighted_rows(table: Tensor, places: Tensor, weights: Tensor) -> Tensor:
    """table (R, C), places and weights (..., K) -> (..., C): for each bag of K rows their weighted sum."""
    size = places.shape[-1]
    starts = torch.arange(0, places.numel() + 1, size, dtype=places.dtype, device=places.device)
    summed: Tensor = torch.embedding_bag(
        table,
        places.reshape(-1),
        starts,
        mode=0,  # sum
        per_sample_weights=weights.reshape(-1).to(table.dtype),
        include_last_offset=True,
    )[0]
    return summed.view(*places.shape[:-1], table.shape[1])
