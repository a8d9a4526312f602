"""Deformable convolution (DCNv1, Dai et al. 2017): a 3x3 convolution whose taps move by learned offsets."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import DeformConv2d

from inference.wff.networks.sampling import corners, table_of, weighted_rows

TAPS = 9  # of a 3x3 kernel; one (y, x) offset per tap
_CACHED_BYTES = 1 << 20  # moved taps per thread: written and read again before they leave its cache


class DeformableConv3x3(nn.Module):
    """One offset group. Offsets start at zero, so that it starts as the plain convolution.

    On the CPU the taps are read by grid_sample where gradients are wanted and as rows of a table in inference: the
    same sum, many times faster than torchvision's kernel, which runs there in a single thread. Elsewhere that kernel
    runs in the type of its weights, which may be wider than the input's: it does not know every type on every device.
    """

    def __init__(self, channels: int, *, stride: int, groups: int) -> None:
        super().__init__()
        self.stride = stride
        self.groups = groups
        self.offset = nn.Conv2d(channels, 2 * TAPS, 3, stride=stride, padding=1)
        nn.init.zeros_(self.offset.weight)
        if self.offset.bias is not None:
            nn.init.zeros_(self.offset.bias)
        self.conv = DeformConv2d(channels, channels, 3, stride=stride, padding=1, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        offsets = self.offset(x)
        if x.device.type != "cpu":
            known = self.conv.weight.dtype
            moved: Tensor = self.conv(x.to(known), offsets.to(known))
            return moved.to(x.dtype)
        by_sampling = _by_grid if torch.is_grad_enabled() else _by_rows
        out = by_sampling(x, offsets, self.conv.weight, stride=self.stride, groups=self.groups)
        return out if self.conv.bias is None else out + self.conv.bias[:, None, None]


def _by_grid(x: Tensor, offsets: Tensor, weight: Tensor, *, stride: int, groups: int) -> Tensor:
    """x (B, C, H, W), offsets (B, 18, h, w) as (y, x) per tap in pixels -> (B, C, h, w). Outside the image is zero."""
    batch, channels, rows, columns = x.shape
    h, w = offsets.shape[2:]
    taps = offsets.view(batch, TAPS, 2, h, w)
    steps = torch.arange(-1, 2, device=x.device, dtype=x.dtype)
    base_y = torch.arange(h, device=x.device, dtype=x.dtype)[:, None] * stride
    base_x = torch.arange(w, device=x.device, dtype=x.dtype)[None, :] * stride
    y = taps[:, :, 0] + steps.repeat_interleave(3)[:, None, None] + base_y  # (B, 9, h, w)
    x_ = taps[:, :, 1] + steps.repeat(3)[:, None, None] + base_x
    # grid_sample wants -1..1 over the outer edges of the map (align_corners=False)
    grid = torch.stack(((2 * x_ + 1) / columns - 1, (2 * y + 1) / rows - 1), dim=-1)
    sampled = functional.grid_sample(x, grid.view(batch, TAPS * h, w, 2), padding_mode="zeros", align_corners=False)
    taps_per_group = sampled.reshape(batch, groups, channels // groups * TAPS, h * w)
    kernels = weight.reshape(groups, weight.shape[0] // groups, -1)
    return torch.matmul(kernels, taps_per_group).view(batch, weight.shape[0], h, w)


def _by_rows(x: Tensor, offsets: Tensor, weight: Tensor, *, stride: int, groups: int) -> Tensor:
    """The same as `_by_grid`, piece by piece of the output; the result lies channels last."""
    batch, channels, rows, columns = x.shape
    out_channels, in_group = weight.shape[:2]
    h, w = offsets.shape[2:]
    places, weights = _taps(offsets.permute(0, 2, 3, 1).float(), stride, rows, columns)
    kernels = weight.view(groups, out_channels // groups, in_group, TAPS).permute(0, 3, 2, 1)
    kernels = kernels.reshape(groups, TAPS * in_group, out_channels // groups)
    table = table_of(x)
    out = x.new_empty(batch * h * w, out_channels)
    piece = max(1, _CACHED_BYTES * torch.get_num_threads() // (TAPS * channels * x.element_size()))
    for begin in range(0, len(out), piece):
        here = slice(begin, begin + piece)
        moved = weighted_rows(table, places[here], weights[here])  # (n, 9, C)
        by_group = moved.view(-1, TAPS, groups, in_group).permute(2, 0, 1, 3).reshape(groups, -1, TAPS * in_group)
        out[here].view(-1, groups, out_channels // groups).copy_(torch.bmm(by_group, kernels).transpose(0, 1))
    return out.view(batch, h, w, out_channels).permute(0, 3, 1, 2)


def _taps(offsets: Tensor, stride: int, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """offsets (B, h, w, 18) -> places in the table of a (B, C, rows, columns) map and weights, both (B x h x w, 9, 4).

    In 32 bits: with fewer, a coordinate far from 0 would lose its fraction of a pixel.
    """
    batch, h, w = offsets.shape[:3]
    device = offsets.device
    taps = offsets.reshape(batch, h, w, TAPS, 2)
    steps = torch.arange(-1.0, 2.0, device=device)
    y = taps[..., 0] + steps.repeat_interleave(3) + torch.arange(0, h * stride, stride, device=device)[:, None, None]
    x = taps[..., 1] + steps.repeat(3) + torch.arange(0, w * stride, stride, device=device)[:, None]
    places, weights = corners(y, x, rows, columns)
    first = torch.arange(batch, device=device, dtype=places.dtype) * (rows * columns)
    places = places + first.view(-1, 1, 1, 1, 1)
    return places.view(-1, TAPS, 4), weights.view(-1, TAPS, 4)
