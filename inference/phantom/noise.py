"""Smooth random fields that lie fast in the patient: the same in every series, whatever its planes."""

from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.phantom.grid import Float32, Region

_CELLS: Final = 32  # per axis; at the scales used the field repeats only far away
_FINE: Final = 4  # table entries per cell
_ENTRIES: Final = _CELLS * _FINE  # a power of two: the remainder is a bit mask
_SAMPLES_PER_CELL: Final = 2.5  # in a row or column: enough for linear interpolation


class NoiseField:
    """Value noise in space, mean 0, standard deviation about .5: random numbers on a lattice, linear between them.

    Looked up in a table of quarter cells, which is many times faster than interpolating at every voxel.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._lattice: Float32 = rng.standard_normal((_CELLS,) * 3, dtype=np.float32)

    @cached_property
    def _table(self) -> Float32:
        """Made when something is painted: a patient who is only drawn needs none."""
        table = self._lattice
        for axis in range(3):
            table = _refined(table, axis)
        return table.ravel()

    def on(
        self, region: Region, scale_mm: tuple[float, float, float], shift: float = 0.0, warp: float = 0.0
    ) -> Float32:
        """One value per voxel; `scale_mm` are the cell sizes along l, a and h, `shift` (in cells) picks another field.

        `warp` (in cells) bends the field by itself, so that no lattice shows. Sampled as sparsely within the slices as
        the scale allows and enlarged: fields are as cheap as they are smooth.
        """
        if region.empty:
            return region.l
        axes = (region.l, region.a, region.h)
        strides = [_stride(axes, scale_mm, axis) for axis in (1, 2)]
        points = [
            axis[:, :: strides[0], :: strides[1]] * np.float32(_FINE / scale) + np.float32(_FINE * shift)
            for axis, scale in zip(axes, scale_mm, strict=True)
        ]
        if warp:
            bend = self._values([point * np.float32(0.43) + np.float32(31.0) for point in points])
            bend *= np.float32(_FINE * warp)
            points = [points[0] + bend, points[1] - bend, points[2] + bend]
        values = _smoothed(_smoothed(self._values(points), 1), 2)
        return _enlarge(_enlarge(values, 1, region.l.shape[1], strides[0]), 2, region.l.shape[2], strides[1])

    def _values(self, points: list[Float32]) -> Float32:
        index = np.zeros(points[0].shape, dtype=np.int32)
        for point in points:
            index *= _ENTRIES
            index += np.floor(point).astype(np.int32) & (_ENTRIES - 1)
        values: Float32 = self._table.take(index)
        return values


def _refined(table: Float32, axis: int) -> Float32:
    """`_FINE` entries per cell along one axis, linear between the old ones; the last cell leads back to the first."""
    following = np.roll(table, -1, axis=axis)
    parts = [table + np.float32(n / _FINE) * (following - table) for n in range(_FINE)]
    stacked = np.stack(parts, axis=axis + 1)
    shape = list(table.shape)
    shape[axis] *= _FINE
    return stacked.reshape(shape)


def _stride(axes: tuple[Float32, Float32, Float32], scale_mm: tuple[float, float, float], axis: int) -> int:
    """Voxels between samples, so that each cell of the lattice is sampled often enough along this axis."""
    if axes[0].shape[axis] < 2:
        return 1
    ahead = (0, 1, 0) if axis == 1 else (0, 0, 1)
    steps = (abs(float(c[ahead] - c[0, 0, 0])) / scale for c, scale in zip(axes, scale_mm, strict=True))
    return max(1, int(1.0 / (_SAMPLES_PER_CELL * max(1e-3, *steps))))


def _smoothed(values: Float32, axis: int) -> Float32:
    """Each sample mixed with its neighbours 1:2:1: the steps of the table must not show."""
    if values.shape[axis] < 3:
        return values
    smooth = values.copy()
    inner, left, right = ((slice(None),) * axis + (part,) for part in (slice(1, -1), slice(None, -2), slice(2, None)))
    smooth[inner] += values[inner]
    smooth[inner] += values[left] + values[right]
    smooth[inner] *= np.float32(0.25)
    return smooth


def _enlarge(values: Float32, axis: int, size: int, stride: int) -> Float32:
    """Linear interpolation along one axis; plain gathers, because a BLAS product may differ between machines."""
    if stride == 1:
        return values
    position = np.minimum(np.arange(size, dtype=np.float32) / np.float32(stride), values.shape[axis] - 1)
    low: NDArray[np.intp] = np.minimum(position.astype(np.intp), max(0, values.shape[axis] - 2))
    weight = position - low.astype(np.float32)
    weight = weight[None, :, None] if axis == 1 else weight
    start = np.take(values, low, axis=axis)
    step = np.take(values, np.minimum(low + 1, values.shape[axis] - 1), axis=axis) - start
    enlarged: Float32 = start + weight * step
    return enlarged
