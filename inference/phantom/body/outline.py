"""The outline of the body and its layers: skin, fat under it, muscle of the back. Millimetres over the spine's table.

A distance "behind" counts from the posterior wall of the bodies towards the back.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from inference.phantom.grid import Float32, Region
from inference.phantom.spine.anatomy import Spine

# Posterior wall to the fascia of the back muscles, and to the skin of the front, in an adult of middle size.
_FASCIA: Final = {
    "HEAD": 80.0, "C2": 47.0, "C4": 39.0, "C6": 43.0, "C7": 49.0, "T1": 50.0, "T3": 46.0, "T6": 42.0, "T10": 42.0,
    "T12": 46.0, "L2": 52.0, "L3": 53.0, "L5": 51.0, "S1": 45.0, "S2": 36.0, "S3": 28.0, "S4": 22.0, "CO": 14.0,
}  # fmt: skip
_FRONT: Final = {
    "C2": 106.0, "C3": 96.0, "C4": 80.0, "C5": 72.0, "C6": 70.0, "C7": 73.0, "T1": 80.0, "T2": 98.0, "T4": 134.0,
    "T7": 165.0, "T10": 170.0, "L1": 152.0, "L3": 138.0, "L5": 142.0, "S1": 152.0, "S3": 165.0, "CO": 170.0,
}  # fmt: skip
_BACK_FAT: Final = {
    "C2": 8.0, "C5": 7.0, "C7": 12.0, "T2": 11.0, "T6": 8.0, "T11": 8.0, "L2": 10.0, "L4": 16.0, "L5": 21.0,
    "S1": 24.0, "S3": 24.0, "CO": 22.0,
}  # fmt: skip
_FRONT_FAT: Final = {
    "C3": 4.0, "C6": 4.0, "T1": 6.0, "T5": 9.0, "T10": 12.0, "L1": 18.0, "L4": 24.0, "S1": 26.0, "CO": 26.0,
}  # fmt: skip
_SKIN_SMOOTHING_MM: Final = 14.0
_FLANK_FROM_MM: Final = 55.0  # beyond this the body rounds off: seen on axial and coronal images only
_ROUNDNESS_PER_MM: Final = 0.008


@dataclass(frozen=True, eq=False)
class Outline:
    """Tables over the rows of `spine.z_mm`, as y in mm or as thickness in mm."""

    fascia_y: Float32
    back_skin_y: Float32
    front_skin_y: Float32
    back_fat: Float32
    front_fat: Float32

    def from_back(self, region: Region, index: NDArray[np.int32]) -> Float32:
        """Depth under the skin of the back."""
        depth: Float32 = self.back_skin_y[index] - region.a - _flank(region)
        return depth

    def behind_fascia(self, region: Region, index: NDArray[np.int32]) -> Float32:
        """How far behind the fascia of the back muscles (negative in the muscle)."""
        distance: Float32 = region.a - self.fascia_y[index] + _flank(region)
        return distance

    def from_front(self, region: Region, index: NDArray[np.int32]) -> Float32:
        """Depth under the skin of the belly, chest or throat."""
        depth: Float32 = region.a - self.front_skin_y[index] - _flank(region)
        return depth


def draw_outline(rng: np.random.Generator, spine: Spine) -> Outline:
    build, belly = rng.uniform(0.93, 1.08), rng.uniform(0.86, 1.22)
    fatness = rng.uniform(0.45, 1.5)
    back_fat = spine.anchored(_BACK_FAT) * np.float32(fatness)
    front_fat = spine.anchored(_FRONT_FAT) * np.float32(fatness)
    in_neck = spine.anchored({"C5": 1.0, "T3": 0.0, "CO": 0.0})
    fascia = _smooth(spine, spine.wall_y + spine.anchored(_FASCIA) * np.float32(build))
    front = spine.anchored(_FRONT) * (np.float32(belly) * (1.0 - in_neck) + np.float32(build) * in_neck)
    front_skin = _smooth(spine, spine.wall_y) - front - np.float32(0.5) * front_fat
    return Outline(
        fascia_y=fascia,
        back_skin_y=_smooth(spine, fascia + back_fat),
        front_skin_y=_smooth(spine, front_skin, 0.45),
        back_fat=back_fat,
        front_fat=front_fat,
    )


def _smooth(spine: Spine, table: Float32, part: float = 1.0) -> Float32:
    step = float(spine.z_mm[1] - spine.z_mm[0])
    smooth: Float32 = gaussian_filter1d(table, part * _SKIN_SMOOTHING_MM / step, mode="nearest").astype(np.float32)
    return smooth


def _flank(region: Region) -> Float32:
    """How much nearer the skin is at the flanks than in the middle."""
    beyond = np.maximum(np.abs(region.l) - np.float32(_FLANK_FROM_MM), np.float32(0.0))
    rounding: Float32 = np.float32(_ROUNDNESS_PER_MM) * beyond * beyond
    return rounding
