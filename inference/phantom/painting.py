"""From a scene to the noise-free signal of one sequence, and the masks of the lesions on its grid.

Order matters: surroundings, discs and bodies, canal, posterior elements, surface, lesions; later paint covers earlier.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.phantom.anatomy import Vertebra
from inference.phantom.canal_painting import paint_canal
from inference.phantom.grid import Canvas, Float32, Frame, Region, SliceGrid, inside
from inference.phantom.lesions import REACH_MM, RIM_MM, LesionPlan
from inference.phantom.noise import NoiseField
from inference.phantom.posterior_painting import paint_posterior_elements
from inference.phantom.scene import Scene, Variant
from inference.phantom.shapes import Ellipsoid
from inference.phantom.surroundings_painting import paint_surface, paint_surroundings
from inference.phantom.tissue import (
    ANNULUS,
    CORTEX,
    NUCLEUS_DRY,
    NUCLEUS_YOUNG,
    SLOW_BLOOD,
    Sequence,
    blend,
    marrow,
)

_CORTEX_MM = 1.1
_MARROW_TEXTURE = 0.05  # standard deviation about 5 % of the signal
_LESION_TEXTURE = 0.10


@dataclass(frozen=True, eq=False)
class LesionMask:
    """The voxels of one lesion: `voxels` is the (k, j, i) box `index` of the whole volume."""

    index: tuple[slice, slice, slice]
    voxels: NDArray[np.bool_]


def paint_scene(scene: Scene, grid: SliceGrid, sequence: Sequence) -> tuple[Float32, tuple[LesionMask, ...]]:
    """Signal (Z, Y, X) float32, 1 = fully relaxed water, and one mask per lesion in the order of the scene."""
    canvas = Canvas(grid, sequence)
    paint_surroundings(canvas, scene)
    for vertebra in scene.spine.vertebrae:
        _paint_disc(canvas, vertebra)
    for vertebra in scene.spine.vertebrae:
        _paint_body(canvas, vertebra, scene)
    for variant in scene.variants:
        _paint_variant(canvas, variant)
    paint_canal(canvas, scene)
    for vertebra in scene.spine.vertebrae:
        paint_posterior_elements(canvas, vertebra, scene.marrow_fat[vertebra.level])
    paint_surface(canvas, scene)
    masks = tuple(_paint_lesion(canvas, plan, scene.noise) for plan in scene.lesions)
    return canvas.volume, masks


def _around(grid: SliceGrid, frame: Frame, reach: tuple[float, float, float]) -> Region:
    left, depth, height = reach
    return grid.region(frame, (-left, -depth, -height), (left, depth, height))


def _paint_disc(canvas: Canvas, vertebra: Vertebra) -> None:
    disc = vertebra.disc_above
    if disc is None:
        return
    reach = (disc.half_width + 3.0, disc.half_depth + 5.0, disc.half_height + 4.0)
    region = _around(canvas.grid, disc.frame, reach)
    depth = disc.half_depth + np.float32(disc.bulge_mm) * (region.a > 0)
    radius = np.sqrt(np.sqrt((region.l / np.float32(disc.half_width)) ** 4 + (region.a / depth) ** 4))
    edge = (radius - 1.0) * np.float32(disc.half_depth)
    flat = np.abs(region.h) - np.float32(disc.half_height + 1.5)  # passes under the hollow end plates
    canvas.paint(region, inside(np.maximum(edge, flat)), canvas.value(ANNULUS))
    nucleus = Ellipsoid((0.0, 1.0, 0.0), (0.7 * disc.half_width, 0.72 * disc.half_depth, disc.half_height + 0.6))
    tissue = blend(NUCLEUS_YOUNG, NUCLEUS_DRY, disc.degeneration)
    canvas.paint(region, inside(nucleus.sdf(region), 1.4), canvas.value(tissue))


def _paint_body(canvas: Canvas, vertebra: Vertebra, scene: Scene) -> None:
    reach = (vertebra.half_width + 2.0, vertebra.half_depth + 2.0, vertebra.half_height + 2.0)
    region = _around(canvas.grid, vertebra.frame, reach)
    sdf = vertebra.body_sdf(region)
    canvas.paint(region, inside(sdf, 0.6), canvas.value(CORTEX))
    grain = scene.noise.at(region.l, region.a, region.h + np.float32(37.0 * vertebra.half_depth), 3.0)
    value = canvas.value(marrow(scene.marrow_fat[vertebra.level])) * (1.0 + np.float32(_MARROW_TEXTURE) * grain)
    canvas.paint(region, inside(sdf + np.float32(_CORTEX_MM), 0.6), value)
    if not vertebra.sacral:
        vein = Ellipsoid((0.0, vertebra.half_depth, 0.0), (5.0, 0.45 * vertebra.half_depth, 1.6))
        canvas.paint(region, np.float32(0.7) * inside(vein.sdf(region), 1.0), canvas.value(SLOW_BLOOD))


def _paint_variant(canvas: Canvas, variant: Variant) -> None:
    vertebra = variant.vertebra
    reach = (vertebra.half_width + 2.0, vertebra.half_depth + 2.0, vertebra.half_height + 2.0)
    region = _around(canvas.grid, vertebra.frame, reach)
    within = inside(vertebra.body_sdf(region) + np.float32(_CORTEX_MM), 0.6)
    spot = inside(variant.spot.sdf(region), variant.edge_mm)
    canvas.paint(region, np.float32(variant.strength) * within * spot, canvas.value(variant.tissue))


def _paint_lesion(canvas: Canvas, plan: LesionPlan, noise: NoiseField) -> LesionMask:
    region = _around(canvas.grid, plan.vertebra.frame, (REACH_MM, REACH_MM, REACH_MM))
    sdf = plan.sdf(region, noise)
    if not plan.ill_margin:
        canvas.paint(region, inside(np.abs(sdf) - np.float32(RIM_MM / 2), 0.5), canvas.value(CORTEX))
    grain = 1.0 + np.float32(_LESION_TEXTURE) * noise.at(region.l, region.a + np.float32(57.0), region.h, 4.0)
    value = canvas.value(plan.tissue) * grain * plan.striae(region, noise)
    inner = sdf if plan.ill_margin else sdf + np.float32(RIM_MM / 2)
    canvas.paint(region, inside(inner, plan.edge_mm), value)
    return LesionMask(region.index, sdf < 0)
