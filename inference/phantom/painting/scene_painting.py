"""From a scene to the noise-free signal of one sequence, and the masks of the lesions on its grid.

Order matters, later paint covers earlier: surroundings (whole slices), skull, then in thin parts of slices discs and
bodies, mimics, canal, posterior elements, lesions; the air outside the body last.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from inference.phantom.body.space import Space
from inference.phantom.body.surroundings import paint_surroundings
from inference.phantom.grid import Canvas, Float32, SliceGrid
from inference.phantom.lesions.displacement import displaced
from inference.phantom.lesions.mimics import paint_mimic
from inference.phantom.lesions.painting import LesionMask, paint_lesion
from inference.phantom.painting.canal import paint_canal
from inference.phantom.painting.column import paint_column
from inference.phantom.painting.head import paint_dens_and_atlas, paint_skull
from inference.phantom.painting.posterior import paint_posterior_elements
from inference.phantom.painting.sacrum import paint_wings
from inference.phantom.scene import Scene
from inference.phantom.tissue import Sequence

PARTS: Final = 4  # per slice


@dataclass(frozen=True, eq=False)
class Signal:
    """Noise-free signal, 1 = fully relaxed water: (Z, Y, X) float32 each."""

    water: Float32
    fat: Float32
    pulsation: Float32  # 0..1, how much of the voxel moves with the heart


def paint_scene(scene: Scene, grid: SliceGrid, sequence: Sequence) -> tuple[Signal, tuple[LesionMask, ...]]:
    """The signal, and one mask per lesion in the order of the scene."""
    scene = replace(scene, canal=displaced(scene.canal, scene.spine, scene.lesions))
    canvas = Canvas(grid, sequence)
    space = Space.of(canvas, scene.spine, scene.outline, scene.noise)
    air = paint_surroundings(space, scene.surroundings, scene.outline)
    paint_skull(space, scene.canal)
    canvas.divide(PARTS)
    paint_wings(canvas, scene)
    paint_column(canvas, scene)
    for mimic in scene.mimics:
        paint_mimic(canvas, mimic, scene.noise)
    paint_canal(canvas, scene)
    for vertebra in scene.spine.vertebrae:
        paint_posterior_elements(canvas, vertebra, scene)
    paint_dens_and_atlas(canvas, scene)
    masks = tuple(paint_lesion(canvas, plan, scene.noise) for plan in scene.lesions)
    water, fat = canvas.slices()
    body = 1.0 - air
    return Signal(water * body, fat * body, np.clip(canvas.pulsation, 0.0, 1.0)), masks
