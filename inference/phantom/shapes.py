"""Signed distances (mm, negative inside) of the few solids the phantom is made of, in local (l, a, h) coordinates."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from inference.phantom.grid import Float32, Region

Point: TypeAlias = tuple[float, float, float]

_TINY = np.float32(1e-3)


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    centre: Point
    radii: Point

    def sdf(self, region: Region) -> Float32:
        """First-order distance: exact on the surface and for spheres."""
        x, y, z = (axis - np.float32(c) for axis, c in zip(_axes(region), self.centre, strict=True))
        rl, ra, rh = self.radii
        scaled = np.sqrt((x / rl) ** 2 + (y / ra) ** 2 + (z / rh) ** 2)
        gradient = np.sqrt((x / rl**2) ** 2 + (y / ra**2) ** 2 + (z / rh**2) ** 2)
        distance: Float32 = scaled * (scaled - 1.0) / np.maximum(gradient, _TINY)
        return distance


@dataclass(frozen=True, slots=True)
class Capsule:
    start: Point
    end: Point
    radius: float

    def sdf(self, region: Region) -> Float32:
        axis = np.subtract(self.end, self.start)
        length2 = float(axis @ axis)
        x, y, z = (coordinate - np.float32(c) for coordinate, c in zip(_axes(region), self.start, strict=True))
        along = np.clip((x * axis[0] + y * axis[1] + z * axis[2]) / length2, 0.0, 1.0).astype(np.float32)
        dx, dy, dz = (p - along * np.float32(u) for p, u in zip((x, y, z), axis, strict=True))
        distance: Float32 = np.sqrt(dx**2 + dy**2 + dz**2) - np.float32(self.radius)
        return distance


def slab(coordinate: Float32, centre: float, half: float) -> Float32:
    """Distance to the layer |coordinate - centre| < half."""
    distance: Float32 = np.abs(coordinate - np.float32(centre)) - np.float32(half)
    return distance


def smooth_union(first: Float32, second: Float32, k_mm: float) -> Float32:
    """Union with a fillet of about `k_mm` (polynomial smooth minimum)."""
    overlap = np.maximum(np.float32(k_mm) - np.abs(first - second), 0.0) / np.float32(k_mm)
    union: Float32 = np.minimum(first, second) - overlap**2 * np.float32(k_mm / 4.0)
    return union


def _axes(region: Region) -> tuple[Float32, Float32, Float32]:
    return region.l, region.a, region.h
