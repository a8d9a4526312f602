"""The spinal canal: ligaments, epidural fat, dural sac, cord with conus, and the roots of the cauda equina."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.phantom.grid import Canvas, Float32, Region, inside
from inference.phantom.scene import Scene
from inference.phantom.shapes import slab
from inference.phantom.tissue import CORD, CSF, FAT, LIGAMENT, SLOW_BLOOD

_ROWS_AT_ONCE: Final = 24  # of the image: the curve of the canal makes larger blocks mostly empty
_REACH_BEHIND_MM: Final = 26.0
_HALF_WIDTH_MM: Final = 34.0
_DURA_MM: Final = 0.7
_BELOW_SAC_MM: Final = 25.0  # epidural fat goes on below the sac


@dataclass(frozen=True, eq=False)
class _Block:
    """Voxels around a piece of the canal: `region.l` from the midline, `region.a` behind the wall, `region.h` is z."""

    region: Region
    row: NDArray[np.int32]  # of the tables


def paint_canal(canvas: Canvas, scene: Scene) -> None:
    for block in _blocks(canvas, scene):
        _paint_space(canvas, scene, block)
        sac = _paint_sac(canvas, scene, block)
        _paint_roots(canvas, scene, block, sac)
        _paint_cord(canvas, scene, block)
        _paint_ligament(canvas, scene, block)


def _blocks(canvas: Canvas, scene: Scene) -> Iterator[_Block]:
    spine = scene.spine

    def y_range(low: float, high: float) -> tuple[float, float]:
        first, last = np.searchsorted(spine.z_mm, (low, high))
        wall = spine.wall_y[max(0, first - 1) : last + 1]
        if wall.size == 0:
            return 0.0, 0.0
        return float(wall.min()) - 3.0, float(wall.max()) + 1.45 * _REACH_BEHIND_MM

    count = canvas.grid.shape[1]
    for first in range(0, count, _ROWS_AT_ONCE):
        region = canvas.grid.rows(first, min(count, first + _ROWS_AT_ONCE), y_range, _HALF_WIDTH_MM)
        if region.empty:
            continue
        row = spine.table_index(region.h)
        own = Region(region.index, region.l - spine.wall_x[row], spine.behind_wall_mm(region.a, row), region.h)
        yield _Block(own, row)


def _paint_space(canvas: Canvas, scene: Scene, block: _Block) -> None:
    """Epidural fat with its veins, foramina included."""
    canal, region, row = scene.canal, block.region, block.row
    lateral = np.abs(region.l)
    pad = canal.fat_pad[row] * np.clip(1.0 - lateral / np.float32(6.0), 0.0, 1.0)
    beside = np.clip(lateral - canal.sac_width[row] - np.float32(1.0), 0.0, 4.0) * np.float32(0.25)
    back = canal.depth[row] + pad - beside * np.maximum(canal.depth[row] - np.float32(7.5), 0.0)
    space = np.maximum(canal.front[row] - region.a, region.a - back)
    space = np.maximum(space, lateral - canal.half_width[row])
    space = np.maximum(space, np.float32(scene.spine.sac_end_z_mm - _BELOW_SAC_MM) - region.h)
    space = np.maximum(space, region.h - np.float32(canal.top_z_mm))
    veins = np.clip(scene.noise.on(region, (6.0, 2.5, 4.0), 3.0) - np.float32(0.35), 0.0, 0.8)
    canvas.mix(region, inside(space, max(1.0, canvas.softness_mm)), (FAT, SLOW_BLOOD), veins)
    flavum = np.maximum(
        region.h - np.float32(canal.top_z_mm - 8.0), np.abs(region.a - back - np.float32(0.7)) - np.float32(1.0)
    )
    flavum = np.maximum(flavum, lateral - np.float32(8.0))
    canvas.paint(region, np.float32(0.75) * inside(flavum, 0.8), LIGAMENT)


def _paint_sac(canvas: Canvas, scene: Scene, block: _Block) -> Float32:
    """The dura and its fluid; returns the distance to the sac."""
    canal, region, row = scene.canal, block.region, block.row
    depth = np.maximum(canal.sac_depth[row], np.float32(0.05))
    radius = np.hypot((region.a - canal.sac_centre[row]) / depth, region.l / np.maximum(canal.sac_width[row], 0.05))
    sac: Float32 = np.maximum((radius - 1.0) * depth, np.float32(scene.spine.sac_end_z_mm) - region.h)
    sac = np.maximum(sac, region.h - np.float32(canal.top_z_mm))
    canvas.paint(region, inside(sac - np.float32(_DURA_MM), canvas.softness_mm), LIGAMENT)
    fluid = inside(sac, canvas.softness_mm)
    flow = scene.noise.on(region, (7.0, 2.2, 16.0), 19.0, warp=0.6)
    voids = np.clip(flow - np.float32(0.45), 0.0, 1.0) * (region.a > canal.cord_centre[row]) * scene.flow_voids
    canvas.paint(region, fluid, CSF, 1.0 - voids)
    canvas.pulsate(region, fluid)
    return sac


def _paint_roots(canvas: Canvas, scene: Scene, block: _Block, sac: Float32) -> None:
    """Strands in the posterior half of the sac, below the conus, fading towards the sacrum."""
    canal, region, row = scene.canal, block.region, block.row
    below = np.float32(scene.spine.conus_z_mm + 8.0) - region.h
    if not (below > 0).any():
        return
    fade = np.clip(below / 15.0, 0.0, 1.0) * np.clip(1.1 - below / 150.0, 0.2, 1.0)
    strands = scene.noise.on(region, (2.4, 1.5, 130.0), 41.0) + np.float32(0.35)
    behind = (region.a - canal.sac_centre[row]) / np.maximum(canal.sac_depth[row], np.float32(1.0))
    posterior = np.clip((behind + np.float32(0.15)) * np.float32(1.6), 0.0, 1.0)
    alpha = inside(sac + np.float32(0.7), 0.6) * fade * posterior * np.clip(np.float32(1.3) * strands, 0.0, 0.9)
    canvas.paint(region, alpha.astype(np.float32), CORD)


def _paint_cord(canvas: Canvas, scene: Scene, block: _Block) -> None:
    canal, region, row = scene.canal, block.region, block.row
    depth = np.maximum(canal.cord_depth[row], np.float32(0.05))
    width = np.maximum(canal.cord_width[row], np.float32(0.05))
    radius = np.hypot((region.a - canal.cord_centre[row]) / depth, (region.l - canal.cord_aside[row]) / width)
    cord = np.maximum((radius - 1.0) * depth, np.float32(scene.spine.conus_z_mm) - region.h)
    cord = np.maximum(cord, region.h - np.float32(canal.top_z_mm + 1.0))
    grey: Float32 = np.float32(1.0) + np.float32(0.06) * np.clip(1.0 - np.float32(2.5) * radius, 0.0, 1.0)
    canvas.paint(region, inside(cord, canvas.softness_mm), CORD, grey)


def _paint_ligament(canvas: Canvas, scene: Scene, block: _Block) -> None:
    """The posterior longitudinal ligament: a dark line on the wall, thicker at the discs."""
    canal, region = scene.canal, block.region
    strip = np.maximum(slab(region.a - canal.front[block.row], 0.1, 0.5), slab(region.l, 0.0, 8.0))
    strip = np.maximum(strip, np.float32(scene.spine.sac_end_z_mm) - region.h)
    strip = np.maximum(strip, region.h - np.float32(canal.top_z_mm))
    canvas.paint(region, np.float32(0.75) * inside(strip, 0.6), LIGAMENT)
