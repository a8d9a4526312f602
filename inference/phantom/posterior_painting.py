"""Pedicles, articular pillars, laminae and spinous processes of one vertebra."""

from typing import Final

import numpy as np

from inference.phantom.anatomy import Vertebra
from inference.phantom.grid import Canvas, Float32, Region, inside
from inference.phantom.shapes import Capsule, Ellipsoid, slab
from inference.phantom.tissue import CORTEX, MUSCLE, marrow

_CANAL_MM: Final = 16.5  # depth of the bony canal
_PEDICLE_OFFSET: Final = 0.66  # of the half width
_CORTEX_MM: Final = 1.1
_PARTIAL_VOLUME_MM: Final = 2.0  # half a slice: a thin plate fades towards its sides


def paint_posterior_elements(canvas: Canvas, vertebra: Vertebra, marrow_fat: float) -> None:
    depth, width, height = vertebra.half_depth, vertebra.half_width, vertebra.half_height
    lower = (-width - 4.0, depth - 6.0, -3.4 * height)
    upper = (width + 4.0, depth + 58.0, 1.6 * height)
    region = canvas.grid.region(vertebra.frame, lower, upper)
    if 0 in region.l.shape:
        return
    cortex, spongy = canvas.value(CORTEX), canvas.value(marrow(min(0.75, marrow_fat + 0.04)))
    for side in () if vertebra.sacral else (-1.0, 1.0):
        _paint_root(canvas, vertebra, region, side)
        bone = _arch(vertebra, region, side)
        canvas.paint(region, np.float32(0.8) * inside(bone, 0.9), cortex)
        canvas.paint(region, inside(bone + np.float32(_CORTEX_MM), 0.9), spongy)
    outline, across = _spinous_process(vertebra, region)
    covered = inside(across, _PARTIAL_VOLUME_MM)
    canvas.paint(region, covered * inside(outline, 0.7), cortex)
    canvas.paint(region, covered * inside(outline + np.float32(_CORTEX_MM), 0.7), spongy)


def _spinous_process(vertebra: Vertebra, region: Region) -> tuple[Float32, Float32]:
    """A drooping plate in the midline: distance to its sagittal outline, and to its sides.

    Long and steep in the thorax, low and small in the sacrum.
    """
    depth, height = vertebra.half_depth, vertebra.half_height
    if vertebra.sacral:
        length, half, droop, thickness = 8.0, 4.5, 0.25, 5.0
    elif vertebra.level.startswith("T"):
        length, half, droop, thickness = 27.0, 5.5, 0.75, 3.4
    else:
        length, half, droop, thickness = 28.0, 8.0, 0.22, 4.0
    # Levels differ in tilt and length; the body height, drawn per patient, serves as the source of variety.
    uneven = float(np.sin(17.0 * depth + 5.0 * height))
    droop, length = droop + 0.12 * uneven, length * (1.0 - 0.1 * uneven)
    along = region.a - np.float32(depth + _CANAL_MM + 3.0)
    middle = np.float32(-0.45 * height) - np.float32(droop) * along
    flare = np.clip(along / np.float32(length), 0.0, 1.0) * np.float32(0.3 * half)
    tall = np.abs(region.h - middle) - np.float32(0.8 * half) - flare
    ends = slab(along, length / 2, length / 2)
    corner = np.float32(3.0)
    rounded = np.sqrt(np.maximum(tall + corner, 0.0) ** 2 + np.maximum(ends + corner, 0.0) ** 2) - corner
    outline: Float32 = np.where(np.maximum(tall, ends) < -corner, np.maximum(tall, ends), rounded)
    return outline, slab(region.l, 0.0, thickness)


def _arch(vertebra: Vertebra, region: Region, side: float) -> Float32:
    """Pedicle, articular pillar and lamina of one side."""
    depth, width, height = vertebra.half_depth, vertebra.half_width, vertebra.half_height
    lateral = side * _PEDICLE_OFFSET * width
    back = depth + _CANAL_MM
    up = 0.38 * height
    pedicle = Capsule((lateral, depth - 4.0, up), (lateral, back - 3.0, up), 0.42 * height)
    superior = Capsule((lateral * 1.08, back - 4.0, up), (lateral * 1.12, back - 3.0, 1.15 * height), 3.6)
    inferior = Capsule((lateral * 1.0, back - 1.0, up), (lateral * 0.9, back + 4.0, -1.15 * height), 4.4)
    lamina = Capsule((lateral * 0.9, back + 2.0, -0.1 * height), (side * 2.0, back + 4.0, -0.45 * height), 4.0)
    bone = pedicle.sdf(region)
    for part in (superior, inferior, lamina):
        bone = np.minimum(bone, part.sdf(region))
    return bone


def _paint_root(canvas: Canvas, vertebra: Vertebra, region: Region, side: float) -> None:
    """The nerve root in the upper part of the foramen, a grey dot in fat on lateral slices."""
    lateral = side * 0.62 * vertebra.half_width
    at = (lateral, vertebra.half_depth + 6.0, -0.55 * vertebra.half_height)
    root = Ellipsoid(at, (9.0, 2.6, 3.2))
    canvas.paint(region, inside(root.sdf(region), 0.8), canvas.value(MUSCLE))
