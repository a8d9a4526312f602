"""The abdomen and pelvis before the spine: mesenteric fat, bowel, organs, psoas, great vessels, abdominal wall.

Clutter for the detector, not anatomy class.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from inference.phantom.body.outline import Outline
from inference.phantom.body.space import Space
from inference.phantom.grid import inside
from inference.phantom.shapes import Ellipsoid, Point
from inference.phantom.spine.anatomy import Spine
from inference.phantom.tissue import (
    AIR,
    BOWEL,
    BOWEL_FLUID,
    BROWN_FAT,
    FAT,
    GLAND,
    LIGAMENT,
    MUSCLE,
    ORGAN,
    STOOL,
    URINE,
)

_WALL_MUSCLE_MM: Final = 9.0
_LOOPS: Final = (22, 34)


class Content(Enum):
    """What fills a loop of bowel."""

    COLLAPSED = BOWEL
    FLUID = BOWEL_FLUID
    STOOL = STOOL
    GAS = AIR


@dataclass(frozen=True, slots=True)
class Loop:
    """A piece of bowel: half left of the midline, distance before the posterior wall, height; all in mm."""

    side: float
    before_wall: float
    z_mm: float
    radii: Point
    content: Content


@dataclass(frozen=True, eq=False)
class Abdomen:
    top_z_mm: float  # of the diaphragm behind
    loops: tuple[Loop, ...]
    liver_low_mm: float  # how far the liver reaches below the diaphragm
    psoas_mm: float  # half width of the muscle at L4
    bladder_mm: float
    female: bool


def draw_abdomen(rng: np.random.Generator, spine: Spine, *, female: bool) -> Abdomen:
    top, bottom = spine.height_of("T11"), spine.height_of("S3")
    loops = []
    for _ in range(int(rng.integers(*_LOOPS))):
        radii = rng.uniform((12.0, 7.0, 8.0), (30.0, 17.0, 22.0))
        loops.append(
            Loop(
                side=float(rng.uniform(-48.0, 48.0)),
                before_wall=float(rng.uniform(66.0, 130.0)),
                z_mm=float(rng.uniform(bottom, top - 30.0)),
                radii=(float(radii[0]), float(radii[1]), float(radii[2])),
                content=list(Content)[int(rng.choice(4, p=(0.4, 0.15, 0.25, 0.2)))],
            )
        )
    return Abdomen(
        top_z_mm=top,
        loops=tuple(loops),
        liver_low_mm=float(rng.uniform(60.0, 110.0)),
        psoas_mm=float(rng.uniform(17.0, 24.0)),
        bladder_mm=float(rng.uniform(16.0, 36.0)),
        female=female,
    )


def paint_abdomen(space: Space, abdomen: Abdomen, outline: Outline) -> None:
    _paint_mesentery(space)
    _paint_psoas(space, abdomen)
    _paint_organs(space, abdomen)
    for loop in abdomen.loops:
        _paint_loop(space, loop)
    _paint_wall(space, outline)


def _paint_mesentery(space: Space) -> None:
    """Fat with strands of vessels; finer and calmer close to the bodies."""
    canvas, region = space.canvas, space.region
    clouds = space.noise.on(region, (22.0, 13.0, 16.0), 43.0, warp=1.5)
    strands = space.noise.on(region, (11.0, 4.0, 7.0), 31.0, warp=1.5)
    vessels = space.lines((30.0, 14.0, 30.0), 37.0, 0.28)
    far = np.clip(space.before * np.float32(1.0 / 22.0), 0.3, 1.0)
    mixed = np.float32(0.55) * clouds + np.float32(0.35) * strands + np.float32(0.28) * vessels + np.float32(0.15)
    part = np.clip(far * mixed, 0.0, 0.9)
    canvas.mix(region, np.ones((1, 1, 1), dtype=np.float32), (FAT, BOWEL), part)
    fine = space.noise.on(region, (5.0, 4.0, 6.0), 47.0, warp=0.5)
    canvas.shade(region, 1.0 + np.float32(0.12) * fine)


def _paint_psoas(space: Space, abdomen: Abdomen) -> None:
    """Psoas beside the lumbar bodies, growing downwards and leaving them forwards; crura before L1 and L2."""
    spine = space.spine
    top, bottom = spine.height_of("L1") + 12.0, spine.height_of("S2")
    down = np.clip((top - space.region.h) / (top - spine.height_of("L4")), 0.0, 1.6)
    size = np.float32(abdomen.psoas_mm) * np.sqrt(np.clip(down, 0.02, 1.0))
    half_width = spine.table(lambda v: v.half_width)[space.row]
    across = np.abs(space.side) - half_width * np.float32(0.86) - size
    along = space.before + np.float32(14.0) - np.float32(22.0) * np.clip(down - 1.0, 0.0, 1.0)
    muscle = np.hypot(across, np.float32(0.85) * along) - size
    muscle = np.maximum(muscle, np.float32(bottom) - space.region.h)
    streaks = np.clip(np.float32(0.4) * space.noise.on(space.region, (9.0, 6.0, 50.0), 51.0, warp=0.6), 0.0, 0.4)
    space.canvas.mix(space.region, inside(muscle, 1.4), (MUSCLE, FAT), streaks)
    along = (space.region.h - np.float32(spine.height_of("L1"))) / np.float32(50.0)
    thick = np.float32(3.4) * np.clip(1.0 - along * along, 0.0, 1.0) - np.float32(0.8)
    crus = np.maximum(np.abs(space.before - np.float32(4.5)) - thick, np.abs(space.side) - np.float32(13.0))
    space.paint(crus, MUSCLE, 1.3)


def _paint_organs(space: Space, abdomen: Abdomen) -> None:
    top = abdomen.top_z_mm
    liver = Ellipsoid(space.at(-42.0, 105.0, top - 10.0), (62.0, 48.0, abdomen.liver_low_mm))
    space.paint_ellipsoid(liver, ORGAN, uneven_mm=1.0, grain=0.08)
    stomach = Ellipsoid(space.at(32.0, 118.0, top - 42.0), (26.0, 26.0, 34.0))
    space.paint_ellipsoid(stomach, BOWEL, uneven_mm=3.0, grain=0.3)
    pancreas = Ellipsoid(space.at(0.0, 78.0, space.spine.height_of("L1")), (60.0, 9.0, 11.0))
    space.paint_ellipsoid(pancreas, ORGAN, uneven_mm=3.0, grain=0.35)
    duodenum = Ellipsoid(space.at(-4.0, 66.0, space.spine.height_of("L3") + 6.0), (45.0, 7.0, 9.0))
    space.paint_ellipsoid(duodenum, BOWEL, uneven_mm=2.0, grain=0.3)
    _paint_pelvis(space, abdomen)


def _paint_pelvis(space: Space, abdomen: Abdomen) -> None:
    low, size = space.spine.height_of("S3"), abdomen.bladder_mm
    bladder = Ellipsoid(space.at(0.0, 108.0, low - 24.0), (36.0, 0.7 * size + 8.0, size))
    space.paint_ellipsoid(bladder, URINE, edge_mm=1.5, uneven_mm=3.0, wall=(MUSCLE, 3.5))
    if abdomen.female:
        womb = Ellipsoid(space.at(0.0, 70.0, low - 6.0), (23.0, 15.0, 0.5 * size + 12.0))
        space.paint_ellipsoid(womb, GLAND, uneven_mm=2.5, edge_mm=2.5, grain=0.1, wall=(MUSCLE, 6.0))
    else:
        vesicles = Ellipsoid(space.at(0.0, 72.0, low - 40.0), (28.0, 6.0, 8.0))
        space.paint_ellipsoid(vesicles, URINE, uneven_mm=3.0, grain=0.5)
    rectum = Ellipsoid(space.at(2.0, 34.0, low - 14.0), (14.0, 11.0, 34.0))
    space.paint_ellipsoid(rectum, STOOL, uneven_mm=4.0, grain=0.6, wall=(BOWEL, 3.5))


def _paint_loop(space: Space, loop: Loop) -> None:
    centre = space.at(loop.side, loop.before_wall, loop.z_mm)
    shape = Ellipsoid(centre, loop.radii)
    grain = 0.15 if loop.content is Content.COLLAPSED else 0.5
    space.paint_ellipsoid(shape, loop.content.value, edge_mm=1.6, uneven_mm=5.0, grain=grain, wall=(BOWEL, 2.6))


def _paint_wall(space: Space, outline: Outline) -> None:
    """Subcutaneous fat with septa, and the straight muscle of the belly between two fasciae."""
    thickness = outline.front_fat[space.row] * np.float32(1.25)
    wall = np.abs(space.from_front - thickness - np.float32(_WALL_MUSCLE_MM / 2)) - np.float32(_WALL_MUSCLE_MM / 2)
    below = np.float32(space.spine.height_of("T9")) - space.region.h
    space.paint(np.maximum(wall, -below), LIGAMENT, 1.0)
    space.paint(np.maximum(wall + np.float32(1.0), -below), MUSCLE, 1.0)
    streaks = 1.0 + np.float32(0.07) * space.noise.on(space.region, (40.0, 8.0, 45.0), 61.0, warp=0.6)
    outer = space.from_front - thickness
    space.paint(outer, FAT, 1.0, streaks)
    lining = np.abs(outer - np.float32(_WALL_MUSCLE_MM + 4.0)) - np.float32(3.0)
    space.paint(np.maximum(lining, -below), BROWN_FAT, 2.0)
