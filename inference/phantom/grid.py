"""The voxels of one series in space, and the canvas of signals painted on them.

Axis order of arrays is (Z, Y, X) = (slice k, row j, column i); millimetres are LPS. A slice may be divided into thin
parts that are painted one by one and averaged: partial volume through the plane.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

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

    index: tuple[slice, slice, slice]  # of the canvas: the first axis counts parts of slices
    l: Float32  # noqa: E741 - left, beside a (posterior) and h (cranial), is the name of the axis
    a: Float32
    h: Float32

    @property
    def empty(self) -> bool:
        return self.l.size == 0


@dataclass(frozen=True, eq=False)
class SliceGrid:
    """`affine_lps` maps voxel (k, j, i, 1) to LPS millimetres of the voxel's centre."""

    affine_lps: NDArray[np.float64]
    shape: tuple[int, int, int]  # (Z, Y, X), whole slices
    parts: int = 1  # per slice
    filled: float = 1.0  # part of the step between slices that the slice itself fills

    def divided(self, parts: int) -> Self:
        return replace(self, parts=parts)

    @property
    def canvas_shape(self) -> tuple[int, int, int]:
        return self.shape[0] * self.parts, self.shape[1], self.shape[2]

    @property
    def pixel_mm(self) -> float:
        return float(np.linalg.norm(self.affine_lps[:3, 2]))

    def region(self, frame: Frame, lower: tuple[float, float, float], upper: tuple[float, float, float]) -> Region:
        """The voxels that hold the box lower..upper (l, a, h in mm of `frame`); may be empty."""
        return self._coordinates(frame, *self._bounds(frame, lower, upper))

    def _bounds(
        self, frame: Frame, lower: tuple[float, float, float], upper: tuple[float, float, float]
    ) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
        corners = np.array(np.meshgrid(*zip(lower, upper, strict=True), indexing="ij")).reshape(3, -1).T
        points = frame.origin_mm + corners @ frame.axes
        voxels = (points - self.affine_lps[:3, 3]) @ np.linalg.inv(self.affine_lps[:3, :3]).T
        low, high = voxels.min(axis=0), voxels.max(axis=0)
        positions = self._part_positions()
        thin = 0.5 / self.parts
        first = np.clip(np.floor(low), 0, self.shape).astype(int)
        last = np.clip(np.ceil(high) + 1, 0, self.shape).astype(int)
        first[0] = np.searchsorted(positions, low[0] - thin)
        last[0] = np.searchsorted(positions, high[0] + thin, side="right")
        return first, np.maximum(first, last)

    def rows(self, first: int, last: int, y_mm: Callable[[float, float], tuple[float, float]], x_mm: float) -> Region:
        """Rows first..last-1 within `x_mm` of the midline and a range of y that depends on the rows' range of z."""
        corners = np.array(np.meshgrid((0, self.shape[0] - 1), (first - 0.5, last - 0.5), (0, self.shape[2] - 1)))
        z = (self.affine_lps[2, :3] @ corners.reshape(3, -1)) + self.affine_lps[2, 3]
        low, high = float(z.min()), float(z.max())
        front, back = y_mm(low, high)
        region = self._bounds(WORLD, (-x_mm, front, low), (x_mm, back, high))
        region[0][1], region[1][1] = first, last
        return self._coordinates(WORLD, *region)

    def whole(self) -> Region:
        """Every voxel, with its LPS coordinates as l (x), a (y), h (z)."""
        return self._coordinates(WORLD, np.zeros(3, dtype=int), np.array(self.canvas_shape))

    def _part_positions(self) -> NDArray[np.float64]:
        """Where the parts lie along k, in slices."""
        within = ((np.arange(self.parts) + 0.5) / self.parts - 0.5) * self.filled
        positions: NDArray[np.float64] = (np.arange(self.shape[0])[:, None] + within).ravel()
        return positions

    def _coordinates(self, frame: Frame, first: NDArray[np.int_], last: NDArray[np.int_]) -> Region:
        step = frame.axes @ self.affine_lps[:3, :3]
        start = frame.axes @ (self.affine_lps[:3, 3] - frame.origin_mm)
        k = self._part_positions()[first[0] : last[0]]
        j, i = (np.arange(low, high, dtype=np.float64) for low, high in zip(first[1:], last[1:], strict=True))
        axes = [
            ((start[row] + step[row, 0] * k)[:, None] + step[row, 1] * j).astype(np.float32)[:, :, None]
            + (step[row, 2] * i).astype(np.float32)[None, None, :]
            for row in range(3)
        ]
        index = tuple(slice(int(low), int(high)) for low, high in zip(first, last, strict=True))
        return Region((index[0], index[1], index[2]), axes[0], axes[1], axes[2])


class Canvas:
    """The noise-free signal of one sequence on one grid; later paint covers earlier paint.

    Water and fat are kept apart until the chemical shift is applied. `pulsation` marks what moves with the heart.
    """

    def __init__(self, grid: SliceGrid, sequence: Sequence) -> None:
        self.grid = grid
        self.sequence = sequence
        self.water: Float32 = np.zeros(grid.canvas_shape, dtype=np.float32)
        self.fat: Float32 = np.zeros(grid.canvas_shape, dtype=np.float32)
        self.pulsation: Float32 = np.zeros(grid.shape, dtype=np.float32)
        self.softness_mm = max(0.45, 0.5 * grid.pixel_mm)  # of the sharpest edge: half a voxel to each side

    def paint(self, region: Region, alpha: Float32, tissue: Tissue, factor: Float32 | float = 1.0) -> None:
        """Cover the region with the signal of `tissue` times `factor` where `alpha` is 1, leave it where 0."""
        for volume, value in zip((self.water, self.fat), signal(tissue, self.sequence), strict=True):
            target = volume[region.index]
            target += alpha * (np.float32(value) * np.float32(factor) - target)

    def mix(self, region: Region, alpha: Float32, tissues: tuple[Tissue, Tissue], part: Float32) -> None:
        """Cover with a mixture: `part` 0 gives the first tissue, 1 the second."""
        values = zip(signal(tissues[0], self.sequence), signal(tissues[1], self.sequence), strict=True)
        for volume, (first, second) in zip((self.water, self.fat), values, strict=True):
            target = volume[region.index]
            target += alpha * (np.float32(first) + part * np.float32(second - first) - target)

    def shade(self, region: Region, factor: Float32) -> None:
        """Multiply what is painted: texture."""
        self.water[region.index] *= factor
        self.fat[region.index] *= factor

    def pulsate(self, region: Region, alpha: Float32) -> None:
        """Mark `alpha` as moving with the heart (a slice moves as its parts do in the mean)."""
        first, parts = region.index[0].start, self.grid.parts
        for row in range(alpha.shape[0]):
            self.pulsation[(first + row) // parts][region.index[1:]] += alpha[row] / np.float32(parts)

    def divide(self, parts: int) -> None:
        """Go on painting in `parts` per slice; what was painted is the same in all of them."""
        if self.grid.parts != 1:
            raise ValueError(f"the slices are already divided into {self.grid.parts} parts")
        self.grid = self.grid.divided(parts)
        self.water = np.repeat(self.water, parts, axis=0)
        self.fat = np.repeat(self.fat, parts, axis=0)

    def slices(self) -> tuple[Float32, Float32]:
        """Water and fat, (Z, Y, X) each: the mean over the parts of every slice."""
        water, fat = (
            volume.reshape(self.grid.shape[0], self.grid.parts, *volume.shape[1:]).mean(axis=1, dtype=np.float32)
            for volume in (self.water, self.fat)
        )
        return water, fat


def inside(sdf: Float32, softness_mm: float = 0.8) -> Float32:
    """Signed distance (negative inside) -> coverage 1..0, a linear ramp `softness_mm` to each side of the edge."""
    scaled: Float32 = np.clip(0.5 - sdf * np.float32(0.5 / softness_mm), 0.0, 1.0)
    return scaled
