"""The neck before the spine: airway, tongue and jaw, larynx, thyroid, muscles, fat. Clutter, not anatomy class."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from inference.phantom.body.space import Space
from inference.phantom.grid import Float32, inside
from inference.phantom.shapes import Ellipsoid
from inference.phantom.tissue import AIR, BROWN_FAT, CARTILAGE, CORTEX, GLAND, MUSCLE, marrow

_PREVERTEBRAL: Final = {
    "C2": 3.0,
    "C4": 4.0,
    "C5": 7.0,
    "C6": 11.0,
    "T1": 12.0,
    "T4": 14.0,
}  # soft tissue before the bodies
_AIRWAY: Final = {"C2": 5.5, "C3": 6.5, "C4": 6.0, "C5": 5.0, "C6": 6.5, "C7": 8.0, "T4": 8.0}  # half depth

# Hyoid, thyroid and cricoid: level, distance before the bodies, radii.
_CARTILAGES: Final = (
    ("C4", 33.0, (14.0, 3.0, 4.0)),
    ("C5", 28.0, (3.0, 2.5, 9.0)),
    ("C6", 6.0, (9.0, 2.2, 8.0)),
)


@dataclass(frozen=True, eq=False)
class Neck:
    airway: float  # factor on its depth
    tongue_mm: float


def draw_neck(rng: np.random.Generator) -> Neck:
    return Neck(airway=float(rng.uniform(0.7, 1.25)), tongue_mm=float(rng.uniform(24.0, 29.0)))


def paint_neck(space: Space, neck: Neck) -> None:
    _paint_soft_tissue(space)
    _paint_mouth(space, neck)
    _paint_airway(space, neck)


def _rows(space: Space, low: float, high: float) -> Float32:
    """Distance to the layer between two heights."""
    distance: Float32 = np.maximum(np.float32(low) - space.region.h, space.region.h - np.float32(high))
    return distance


def _paint_soft_tissue(space: Space) -> None:
    canvas, region, spine = space.canvas, space.region, space.spine
    rows = _rows(space, spine.height_of("T2"), 1e4)
    part = np.clip(
        space.noise.on(region, (14.0, 8.0, 16.0), 81.0, warp=1.0) * np.float32(1.2) + np.float32(0.35), 0.0, 1.0
    )
    part = part + np.float32(0.5) * space.lines((24.0, 9.0, 50.0), 83.0, 0.12)
    neck = np.maximum(np.maximum(rows, -space.before - np.float32(25.0)), np.float32(7.0) - space.from_front)
    canvas.mix(region, inside(neck, 12.0), (BROWN_FAT, MUSCLE), np.clip(part, 0.0, 1.0))
    thickness = spine.anchored(_PREVERTEBRAL)[space.row]
    strip = np.maximum(np.abs(space.before - thickness / 2) - thickness / 2, np.abs(space.side) - np.float32(16.0))
    neck_only = np.maximum(strip, np.float32(spine.height_of("T1")) - region.h)
    canvas.paint(region, np.float32(0.85) * inside(neck_only, 1.2), MUSCLE)
    side_muscle = np.maximum(
        np.hypot(np.abs(space.side) - np.float32(38.0), space.before - np.float32(14.0)) - 12.0, rows
    )
    space.paint(side_muscle, MUSCLE, 1.5)


def _paint_mouth(space: Space, neck: Neck) -> None:
    spine = space.spine
    chin = spine.height_of("C3") + 4.0
    deep = 2.0 * spine.of_level("C3").half_depth
    tongue = Ellipsoid(space.at(0.0, deep + 42.0, chin + 22.0), (25.0, neck.tongue_mm + 3.0, 24.0))
    space.paint_ellipsoid(tongue, BROWN_FAT, uneven_mm=2.0, edge_mm=3.0)
    space.paint_ellipsoid(
        Ellipsoid(tongue.centre, (23.0, neck.tongue_mm + 1.0, 22.5)), MUSCLE, uneven_mm=2.0, edge_mm=2.0, grain=0.12
    )
    floor = Ellipsoid(space.at(0.0, deep + 46.0, chin - 2.0), (20.0, 22.0, 5.0))
    space.paint_ellipsoid(floor, MUSCLE, grain=0.2)
    jaw = Ellipsoid(space.at(0.0, deep + 74.0, chin + 8.0), (22.0, 7.0, 13.0))
    space.paint_ellipsoid(jaw, CORTEX)
    space.paint_ellipsoid(Ellipsoid(jaw.centre, (19.0, 4.8, 10.5)), marrow(0.75), grain=0.2)
    teeth = Ellipsoid(space.at(0.0, deep + 72.0, chin + 29.0), (20.0, 4.5, 9.0))
    space.paint_ellipsoid(teeth, CORTEX)
    palate = Ellipsoid(space.at(0.0, deep + 46.0, chin + 49.0), (18.0, 28.0, 3.0))
    space.paint_ellipsoid(palate, marrow(0.5), grain=0.3)
    nose = Ellipsoid(space.at(2.0, deep + 46.0, chin + 68.0), (12.0, 32.0, 14.0))
    space.paint_ellipsoid(nose, AIR, uneven_mm=3.0, edge_mm=2.0)
    for side in (-5.0, 7.0):
        turbinate = Ellipsoid(space.at(side, deep + 44.0, chin + 66.0), (3.5, 22.0, 5.0))
        space.paint_ellipsoid(turbinate, GLAND, uneven_mm=1.0)


def _paint_airway(space: Space, neck: Neck) -> None:
    spine = space.spine
    low, high = spine.height_of("T4") - 8.0, spine.height_of("C2") + 26.0
    rows = _rows(space, low, high)
    front = spine.anchored(_PREVERTEBRAL)[space.row]
    half = spine.anchored(_AIRWAY)[space.row] * np.float32(neck.airway)
    half = half + np.float32(1.2) * space.noise.on(space.region, (14.0, 12.0, 9.0), 87.0)
    across = (space.before - front - np.float32(2.5) - half) / np.maximum(half, 1.0)
    wide = spine.anchored({"C2": 13.0, "C4": 14.0, "C5": 5.0, "C6": 6.0, "T1": 8.5})[space.row]
    ends = np.maximum(rows, 0.0) / np.maximum(half, 1.0)
    tube = (np.hypot(np.hypot(across, space.side / wide), ends) - 1.0) * np.maximum(half, 1.0)
    lining = spine.anchored({"C5": 1.0, "T1": 0.0})[space.row]
    space.canvas.mix(space.region, inside(tube - np.float32(1.6), 1.2), (MUSCLE, GLAND), lining)
    space.paint(tube, AIR, 1.0)
    deep = 2.0 * spine.of_level("C4").half_depth
    epiglottis = Ellipsoid(space.at(0.0, deep + 15.0, spine.height_of("C3") - 6.0), (8.0, 1.8, 9.0))
    space.paint_ellipsoid(epiglottis, CARTILAGE, edge_mm=1.0)
    for level, before, radii in _CARTILAGES:
        cartilage = Ellipsoid(space.at(0.0, deep + before, spine.height_of(level)), radii)
        space.paint_ellipsoid(cartilage, CORTEX)
        inner = Ellipsoid(cartilage.centre, (radii[0] - 1.0, radii[1] - 1.0, radii[2] - 1.0))
        space.paint_ellipsoid(inner, marrow(0.6))
    for side in (-17.0, 17.0):
        lobe = Ellipsoid(space.at(side, deep + 18.0, spine.height_of("C7")), (8.0, 8.0, 18.0))
        space.paint_ellipsoid(lobe, GLAND, uneven_mm=1.0)
