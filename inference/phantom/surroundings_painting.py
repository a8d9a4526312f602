"""Everything around the spine: skin, fat, muscle, great vessels, bowel. Clutter for the detector, not anatomy class."""

from dataclasses import dataclass

import numpy as np

from inference.phantom.grid import WORLD, Canvas, Float32, Region, inside
from inference.phantom.scene import Scene
from inference.phantom.tissue import FAT, FLOWING_BLOOD, LIGAMENT, MUSCLE, SKIN, SLOW_BLOOD, blend

_SKIN_MM = 2.5
_OVER_SACRUM_MM = 42.0  # at least this much lies behind the posterior wall
_PSOAS_FROM_MM = 21.0  # lateral of this, muscle lies beside the bodies
_PSOAS_TO_MM = 50.0
_FLANK_FROM_MM = 55.0  # beyond this the body rounds off towards the flanks: seen on axial and coronal images only
_ROUNDNESS_PER_MM = 0.008
_ILIAC_SLOPE = 0.45  # mm sideways per mm downwards
_WALL_MUSCLE_MM = 9.0  # thickness of the abdominal wall


def paint_surroundings(canvas: Canvas, scene: Scene) -> None:
    """Cover the whole canvas up to its edges; `paint_surface` cuts the body out of it afterwards."""
    around, spine = scene.surroundings, scene.spine
    region = canvas.grid.whole()
    index = spine.table_index(region.h)
    behind = spine.behind_wall_mm(region.a, index)
    off_midline = np.abs(region.l - spine.wall_x[index])
    texture = around.texture.on(canvas.grid.shape)
    everywhere = np.ones((1, 1, 1), dtype=np.float32)
    canvas.paint(region, everywhere, canvas.value(FAT) * (1.0 + np.float32(0.07) * texture))
    _paint_belly(canvas, scene, texture)
    psoas = np.maximum(np.float32(_PSOAS_FROM_MM) - off_midline, np.abs(behind + np.float32(14.0)) - np.float32(24.0))
    psoas = np.maximum(psoas, off_midline - np.float32(_PSOAS_TO_MM))
    canvas.paint(region, inside(psoas, 2.0), canvas.value(MUSCLE))
    _paint_vessels(canvas, scene)
    _paint_back(canvas, scene, _BackSpace(region, behind, off_midline, texture))


def paint_surface(canvas: Canvas, scene: Scene) -> None:
    """Skin, and air outside it. Painted after the bones: nothing may stick out."""
    region = canvas.grid.whole()
    surface = np.minimum(_from_back(scene, region), _from_belly(scene, region))
    canvas.paint(region, inside(surface - np.float32(_SKIN_MM), 0.8), canvas.value(SKIN))
    canvas.paint(region, inside(surface, 0.8), 0.0)


@dataclass(frozen=True, eq=False)
class _BackSpace:
    region: Region
    behind: Float32  # mm behind the posterior wall
    off_midline: Float32  # mm
    texture: Float32


def _from_back(scene: Scene, region: Region) -> Float32:
    """Depth under the skin of the back, mm."""
    around, spine = scene.surroundings, scene.spine
    skin_y = np.maximum(
        spine.back_y * np.float32(around.skin_follows) + np.float32(around.back_mm),
        spine.back_y + np.float32(_OVER_SACRUM_MM),
    )
    depth: Float32 = skin_y[spine.table_index(region.h)] - region.a - _flank(region)
    return depth


def _from_belly(scene: Scene, region: Region) -> Float32:
    """Depth under the skin of the belly, mm; the belly flattens towards chest and pelvis."""
    depth: Float32 = region.a + np.float32(scene.surroundings.belly_mm) - np.float32(0.0004) * region.h * region.h
    return depth - _flank(region)


def _flank(region: Region) -> Float32:
    """How much nearer the skin is at the flanks than in the middle, mm."""
    beyond = np.maximum(np.abs(region.l) - np.float32(_FLANK_FROM_MM), np.float32(0.0))
    rounding: Float32 = np.float32(_ROUNDNESS_PER_MM) * beyond * beyond
    return rounding


def _paint_back(canvas: Canvas, scene: Scene, space: _BackSpace) -> None:
    """Erector muscles with fatty streaks, the ligaments between the spinous processes, and the fascia."""
    around = scene.surroundings
    muscle, fat = canvas.value(MUSCLE), canvas.value(FAT)
    from_back = _from_back(scene, space.region)
    streaks = around.streaks.on(canvas.grid.shape) + np.float32(0.3) * space.texture
    fatty = np.clip(streaks - np.float32(around.streak_threshold), 0.0, 0.6)
    deep = np.maximum(np.float32(around.back_fat_mm) - from_back, np.float32(6.0) - space.behind)
    canvas.paint(space.region, inside(deep, 1.5), muscle + fatty * (fat - muscle))
    between = np.maximum(space.off_midline - np.float32(4.5), deep)
    mixed = canvas.value(blend(LIGAMENT, FAT, 0.45)) * (1.0 + np.float32(0.35) * space.texture)
    canvas.paint(space.region, inside(between, 1.5), mixed)
    fascia = np.abs(from_back - np.float32(around.back_fat_mm)) - np.float32(0.6)
    canvas.paint(space.region, inside(fascia, 0.8), canvas.value(LIGAMENT))


def _paint_belly(canvas: Canvas, scene: Scene, texture: Float32) -> None:
    around = scene.surroundings
    region = canvas.grid.whole()
    middle = np.float32(around.belly_fat_mm + _WALL_MUSCLE_MM / 2)
    wall = np.abs(_from_belly(scene, region) - middle) - np.float32(_WALL_MUSCLE_MM / 2)
    canvas.paint(region, inside(wall, 1.5), canvas.value(MUSCLE) * (1.0 + np.float32(0.15) * texture))
    for blob, tissue in around.blobs:
        lower, upper = (
            tuple(c + sign * (r + 3.0) for c, r in zip(blob.centre, blob.radii, strict=True)) for sign in (-1.0, 1.0)
        )
        local = canvas.grid.region(WORLD, (lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2]))
        wavy = blob.sdf(local) + np.float32(2.0) * scene.noise.at(local.l, local.a, local.h, 9.0)
        canvas.paint(local, np.float32(0.85) * inside(wavy, 1.6), canvas.value(tissue))


def _paint_vessels(canvas: Canvas, scene: Scene) -> None:
    """Aorta left and cava right of the midline, before the bodies; both fork at L4."""
    around, wall = scene.surroundings, scene.spine.wall_y
    front, back = float(wall.min()) - 75.0, float(wall.max())
    region = canvas.grid.region(WORLD, (-150.0, front, -260.0), (150.0, back, 260.0))
    behind = scene.spine.behind_wall_mm(region.a, scene.spine.table_index(region.h))
    level = {v.level: v for v in scene.spine.vertebrae}
    end = float(level["L4"].frame.origin_mm[2])
    depth = 2.0 * level["L3"].half_depth
    below = np.maximum(np.float32(end) - region.h, 0.0)  # iliac arteries and veins: thinner, and off to the side
    for offset, radius, tissue in (
        (around.aorta_x_mm, around.aorta_radius_mm, FLOWING_BLOOD),
        (around.aorta_x_mm - 27.0, around.aorta_radius_mm + 1.5, blend(FLOWING_BLOOD, SLOW_BLOOD, 0.3)),
    ):
        across = behind + np.float32(depth + radius + 4.0) - np.float32(0.15) * below
        aside = np.float32(np.sign(offset) * _ILIAC_SLOPE) * below
        narrowed = np.float32(radius) * np.maximum(1.0 - below / np.float32(90.0), np.float32(0.55))
        tube = np.sqrt((region.l - np.float32(offset) - aside) ** 2 + across**2) - narrowed
        canvas.paint(region, inside(tube, 1.2), canvas.value(tissue))
