"""The voxels of one series in space, and the canvas of signals painted on them.

Axis order of arrays is (Z, Y, X) = (slice k, row j, column i); millimetres are LPS.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from inference.phantom.tissue import Sequence, Tissue, signal

Float32: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Frame:
    """A place with its own axes. Rows of `axes` are the unit vectors left (l), posterior (a), cranial (h)."""

    origin_mm: NDArray[np.float64]  # (3,)
    axes: NDArray[np.float64]  # (3, 3)

    def to_lps(self, point: tuple[float, float, float]) -> NDArray[np.float64]:
        return self.origin_mm + np.asarray(point) @ self.axes


WORLD = Frame(np.zeros(3), np.eye(3))


@dataclass(frozen=True, eq=False)
class Region:
    """A box of voxels and the local coordinates of each, in mm of a `Frame`."""

    index: tuple[slice, slice, slice]
    l: Float32  # noqa: E741 - left, beside a (posterior) and h (cranial), is the name of the axis
    a: Float32
    h: Float32


@dataclass(frozen=True, eq=False)
class SliceGrid:
    """`affine_lps` maps voxel (k, j, i, 1) to LPS millimetres of the voxel's centre."""

    affine_lps: NDArray[np.float64]
    shape: tuple[int, int, int]

    def region(self, frame: Frame, lower: tuple[float, float, float], upper: tuple[float, float, float]) -> Region:
        """The voxels that hold the box lower..upper (l, a, h in mm of `frame`); may be empty."""
        corners = np.array(np.meshgrid(*zip(lower, upper, strict=True), indexing="ij")).reshape(3, -1).T
        points = frame.origin_mm + corners @ frame.axes
        voxels = (points - self.affine_lps[:3, 3]) @ np.linalg.inv(self.affine_lps[:3, :3]).T
        first = np.clip(np.floor(voxels.min(axis=0)), 0, self.shape).astype(int)
        last = np.clip(np.ceil(voxels.max(axis=0)) + 1, 0, self.shape).astype(int)
        return self._coordinates(frame, first, np.maximum(first, last))

    def whole(self) -> Region:
        """Every voxel, with its LPS coordinates as l (x), a (y), h (z)."""
        return self._coordinates(WORLD, np.zeros(3, dtype=int), np.array(self.shape))

    def _coordinates(self, frame: Frame, first: NDArray[np.int_], last: NDArray[np.int_]) -> Region:
        step = frame.axes @ self.affine_lps[:3, :3]
        start = frame.axes @ (self.affine_lps[:3, 3] - frame.origin_mm)
        k, j, i = (np.arange(low, high, dtype=np.float64) for low, high in zip(first, last, strict=True))
        axes = [
            (start[row] + step[row, 0] * k)[:, None, None].astype(np.float32)
            + (step[row, 1] * j)[None, :, None].astype(np.float32)
            + (step[row, 2] * i)[None, None, :].astype(np.float32)
            for row in range(3)
        ]
        index = tuple(slice(int(low), int(high)) for low, high in zip(first, last, strict=True))
        return Region((index[0], index[1], index[2]), axes[0], axes[1], axes[2])


class Canvas:
    """The noise-free signal of one sequence on one grid; later paint covers earlier paint."""

    def __init__(self, grid: SliceGrid, sequence: Sequence) -> None:
        self.grid = grid
        self.sequence = sequence
        self.volume: Float32 = np.zeros(grid.shape, dtype=np.float32)

    def value(self, tissue: Tissue) -> float:
        return signal(tissue, self.sequence)

    def paint(self, region: Region, alpha: Float32, value: float | Float32) -> None:
        """Cover the region with `value` where `alpha` is 1, leave it where 0."""
        target = self.volume[region.index]
        target += alpha * (value - target)


def inside(sdf: Float32, softness_mm: float = 0.8) -> Float32:
    """Signed distance (negative inside) -> coverage 1..0, a linear ramp `softness_mm` to each side of the edge."""
    scaled: Float32 = np.clip(0.5 - sdf * np.float32(0.5 / softness_mm), 0.0, 1.0)
    return scaled
