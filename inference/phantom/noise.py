"""Smooth random fields that stay the same in every series of a patient."""

import numpy as np
from scipy.ndimage import map_coordinates

from inference.phantom.grid import Float32

_LATTICE = 24  # cells per axis; at the scales used the field repeats only outside the image


class NoiseField:
    """Trilinear value noise in space, mean 0, standard deviation about .5 after interpolation."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._lattice: Float32 = rng.standard_normal((_LATTICE,) * 3).astype(np.float32)

    def at(self, x_mm: Float32, y_mm: Float32, z_mm: Float32, scale_mm: float) -> Float32:
        points = np.stack([axis.ravel() / np.float32(scale_mm) for axis in (x_mm, y_mm, z_mm)])
        values: Float32 = map_coordinates(self._lattice, points, order=1, mode="grid-wrap", output=np.float32)
        return values.reshape(x_mm.shape)


class PlaneTexture:
    """A cheap texture for whole images: a coarse lattice per slice, enlarged bilinearly."""

    def __init__(self, rng: np.random.Generator, slices: int, cells: tuple[int, int]) -> None:
        self._lattice: Float32 = rng.standard_normal((slices, *cells)).astype(np.float32)

    def on(self, shape: tuple[int, int, int]) -> Float32:
        """(Z, Y, X) float32; slices beyond those drawn repeat."""
        chosen = self._lattice[np.arange(shape[0]) % self._lattice.shape[0]]
        return _enlarge(_enlarge(chosen, 1, shape[1]), 2, shape[2])


def _enlarge(lattice: Float32, axis: int, size: int) -> Float32:
    """Linear interpolation along one axis; plain gathers, because a BLAS product may differ between machines."""
    position = np.linspace(0.0, lattice.shape[axis] - 1.0, size)
    low = np.minimum(position.astype(int), lattice.shape[axis] - 2)
    weight = (position - low).astype(np.float32)
    weight = weight[None, :, None] if axis == 1 else weight
    start = np.take(lattice, low, axis=axis)
    enlarged: Float32 = start + weight * (np.take(lattice, low + 1, axis=axis) - start)
    return enlarged
