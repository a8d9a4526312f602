"""Where the spine meets the skull: dens and atlas, clivus, occiput, brain stem and cerebellum.

All places are (left, behind, above) in mm of the centre of C2's body.
"""

from typing import Final

import numpy as np

from inference.phantom.body.space import Space
from inference.phantom.grid import WORLD, Canvas, Float32, Frame, Region, inside
from inference.phantom.noise import NoiseField
from inference.phantom.scene import Scene
from inference.phantom.shapes import Capsule, Ellipsoid, smooth_union
from inference.phantom.spine.canal import Canal
from inference.phantom.tissue import BRAIN, CORD, CORTEX, CSF, LIGAMENT, marrow

_REACH_MM: Final = 125.0
_CORTEX_MM: Final = 1.2
_SKULL_MM: Final = 6.5  # thickness


def paint_skull(space: Space, canal: Canal) -> None:
    """The posterior fossa with its bones; before the canal, which ends in its lower opening."""
    frame = space.spine.of_level("C2").frame
    upright = Frame(frame.origin_mm, WORLD.axes)
    region = space.canvas.grid.region(upright, (-90.0, -_REACH_MM, 12.0), (90.0, _REACH_MM, 160.0))
    if region.empty or region.h.max() < 16.0:
        return
    canvas, noise = space.canvas, space.noise
    canal_a = _canal_middle(space, canal) - float(frame.origin_mm[1])
    cavity = _cavity(region, noise, canal_a)
    opening = np.maximum(
        np.hypot(region.l, region.a - np.float32(canal_a)) - np.float32(17.0), region.h - np.float32(38.0)
    )
    bone = np.maximum(cavity - np.float32(_SKULL_MM), -opening)
    canvas.paint(region, inside(bone, 1.0), CORTEX)
    diploe = np.abs(cavity - np.float32(0.5 * _SKULL_MM)) - np.float32(1.7)
    canvas.paint(region, np.float32(0.9) * inside(np.maximum(diploe, 1.0 - opening), 1.0), marrow(0.55))
    clivus = smooth_union(
        Capsule((0.0, -3.0, 32.0), (0.0, -16.0, 56.0), 4.5).sdf(region),
        Capsule((0.0, -16.0, 56.0), (0.0, -28.0, 74.0), 8.0).sdf(region),
        6.0,
    )
    canvas.paint(region, inside(np.maximum(cavity, -clivus), 1.0), CSF)
    _paint_bone(canvas, region, np.maximum(clivus, np.abs(region.l) - np.float32(16.0)), 0.62)
    _paint_brain(canvas, region, noise, np.maximum(cavity, 2.0 - clivus), canal_a)


def _canal_middle(space: Space, canal: Canal) -> float:
    """y of the middle of the dural sac where it enters the skull."""
    spine = space.spine
    row = int(np.searchsorted(spine.z_mm, canal.top_z_mm))
    return float(spine.wall_y[row] + canal.sac_centre[row] / spine.wall_cosine[row])


def _cavity(region: Region, noise: NoiseField, canal_a: float) -> Float32:
    """The posterior fossa, open above into the large cavity of the cerebrum and below into the canal."""
    fossa = Ellipsoid((0.0, 36.0, 72.0), (54.0, 48.0, 46.0)).sdf(region)
    cerebrum = Ellipsoid((0.0, 25.0, 140.0), (70.0, 88.0, 55.0)).sdf(region)
    cavity = smooth_union(fossa, cerebrum, 14.0)
    sac = (np.hypot((region.a - np.float32(canal_a)) / 7.0, region.l / 11.5) - 1.0) * np.float32(7.0)
    neck = np.maximum(sac, np.maximum(np.float32(14.0) - region.h, region.h - np.float32(50.0)))
    uneven = np.float32(1.5) * noise.on(region, (18.0, 14.0, 14.0), 131.0)
    joined: Float32 = smooth_union(cavity, neck, 9.0) + uneven
    return joined


def paint_dens_and_atlas(canvas: Canvas, scene: Scene) -> None:
    c2 = scene.spine.of_level("C2")
    region = canvas.grid.region(c2.frame, (-32.0, -22.0, -4.0), (32.0, 50.0, 40.0))
    if region.empty:
        return
    fat = scene.marrow_fat["C2"]
    depth, height = c2.half_depth, c2.half_height
    uneven = np.float32(0.7) * scene.noise.on(region, (6.0, 6.0, 6.0), 5.0)
    dens = Capsule((0.0, -1.0, 0.0), (0.0, 0.0, height + 13.5), 5.2).sdf(region) + uneven
    joined = smooth_union(dens, c2.body_sdf(region) + np.float32(0.7), 3.0)
    canvas.paint(region, inside(np.maximum(joined, np.float32(0.5 * height) - region.h), 0.7), CORTEX)
    inner = np.maximum(joined + np.float32(1.0), np.float32(0.2 * height) - region.h)
    canvas.paint(region, inside(inner, 0.7), marrow(fat))
    arch = Ellipsoid((0.0, -9.8, height + 10.0), (12.0, 3.0, 5.4)).sdf(region) + np.float32(0.5) * uneven
    _paint_bone(canvas, region, arch, min(0.85, fat + 0.15))
    posterior = Ellipsoid((0.0, depth + 21.5, height + 6.0), (14.0, 3.2, 4.2)).sdf(region) + np.float32(0.5) * uneven
    _paint_bone(canvas, region, posterior, min(0.85, fat + 0.1))
    for side in (-1.0, 1.0):
        mass = Ellipsoid((side * 17.0, 2.0, height + 9.0), (9.0, 9.0, 7.5)).sdf(region) + uneven
        condyle = Ellipsoid((side * 15.0, 6.0, height + 26.0), (8.0, 10.0, 7.0)).sdf(region) + uneven
        _paint_bone(canvas, region, mass, fat)
        _paint_bone(canvas, region, condyle, fat)
    band = np.maximum(np.abs(region.a - np.float32(6.6)) - np.float32(1.0), np.abs(region.l) - np.float32(9.0))
    band = np.maximum(band, np.abs(region.h - np.float32(height + 9.0)) - np.float32(14.0))
    canvas.paint(region, np.float32(0.8) * inside(band, 0.7), LIGAMENT)


def _paint_bone(canvas: Canvas, region: Region, sdf: Float32, fat: float) -> None:
    canvas.paint(region, np.float32(0.85) * inside(sdf, 0.8), CORTEX)
    canvas.paint(region, inside(sdf + np.float32(_CORTEX_MM), 0.8), marrow(fat))


def _paint_brain(canvas: Canvas, region: Region, noise: NoiseField, cavity: Float32, canal_a: float) -> None:
    folia = noise.on(region, (20.0, 5.0, 2.6), 91.0, warp=0.8)
    lobes = Ellipsoid((0.0, 44.0, 69.0), (53.0, 44.0, 40.0)).sdf(region) + np.float32(1.2) * folia
    lobes = np.maximum(lobes, cavity + np.float32(2.4))
    part = np.clip(np.float32(0.88) + np.float32(0.35) * folia, 0.5, 1.0)
    canvas.mix(region, inside(lobes, 1.2), (CSF, BRAIN), part)
    canvas.paint(region, inside(Ellipsoid((0.0, 25.0, 63.0), (6.0, 4.0, 10.0)).sdf(region), 1.0), CSF)
    stem = Capsule((0.0, canal_a, 12.0), (0.0, 10.0, 58.0), 5.4).sdf(region)
    pons = Ellipsoid((0.0, 6.0, 66.0), (16.0, 12.5, 14.0)).sdf(region)
    stem = smooth_union(stem, pons, 7.0)
    stem = smooth_union(stem, Capsule((0.0, 9.0, 75.0), (0.0, 8.0, 100.0), 7.5).sdf(region), 5.0)
    canvas.paint(region, inside(np.maximum(stem, cavity + np.float32(1.0)), 0.9), CORD)
    sulci = noise.on(region, (10.0, 8.0, 7.0), 95.0, warp=1.0)
    above = np.maximum(cavity + np.float32(3.0), np.float32(94.0) - region.h)
    canvas.mix(region, inside(above, 1.2), (CSF, BRAIN), np.clip(np.abs(sulci) * np.float32(5.0), 0.3, 1.0))
