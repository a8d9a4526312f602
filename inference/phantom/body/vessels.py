"""The great vessels before the spine: aorta with arch and fork, vena cava, mesenteric artery, carotids."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.phantom.body.space import Space
from inference.phantom.grid import WORLD, Float32, Region, inside
from inference.phantom.shapes import Capsule
from inference.phantom.tissue import FLOWING_BLOOD, LIGAMENT, SLOW_BLOOD, Tissue, blend

_AORTA_SIDE: Final = {"T4": 16.0, "T6": 19.0, "T9": 15.0, "T12": 8.0, "L2": 5.0, "L4": 3.0}
_AORTA_BEFORE: Final = {"T4": 0.0, "T6": -5.0, "T9": 2.0, "T12": 11.0, "L4": 11.5}  # centre, before the bodies
_ILIAC_SLOPE: Final = 0.5  # mm sideways per mm downwards
_REACH_MM: Final = 45.0


@dataclass(frozen=True, eq=False)
class Vessels:
    aorta_mm: float  # radius at L3
    cava_mm: float
    cava_flow: float  # 0 slow and bright on T2, 1 void
    aorta_flow: float
    aorta_side_mm: float  # added to the usual course
    wander_mm: float


def draw_vessels(rng: np.random.Generator) -> Vessels:
    return Vessels(
        aorta_mm=float(rng.uniform(7.0, 9.5)),
        cava_mm=float(rng.uniform(7.5, 10.5)),
        cava_flow=float(rng.uniform(0.2, 0.9)),
        aorta_flow=float(rng.uniform(0.55, 1.0)),
        aorta_side_mm=float(rng.normal(0.0, 3.0)),
        wander_mm=float(rng.uniform(0.5, 3.0)),
    )


def paint_vessels(space: Space, vessels: Vessels) -> None:
    cava = blend(SLOW_BLOOD, FLOWING_BLOOD, vessels.cava_flow)
    _paint_cava(space, vessels, cava)
    _paint_aorta(space, vessels)
    _paint_mesenteric_artery(space, vessels)
    _paint_neck_vessels(space)


def _tube(space: Space, low: float, high: float) -> tuple[Region, NDArray[np.int32], Float32, Float32]:
    """The voxels before the bodies between two heights: region, table rows, side, and place before the bodies."""
    spine = space.spine
    first, last = np.searchsorted(spine.z_mm, (low, high))
    wall = spine.wall_y[first : last + 1]
    region = space.canvas.grid.region(
        WORLD, (-_REACH_MM, float(wall.min()) - 75.0, low), (_REACH_MM, float(wall.max()), high)
    )
    row = spine.table_index(region.h)
    depth = spine.table(lambda v: 2.0 * v.half_depth)[row]
    return region, row, region.l - spine.wall_x[row], -spine.behind_wall_mm(region.a, row) - depth


def _rounded(radial: Float32, region: Region, low: float, high: float) -> Float32:
    """Distance from the axis of a tube with round ends."""
    beyond = np.maximum(np.maximum(np.float32(low) - region.h, region.h - np.float32(high)), 0.0)
    distance: Float32 = np.hypot(radial, beyond)
    return distance


def _paint_tube(space: Space, region: Region, sdf: Float32, tissue: Tissue) -> None:
    space.canvas.paint(region, inside(sdf - np.float32(1.0), 0.9), LIGAMENT)
    lumen = inside(sdf, 1.0)
    space.canvas.paint(region, lumen, tissue)
    space.canvas.pulsate(region, np.float32(0.6) * lumen)


def _paint_aorta(space: Space, vessels: Vessels) -> None:
    spine = space.spine
    fork, arch = spine.height_of("L4"), spine.height_of("T4")
    region, row, side, before = _tube(space, fork - 75.0, arch + 4.0)
    if region.empty:
        return
    below = np.maximum(np.float32(fork) - region.h, 0.0)  # iliac artery of one side: thinner and off the midline
    wander = np.float32(vessels.wander_mm) * np.sin(region.h * np.float32(0.05))
    course = spine.anchored(_AORTA_SIDE)[row] + np.float32(vessels.aorta_side_mm) + np.float32(_ILIAC_SLOPE) * below
    forwards = spine.anchored(_AORTA_BEFORE)[row] + wander - np.float32(0.12) * below
    wide = spine.anchored({"T4": 1.4, "T12": 1.2, "L4": 1.0})[row] * np.float32(vessels.aorta_mm)
    wide = wide * (0.62 + 0.38 * np.exp(-below / np.float32(9.0)))
    blood = blend(SLOW_BLOOD, FLOWING_BLOOD, vessels.aorta_flow)
    radial = _rounded(np.hypot(side - course, before - forwards), region, fork - 75.0, arch - 4.0)
    _paint_tube(space, region, radial - wide, blood)
    other = np.hypot(side - course + np.float32(2.0 * _ILIAC_SLOPE) * below, before - forwards) - wide
    _paint_tube(space, region, np.maximum(other, region.h - np.float32(fork)), blood)
    _paint_arch(space, vessels, blood)


def _paint_arch(space: Space, vessels: Vessels, blood: Tissue) -> None:
    """From the descending aorta up and forwards, and down to the heart."""
    spine = space.spine
    top, deep = spine.height_of("T4"), 2.0 * spine.of_level("T4").half_depth
    side = 16.0 + vessels.aorta_side_mm
    points = [
        space.at(side, deep, top - 6.0),
        space.at(side - 4.0, deep + 14.0, top + 7.0),
        space.at(side - 14.0, deep + 38.0, top + 8.0),
        space.at(side - 26.0, deep + 52.0, top - 12.0),
        space.at(side - 24.0, deep + 56.0, top - 45.0),
    ]
    corners = np.array(points)
    lower, upper = corners.min(axis=0) - 18.0, corners.max(axis=0) + 18.0
    region = space.canvas.grid.region(WORLD, tuple(lower.tolist()), tuple(upper.tolist()))
    if region.empty:
        return
    bends = [Capsule(a, b, 1.35 * vessels.aorta_mm).sdf(region) for a, b in pairwise(points)]
    _paint_tube(space, region, np.minimum.reduce(bends), blood)


def _paint_cava(space: Space, vessels: Vessels, tissue: Tissue) -> None:
    spine = space.spine
    fork = spine.height_of("L5") + 8.0
    region, _, side, before = _tube(space, fork - 60.0, spine.height_of("T9"))
    if region.empty:
        return
    below = np.maximum(np.float32(fork) - region.h, 0.0)
    above = np.maximum(region.h - np.float32(spine.height_of("L2")), 0.0)
    course = np.float32(-17.0) - np.float32(_ILIAC_SLOPE) * below
    forwards = np.float32(6.0) + np.float32(0.28) * above - np.float32(0.1) * below
    wide = np.float32(vessels.cava_mm) * (0.65 + 0.35 * np.exp(-below / np.float32(9.0)))
    # Flattened from front to back.
    radial = np.hypot(side - course, np.float32(1.35) * (before - forwards))
    _paint_tube(space, region, _rounded(radial, region, fork - 60.0, spine.height_of("T10")) - wide, tissue)


def _paint_mesenteric_artery(space: Space, vessels: Vessels) -> None:
    """Leaves the aorta at L1 and runs down before it: a thin dark line in the fat of the middle slices."""
    spine = space.spine
    start = spine.height_of("L1")
    front = 2.0 * spine.of_level("L1").half_depth + 11.0
    course = [(6.0, 0.0), (19.0, -18.0), (26.0, -55.0), (34.0, -95.0)]
    points = [(front + forwards, start + up) for forwards, up in course]
    for (near, high), (far, low) in pairwise(points):
        tube = Capsule(
            space.at(vessels.aorta_side_mm + 4.0, near, high), space.at(vessels.aorta_side_mm + 3.0, far, low), 2.3
        )
        lower = tuple(min(a, b) - 5.0 for a, b in zip(tube.start, tube.end, strict=True))
        upper = tuple(max(a, b) + 5.0 for a, b in zip(tube.start, tube.end, strict=True))
        region = space.canvas.grid.region(WORLD, (lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2]))
        space.canvas.paint(region, np.float32(0.7) * inside(tube.sdf(region), 1.5), FLOWING_BLOOD)


def _paint_neck_vessels(space: Space) -> None:
    """Carotid artery and jugular vein of both sides."""
    spine = space.spine
    region, _, side, before = _tube(space, spine.height_of("T2"), spine.height_of("C2") + 70.0)
    if region.empty:
        return
    for away, forwards, radius in ((24.0, 7.0, 3.4), (31.0, 4.0, 5.0)):
        tube = np.hypot(np.abs(side) - np.float32(away), before - np.float32(forwards)) - np.float32(radius)
        _paint_tube(space, region, tube, FLOWING_BLOOD)
