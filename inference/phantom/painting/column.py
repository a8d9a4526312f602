"""Vertebral bodies and discs, and the ligament before them."""

from typing import Final

import numpy as np

from inference.phantom.grid import Canvas, Float32, Region, inside
from inference.phantom.scene import Scene
from inference.phantom.shapes import Ellipsoid
from inference.phantom.spine.vertebra import CORTEX_MM, Disc, Vertebra, superellipse
from inference.phantom.tissue import (
    ANNULUS,
    CORTEX,
    FAT,
    LIGAMENT,
    NUCLEUS_DRY,
    NUCLEUS_YOUNG,
    OUTER_ANNULUS,
    SLOW_BLOOD,
    Tissue,
    blend,
    marrow,
)

_MARROW_TEXTURE: Final = 0.05  # standard deviation about 5 % of the signal
_MARGIN_MM: Final = 6.0


def paint_column(canvas: Canvas, scene: Scene) -> None:
    vertebrae = scene.spine.vertebrae
    for vertebra in vertebrae:
        if vertebra.disc_above is not None:
            _paint_disc(canvas, vertebra.disc_above, scene)
    for vertebra in vertebrae:
        if vertebra.collapse > 0.0:
            _fill_collapse(canvas, vertebra)
        _paint_body(canvas, vertebra, scene)


def _paint_disc(canvas: Canvas, disc: Disc, scene: Scene) -> None:
    left, depth, height = disc.half_width + 3.0, disc.half_depth + disc.bulge_mm + 3.0, disc.half_height + 5.0
    region = canvas.grid.region(disc.frame, (-left, -depth, -height), (left, depth, height))
    if region.empty:
        return
    outer = np.float32(disc.half_depth) + np.where(region.a > 0, np.float32(disc.bulge_mm), np.float32(1.0))
    radius = superellipse(region.l / np.float32(disc.half_width), region.a / outer)
    # Passes under the hollow end plates; at the rim no higher than the gap.
    lens = np.float32(disc.half_height) + np.clip(3.5 - 3.5 * radius * radius, 0.3, 3.0)
    edge = np.maximum((radius - 1.0) * np.float32(disc.half_depth), np.abs(region.h) - lens)
    canvas.paint(region, inside(edge, 0.8), OUTER_ANNULUS)
    fibres = (radius - np.float32(0.9)) * np.float32(disc.half_depth)
    canvas.paint(region, inside(np.maximum(fibres, np.abs(region.h) - lens), 1.8), _fibrous(disc))
    # Wide and flat: the bright part of a healthy disc is a lens with a soft rim and a dark line through its middle.
    nucleus = Ellipsoid(
        (0.0, 0.08 * disc.half_depth, 0.0), (0.78 * disc.half_width, 0.74 * disc.half_depth, disc.half_height + 1.6)
    )
    own = 53.0 + float(0.41 * disc.frame.origin_mm[2])
    grain = 1.0 + np.float32(0.25) * scene.noise.on(region, (6.0, 5.0, 2.0), own)
    cleft = inside(np.abs(region.h) - np.float32(0.5), 0.8) * inside((radius - 0.62) * 10.0, 3.0)
    factor = grain * (1.0 - np.float32(disc.cleft * (1.0 - 0.6 * disc.degeneration)) * cleft)
    tissue = blend(NUCLEUS_YOUNG, NUCLEUS_DRY, disc.degeneration)
    canvas.paint(region, inside(nucleus.sdf(region), 1.5), tissue, factor)


def _fill_collapse(canvas: Canvas, vertebra: Vertebra) -> None:
    """Where a broken end plate has sunk, the disc has followed."""
    region = vertebra.before_collapse.around(canvas.grid, _MARGIN_MM)
    intact = vertebra.before_collapse.body_sdf(region)
    canvas.paint(region, inside(intact - np.float32(0.4), 0.8), blend(ANNULUS, NUCLEUS_DRY, 0.4))


def _fibrous(disc: Disc) -> Tissue:
    return blend(ANNULUS, NUCLEUS_DRY, 0.4 + 0.5 * disc.degeneration)


def _paint_body(canvas: Canvas, vertebra: Vertebra, scene: Scene) -> None:
    region = vertebra.around(canvas.grid, _MARGIN_MM)
    if region.empty:
        return
    uneven = np.float32(0.7) * scene.noise.on(region, (9.0, 7.0, 7.0), vertebra.half_depth)
    sdf = vertebra.body_sdf(region) + uneven * np.float32(min(1.0, vertebra.half_height / 12.0))
    canvas.paint(region, np.float32(0.6) * inside(sdf - np.float32(0.6), 0.7), LIGAMENT)
    canvas.paint(region, np.float32(0.85) * inside(sdf, canvas.softness_mm), CORTEX)
    own = float(0.41 * vertebra.frame.origin_mm[2])  # every body has a texture of its own
    fine = scene.noise.on(region, (2.2, 2.0, 2.6), 11.0 + own)
    coarse = scene.noise.on(region, (9.0, 8.0, 8.0), 23.0 + own)
    grain: Float32 = np.float32(1.0) + np.float32(2.0 * _MARROW_TEXTURE) * (
        np.float32(0.7) * fine + np.float32(0.6) * coarse
    )
    marrow_fat = scene.marrow_fat[vertebra.level]
    fatty = np.clip(np.float32(0.5) * coarse + np.float32(0.25) * fine, 0.0, 0.5)
    within = inside(sdf + np.float32(CORTEX_MM), canvas.softness_mm)
    canvas.mix(region, within, (marrow(marrow_fat), marrow(min(0.85, marrow_fat + 0.25))), fatty)
    canvas.shade(region, np.float32(1.0) + within * (grain - np.float32(1.0)))
    if not vertebra.sacral:
        _paint_vein(canvas, vertebra, region)


def _paint_vein(canvas: Canvas, vertebra: Vertebra, region: Region) -> None:
    """The basivertebral vein: a wedge with its base on the posterior wall, in fat."""
    depth, height = vertebra.half_depth, vertebra.half_height
    inward = (np.float32(depth) - region.a) / np.float32(0.75 * depth)
    thickness = np.float32(0.16 * height) * np.clip(1.0 - inward, 0.0, 1.3) + np.float32(0.25)
    wedge = np.maximum(np.abs(region.h) - thickness, np.abs(region.l) - np.float32(0.32 * depth))
    wedge = np.maximum(wedge, np.maximum(-inward, inward - 1.0) * np.float32(depth))
    canvas.paint(region, np.float32(0.55) * inside(wedge, 1.0), blend(SLOW_BLOOD, FAT, 0.35))
