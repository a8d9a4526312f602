"""The back: erector muscles with fatty streaks, ligaments between the spinous processes, fascia, fat under the skin."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from inference.phantom.body.outline import Outline
from inference.phantom.body.space import Space
from inference.phantom.grid import Float32, Region, inside
from inference.phantom.spine.anatomy import Spine
from inference.phantom.tissue import FAT, LIGAMENT, MUSCLE, SKIN, blend

_SKIN_MM: Final = 1.9
_MIDLINE_MM: Final = 4.0  # half width of the layer of the spinous processes
# Fatty streaks grow towards the sacrum, and between the layers of the neck.
_FAT_SHARE: Final = {
    "C2": 0.3,
    "C6": 0.25,
    "T3": 0.1,
    "T9": 0.06,
    "L1": 0.08,
    "L3": 0.14,
    "L5": 0.28,
    "S1": 0.4,
    "S3": 0.6,
}

_INTERSPINOUS_FAT: Final = {"C2": 0.5, "C6": 0.45, "T3": 0.3, "T10": 0.25, "L2": 0.25, "L4": 0.4, "S1": 0.6}


@dataclass(frozen=True, eq=False)
class Back:
    fat_share: Float32  # table: how much of the muscle is fat
    interspinous_fat: Float32  # table


def draw_back(rng: np.random.Generator, spine: Spine) -> Back:
    return Back(
        fat_share=spine.anchored(_FAT_SHARE) * np.float32(rng.uniform(0.4, 1.5)),
        interspinous_fat=spine.anchored(_INTERSPINOUS_FAT) * np.float32(rng.uniform(0.6, 1.3)),
    )


def paint_back(space: Space, back: Back, outline: Outline) -> None:
    """From the laminae to the skin."""
    canvas, region = space.canvas, space.region
    fascia = outline.behind_fascia(region, space.row)
    muscle = np.maximum(np.float32(7.0) - space.behind, fascia)
    # Fibres run along the spine: the field is sampled in its coordinates.
    along = Region(region.index, space.side, space.behind, region.h)
    streaks = space.noise.on(along, (10.0, 2.6, 26.0), 1.0, warp=1.0) + np.float32(0.6) * space.noise.on(
        along, (6.0, 2.6, 9.0), 2.0, warp=0.6
    )
    share = back.fat_share[space.row]
    planes = np.clip(1.0 - np.abs(space.noise.on(along, (35.0, 16.0, 130.0), 5.0, warp=0.6)) * 7.0, 0.0, 1.0)
    base = np.float32(0.25) * share * (1.0 + streaks)
    fatty = np.clip(
        base + np.clip(np.float32(0.5) * (streaks - np.float32(0.7)) + share, 0.0, 0.6) + share * planes, 0, 0.8
    )
    canvas.mix(region, inside(muscle, 1.3), (MUSCLE, FAT), fatty)
    _paint_midline(space, back, muscle)
    under_skin = np.maximum(-fascia, np.float32(_SKIN_MM) - space.from_back)
    streaks = 1.0 + np.float32(0.07) * space.noise.on(region, (40.0, 6.0, 45.0), 9.0, warp=0.6)
    space.paint(under_skin, FAT, 1.0, streaks)
    sheet = np.abs(fascia) - np.float32(0.5)
    space.paint(np.maximum(sheet, np.float32(7.0) - space.behind), LIGAMENT, 0.9)


def paint_skin(space: Space) -> None:
    depth = np.minimum(space.from_back, space.from_front)
    space.paint(depth - np.float32(_SKIN_MM), SKIN, space.canvas.softness_mm)


def air_outside(space: Space) -> Float32:
    """0 in the body, 1 outside."""
    return inside(np.minimum(space.from_back, space.from_front), space.canvas.softness_mm)


def _paint_midline(space: Space, back: Back, muscle: Float32) -> None:
    """Between the spinous processes: ligament fibres and fat that run from process to process."""
    canvas, region = space.canvas, space.region
    between = np.maximum(np.abs(space.side) - np.float32(_MIDLINE_MM), muscle)
    fibres = space.noise.on(region, (8.0, 5.0, 3.5), 13.0, warp=1.0) + np.float32(0.7) * space.noise.on(
        region, (6.0, 9.0, 9.0), 15.0, warp=1.0
    )
    part = np.clip(fibres * np.float32(0.28) + back.interspinous_fat[space.row], 0.0, 0.9)
    canvas.mix(region, np.float32(0.85) * inside(between, 2.0), (blend(MUSCLE, LIGAMENT, 0.35), FAT), part)
