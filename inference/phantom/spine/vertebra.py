"""One vertebra and the disc above it, as solids in frames of their own. Lengths in mm."""

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from inference.datasets import SpineRegion
from inference.phantom.grid import Float32, Frame, Region, SliceGrid
from inference.phantom.spine.levels import SACRAL, Level, region_of

CORTEX_MM: Final = 0.75  # thickness of the dark shell of a body


def superellipse(across: Float32, along: Float32) -> Float32:
    """Radius in the norm of exponent 4: 1 on a rounded rectangle. Squares, because powers are slow."""
    radius: Float32 = np.sqrt(np.sqrt(np.square(np.square(across)) + np.square(np.square(along))))
    return radius


@dataclass(frozen=True, eq=False)
class Disc:
    """The disc above a vertebra, in a frame of its own."""

    frame: Frame
    half_height: float
    half_depth: float
    half_width: float
    degeneration: float  # 0 young and bright .. 1 dry and dark
    bulge_mm: float  # how far the posterior edge passes the vertebral wall
    cleft: float  # 0..1, darkness of the fibrous line through the nucleus


@dataclass(frozen=True, eq=False)
class Vertebra:
    shape: Level
    frame: Frame
    half_height: float
    half_depth: float
    half_width: float
    taper: float  # how much deeper the upper end plate is than the lower one, part of the depth
    wedge: float  # how much higher the back is than the front, part of the half height
    hollow: float  # of the end plates, part of the half height
    lip_mm: float  # osteophytes at the front rims
    collapse: float  # part of the height that a fracture has taken
    disc_above: Disc | None

    @property
    def level(self) -> str:
        return self.shape.name

    @property
    def region(self) -> SpineRegion:
        return region_of(self.level)

    @property
    def sacral(self) -> bool:
        return self.level in SACRAL

    @property
    def before_collapse(self) -> Self:
        """The same vertebra as it was."""
        intact = 1.0 - self.collapse
        wedge = self.wedge - self.collapse / intact
        return replace(self, half_height=self.half_height / intact, wedge=wedge, collapse=0.0)

    def around(self, grid: SliceGrid, margin_mm: float) -> Region:
        """The voxels of the body and `margin_mm` around it, in the vertebra's own coordinates."""
        left, depth, height = (
            side + margin_mm for side in (self.half_width, self.half_depth, self.half_height * (1.0 + abs(self.wedge)))
        )
        return grid.region(self.frame, (-left, -depth, -height), (left, depth, height))

    def body_sdf(self, region: Region) -> Float32:
        """Distance to the body: superelliptic in the axial plane, waisted, with hollow end plates and round rims."""
        width, depth, height = (np.float32(v) for v in (self.half_width, self.half_depth, self.half_height))
        along = region.a / depth
        height = height * (1.0 + np.float32(self.wedge) * np.clip(along, -1.2, 1.2))
        tall = np.clip(region.h / height, -1.0, 1.0)
        waist = (
            1.0
            + np.float32(self.taper) * tall
            - np.where(along < 0, np.float32(0.08), np.float32(0.05)) * (1.0 - tall * tall)
        )
        radius = superellipse(region.l / width, along)
        rim = np.square(np.square(np.square(tall)))
        lip = np.where(along < 0, np.float32(self.lip_mm), np.float32(0.25 * self.lip_mm)) * rim
        wall = (radius - waist) * depth - lip
        # The lower end plate is hollow behind, the upper one in the middle.
        aside = radius * radius + np.where(tall < 0, np.float32(-0.3), np.float32(0.1)) * along
        plate = np.abs(region.h) - height * (1.0 - np.float32(self.hollow) * np.maximum(1.0 - aside, 0.0))
        corner = np.float32(min(2.2, 0.14 * self.half_height + 0.6))
        outside = np.hypot(np.maximum(wall + corner, 0.0), np.maximum(plate + corner, 0.0))
        distance: Float32 = np.minimum(np.maximum(wall, plate) + corner, 0.0) + outside - corner
        return distance.astype(np.float32, copy=False)
