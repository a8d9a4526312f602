"""Pedicles, articular pillars, laminae and spinous process of one vertebra, and the roots in its foramina."""

from typing import Final

import numpy as np

from inference.phantom.grid import Canvas, Float32, Region, inside
from inference.phantom.scene import PosteriorShape, Scene
from inference.phantom.shapes import Capsule, Ellipsoid, slab, smooth_union
from inference.phantom.spine.vertebra import Vertebra
from inference.phantom.tissue import CORD, CORTEX, marrow

_CORTEX_MM: Final = 1.0
_UNEVEN_MM: Final = 1.3


def paint_posterior_elements(canvas: Canvas, vertebra: Vertebra, scene: Scene) -> None:
    if vertebra.shape.spinous[0] == 0.0:
        return
    depth, width, height = vertebra.half_depth, vertebra.half_width, vertebra.half_height
    lower = (-width - 5.0, depth - 6.0, -2.2 * height - 30.0)
    upper = (width + 5.0, depth + 56.0, 1.9 * height)
    region = canvas.grid.region(vertebra.frame, lower, upper)
    if region.empty:
        return
    shape = scene.posterior[vertebra.level]
    uneven = np.float32(_UNEVEN_MM) * scene.noise.on(region, (7.0, 8.0, 8.0), 3.0 + depth)
    for side in (-1.0, 1.0):
        if not vertebra.sacral:
            _paint_root(canvas, vertebra, region, side)
        _paint_bone(canvas, vertebra, scene, region, _arch(vertebra, region, side) + np.float32(0.5) * uneven)
    process = _spinous_process(vertebra, shape, region) + uneven
    _paint_bone(canvas, vertebra, scene, region, process)


def _paint_bone(canvas: Canvas, vertebra: Vertebra, scene: Scene, region: Region, sdf: Float32) -> None:
    # Pedicles go over into the body without a border.
    outside_body = np.clip(region.a - np.float32(vertebra.half_depth - 1.0), 0.0, 1.0)
    canvas.paint(region, np.float32(0.75) * outside_body * inside(sdf, 0.9), CORTEX)
    spongy = marrow(max(0.2, scene.marrow_fat[vertebra.level] - 0.05))
    canvas.paint(region, np.float32(0.88) * inside(sdf + np.float32(_CORTEX_MM), 1.1), spongy)


def _spinous_process(vertebra: Vertebra, shape: PosteriorShape, region: Region) -> Float32:
    """A drooping plate near the midline: long and steep in the thorax, hatchet-shaped in the loins."""
    length, half, droop = vertebra.shape.spinous
    length, droop = length * shape.length, droop + shape.droop
    start = vertebra.half_depth + vertebra.shape.canal + 2.0
    along = region.a - np.float32(start)
    middle = np.float32(-0.4 * vertebra.half_height + shape.lift_mm) - np.float32(droop) * along
    end = np.clip(along / np.float32(length), 0.0, 1.0)
    # A narrow neck behind the laminae, a club at the tip.
    tall = np.abs(region.h - middle) * np.float32(1.0 / np.hypot(1.0, droop)) - np.float32(half) * (0.62 + 0.38 * end)
    ends = slab(along, length / 2, length / 2)
    thin = np.abs(region.l - np.float32(shape.lean) * np.maximum(along, 0.0))
    thin = thin - np.float32(shape.thickness_mm) * (0.75 + 0.5 * end)
    corner = np.float32(3.0)
    outline = np.maximum(tall, ends)
    rounded = np.hypot(np.maximum(tall + corner, 0.0), np.maximum(ends + corner, 0.0)) - corner
    outline = np.where(outline < -corner, outline, rounded)
    process: Float32 = np.maximum(outline, thin).astype(np.float32, copy=False)
    return process


def _arch(vertebra: Vertebra, region: Region, side: float) -> Float32:
    """Pedicle, articular pillar and lamina of one side, grown together."""
    parts = _cervical_arch(vertebra, side) if vertebra.level.startswith("C") else _lower_arch(vertebra, side)
    bone = _lamina(vertebra, region, side)
    for part in parts:
        bone = smooth_union(bone, part.sdf(region), 3.0)
    return bone


def _lamina(vertebra: Vertebra, region: Region, side: float) -> Float32:
    """A leaning plate from the pillar to the spinous process."""
    height, width = vertebra.half_height, vertebra.half_width
    sloped = Region(region.index, region.l, region.a + np.float32(0.3) * region.h, region.h)
    behind = vertebra.half_depth + vertebra.shape.canal + 1.5
    half = 0.3 * width + 1.5
    plate = Ellipsoid((side * half, behind, -0.4 * height), (half + 1.0, 3.6, 0.62 * height + 1.5))
    return plate.sdf(sloped)


def _lower_arch(vertebra: Vertebra, side: float) -> tuple[Capsule, ...]:
    depth, width, height = vertebra.half_depth, vertebra.half_width, vertebra.half_height
    if vertebra.sacral:
        return ()
    thoracic = vertebra.level.startswith("T")
    lateral = side * (0.72 if thoracic else 0.66) * width
    up = 0.36 * height
    thick = 3.6 if thoracic else 5.2
    tip = (lateral + side * 20.0, depth + (22.0 if thoracic else 13.0), 0.3 * height)
    return (
        Capsule((lateral, depth - 6.0, up), (lateral, depth + 11.0, up), (0.36 if thoracic else 0.48) * height),
        Capsule((lateral * 1.05, depth + 11.0, up), (lateral * 1.1, depth + 9.5, 1.4 * height), thick),
        Capsule((lateral, depth + 15.0, up), (lateral * 0.88, depth + 17.0, -1.45 * height), thick),
        Capsule((lateral, depth + 12.0, 0.2 * height), tip, 3.6),
    )


def _cervical_arch(vertebra: Vertebra, side: float) -> tuple[Capsule, ...]:
    """The articular pillars stand as a leaning stack of rhomboids behind the foramina."""
    depth, width, height = vertebra.half_depth, vertebra.half_width, vertebra.half_height
    pillar = side * (0.95 * width + 3.0)
    return (
        Capsule((side * 0.85 * width, depth - 3.0, 0.1 * height), (pillar, depth + 5.0, 0.1 * height), 2.8),
        Capsule((pillar, depth + 4.5, 0.7 * height), (pillar, depth + 10.0, -0.7 * height), 4.3),
        Capsule((side * 0.9 * width, depth - 8.0, 0.0), (pillar + side * 3.0, depth - 6.0, -1.0), 2.4),
    )


def _paint_root(canvas: Canvas, vertebra: Vertebra, region: Region, side: float) -> None:
    """The nerve root in the upper part of the foramen below the pedicle, a grey dot in fat on lateral slices."""
    lateral = side * 0.62 * vertebra.half_width
    cervical = vertebra.level.startswith("C")
    behind = vertebra.half_depth + (2.5 if cervical else 4.8)
    below = (-1.1 if cervical else -0.6) * vertebra.half_height
    root = Ellipsoid((lateral, behind, below), (10.0, 2.4, 2.9))
    canvas.paint(region, np.float32(0.6) * inside(root.sdf(region), 1.0), CORD)
