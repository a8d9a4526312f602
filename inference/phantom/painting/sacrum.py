"""The wings of the sacrum: one mass beside S1 and S2 on each side, with the foramina of its roots."""

from typing import Final

import numpy as np

from inference.phantom.grid import WORLD, Canvas, Float32, Frame, Region, inside
from inference.phantom.scene import Scene
from inference.phantom.shapes import Capsule, Ellipsoid, smooth_union
from inference.phantom.spine.vertebra import Vertebra
from inference.phantom.tissue import CORD, CORTEX, FAT, marrow

_LEVELS: Final = ("S1", "S2")
_CORTEX_MM: Final = 1.1
_REACH_MM: Final = 85.0


def paint_wings(canvas: Canvas, scene: Scene) -> None:
    vertebrae = [scene.spine.of_level(level) for level in _LEVELS]
    centre = Frame(vertebrae[1].frame.origin_mm, WORLD.axes)
    region = canvas.grid.region(centre, (-_REACH_MM, -45.0, -45.0), (_REACH_MM, 45.0, 60.0))
    if region.empty:
        return
    wings = _wings(vertebrae, centre, region) + np.float32(1.2) * scene.noise.on(region, (12.0, 9.0, 9.0), 121.0)
    canvas.paint(region, np.float32(0.8) * inside(wings, 0.9), CORTEX)
    texture = np.clip(np.float32(0.3) + np.float32(0.4) * scene.noise.on(region, (7.0, 6.0, 6.0), 123.0), 0.0, 1.0)
    fat = scene.marrow_fat["S1"]
    within = inside(wings + np.float32(_CORTEX_MM), 1.0)
    canvas.mix(region, within, (marrow(fat), marrow(min(0.85, fat + 0.25))), texture)
    for vertebra in vertebrae:
        for side in (-1.0, 1.0):
            _paint_foramen(canvas, vertebra, side)


def _wings(vertebrae: list[Vertebra], centre: Frame, region: Region) -> Float32:
    """Both wings, cut off where the bodies are."""
    total: Float32 | None = None
    for vertebra in vertebrae:
        x, y, z = vertebra.frame.origin_mm - centre.origin_mm
        aside = float(vertebra.half_width) * 0.85 + 10.0
        radii = (0.9 * vertebra.half_width, 0.9 * vertebra.half_depth + 3.0, 1.35 * vertebra.half_height)
        for side in (-1.0, 1.0):
            mass = Ellipsoid((x + side * aside, y + 3.0, z), radii).sdf(region)
            total = mass if total is None else smooth_union(total, mass, 10.0)
    if total is None:
        raise ValueError("the sacrum needs at least one vertebra to have wings")
    free = np.float32(0.62 * min(v.half_width for v in vertebrae)) - np.abs(region.l - np.float32(x))
    wings: Float32 = np.maximum(total, free).astype(np.float32, copy=False)
    return wings


def _paint_foramen(canvas: Canvas, vertebra: Vertebra, side: float) -> None:
    """Runs from the canal down and forwards below the level's body: fat around a root."""
    depth, height, aside = vertebra.half_depth, vertebra.half_height, side * 0.62 * vertebra.half_width
    start, end = (aside * 0.8, depth + 3.0, -0.6 * height), (aside * 1.1, -depth - 2.0, -1.25 * height)
    lower = tuple(min(a, b) - 6.0 for a, b in zip(start, end, strict=True))
    upper = tuple(max(a, b) + 6.0 for a, b in zip(start, end, strict=True))
    region = canvas.grid.region(vertebra.frame, (lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2]))
    canvas.paint(region, np.float32(0.9) * inside(Capsule(start, end, 3.6).sdf(region), 1.3), FAT)
    canvas.paint(region, np.float32(0.85) * inside(Capsule(start, end, 1.8).sdf(region), 1.0), CORD)
