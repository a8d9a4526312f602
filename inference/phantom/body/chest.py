"""The chest before the spine: lungs beside the midline, heart, gullet, breastbone. Clutter, not anatomy class."""

from dataclasses import dataclass

import numpy as np

from inference.phantom.body.outline import Outline
from inference.phantom.body.space import Space
from inference.phantom.grid import Float32, inside
from inference.phantom.shapes import Ellipsoid
from inference.phantom.spine.anatomy import Spine
from inference.phantom.tissue import (
    BOWEL,
    BROWN_FAT,
    CORTEX,
    FLOWING_BLOOD,
    LUNG,
    MUSCLE,
    ORGAN,
    SLOW_BLOOD,
    blend,
    marrow,
)


@dataclass(frozen=True, eq=False)
class Chest:
    top_z_mm: float
    bottom_z_mm: float  # of the lungs behind
    recess_mm: float  # half width of the mediastinum directly before the bodies
    mediastinum_mm: float  # half width farther before them
    heart_z_mm: float
    heart_before_mm: float


def draw_chest(rng: np.random.Generator, spine: Spine) -> Chest:
    return Chest(
        top_z_mm=spine.height_of("T1") - 6.0,
        bottom_z_mm=spine.height_of("T11"),
        recess_mm=float(rng.uniform(9.0, 16.0)),
        mediastinum_mm=float(rng.uniform(18.0, 34.0)),
        heart_z_mm=spine.height_of("T8") + float(rng.uniform(-12.0, 12.0)),
        heart_before_mm=float(rng.uniform(92.0, 106.0)),
    )


def paint_chest(space: Space, chest: Chest, outline: Outline) -> None:
    dome = _dome(space, chest)
    _paint_mediastinum(space, chest, dome)
    _paint_breastbone(space, outline)
    _paint_heart(space, chest)
    _paint_lungs(space, chest, outline, dome)
    _paint_gullet(space)


def _dome(space: Space, chest: Chest) -> Float32:
    """Height above the diaphragm: it climbs from behind the spine to the middle of the trunk."""
    climb = np.float32(48.0) * np.sin(np.clip(space.before / np.float32(75.0), 0.0, 1.6))
    bulge = np.float32(4.0) * space.noise.on(space.region, (40.0, 30.0, 200.0), 69.0)
    above: Float32 = space.region.h - np.float32(chest.bottom_z_mm) - climb - bulge
    return above


def _paint_mediastinum(space: Space, chest: Chest, dome: Float32) -> None:
    canvas, region = space.canvas, space.region
    rows = np.maximum(-dome, region.h - np.float32(chest.top_z_mm + 14.0))
    coarse = space.noise.on(region, (18.0, 13.0, 18.0), 71.0, warp=1.2)
    fine = space.noise.on(region, (9.0, 5.0, 6.0), 75.0, warp=1.0)
    part = np.clip(np.float32(0.7) * coarse + np.float32(0.3) * fine + np.float32(0.5), 0.0, 1.0)
    canvas.mix(region, inside(np.maximum(rows, -space.before), 5.0), (BROWN_FAT, MUSCLE), np.float32(0.85) * part)
    beside = np.maximum(rows, np.abs(space.before + np.float32(14.0)) - np.float32(17.0))
    canvas.mix(region, np.float32(0.8) * inside(beside, 2.0), (BROWN_FAT, MUSCLE), np.float32(0.35) * part)
    _paint_liver_under(space, chest, dome)
    diaphragm = np.maximum(np.abs(dome) - np.float32(1.4), -space.before)
    canvas.paint(region, np.float32(0.8) * inside(diaphragm, 1.3), MUSCLE)


def _paint_liver_under(space: Space, chest: Chest, dome: Float32) -> None:
    centre = space.at(-34.0, 108.0, chest.bottom_z_mm + 14.0)
    liver = Ellipsoid(centre, (72.0, 72.0, 78.0)).sdf(space.region)
    liver = liver + np.float32(2.0) * space.noise.on(space.region, (30.0, 24.0, 24.0), 67.0)
    grain = 1.0 + np.float32(0.06) * space.noise.on(space.region, (7.0, 5.0, 5.0), 65.0)
    space.paint(np.maximum(liver, dome + np.float32(2.5)), ORGAN, 1.6, grain)


def _paint_lungs(space: Space, chest: Chest, outline: Outline, dome: Float32) -> None:
    """Beside the bodies the lungs reach their sides; before them they leave the mediastinum free, wider to the left."""
    region = space.region
    beside = space.spine.table(lambda v: v.half_width)[space.row] + np.float32(2.0)
    recess = np.float32(chest.recess_mm) + np.float32(9.0) * (space.side > 0)
    to_front = np.clip((space.before - np.float32(14.0)) / np.float32(30.0), 0.0, 1.0)
    to_spine = np.clip(-space.before / np.float32(6.0), 0.0, 1.0)
    half = recess + to_front * np.float32(chest.mediastinum_mm) + to_spine * np.maximum(beside - recess, 0.0)
    half = half + np.float32(3.5) * space.noise.on(region, (30.0, 22.0, 26.0), 73.0)
    lung = np.maximum(half - np.abs(space.side), np.float32(2.0) - dome)
    apex = np.float32(chest.top_z_mm) - np.float32(0.004) * space.before * space.before
    lung = np.maximum(lung, region.h - apex)
    chest_wall = outline.front_fat[space.row] + np.float32(22.0)
    lung = np.maximum(lung, np.maximum(chest_wall - space.from_front, space.behind - np.float32(13.0)))
    trees = np.clip(space.lines((16.0, 10.0, 14.0), 77.0, 0.1), 0.0, 1.0)
    space.canvas.mix(region, inside(lung, 2.0), (LUNG, MUSCLE), np.float32(0.3) * trees)


def _paint_heart(space: Space, chest: Chest) -> None:
    centre = space.at(10.0, chest.heart_before_mm, chest.heart_z_mm)
    space.paint_ellipsoid(Ellipsoid(centre, (52.0, 44.0, 50.0)), MUSCLE, uneven_mm=1.5, edge_mm=4.0, grain=0.15)
    blood = blend(FLOWING_BLOOD, SLOW_BLOOD, 0.22)
    for side, before, up, radii in ((14.0, -6.0, 0.0, (30.0, 27.0, 33.0)), (-12.0, 14.0, 10.0, (26.0, 20.0, 26.0))):
        cavity = space.at(10.0 + side, chest.heart_before_mm - before, chest.heart_z_mm + up)
        space.paint_ellipsoid(Ellipsoid(cavity, radii), blood, uneven_mm=3.0, edge_mm=4.0, grain=0.4)
    atrium = space.at(0.0, chest.heart_before_mm - 42.0, chest.heart_z_mm + 14.0)
    space.paint_ellipsoid(Ellipsoid(atrium, (30.0, 15.0, 24.0)), MUSCLE, edge_mm=2.0)
    space.paint_ellipsoid(Ellipsoid(atrium, (28.0, 13.0, 22.0)), blood, uneven_mm=1.5, edge_mm=2.5, grain=0.3)
    pulmonary = space.at(0.0, chest.heart_before_mm - 40.0, chest.heart_z_mm + 50.0)
    space.paint_ellipsoid(Ellipsoid(pulmonary, (34.0, 11.0, 9.0)), FLOWING_BLOOD, edge_mm=1.8, uneven_mm=1.0)


def _paint_gullet(space: Space) -> None:
    spine, region = space.spine, space.region
    rows = np.maximum(np.float32(spine.height_of("T10")) - region.h, region.h - np.float32(spine.height_of("C6")))
    forwards = np.float32(4.5) + np.float32(6.0) * np.clip((spine.height_of("T5") - region.h) / 90.0, 0.0, 1.0)
    gullet = np.hypot(np.float32(0.7) * (space.side - np.float32(3.0)), space.before - forwards)
    gullet = np.hypot(gullet, np.float32(0.3) * np.maximum(rows, 0.0)) - np.float32(4.2)
    space.paint(gullet, BOWEL, 1.3)


def _paint_breastbone(space: Space, outline: Outline) -> None:
    spine, region = space.spine, space.region
    rows = np.maximum(np.float32(spine.height_of("T9")) - region.h, region.h - np.float32(spine.height_of("T3")))
    depth = np.abs(space.from_front - outline.front_fat[space.row] - np.float32(13.0))
    bone = np.maximum(np.hypot(depth, np.maximum(rows, 0.0)) - np.float32(6.0), np.abs(space.side) - np.float32(17.0))
    space.paint(bone, CORTEX, 1.2)
    space.paint(bone + np.float32(1.4), marrow(0.45), 1.2)
