"""The spinal canal: ligaments, epidural fat, dural sac, cord with conus, and the roots of the cauda equina."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from inference.phantom.grid import WORLD, Canvas, Float32, Region, inside
from inference.phantom.scene import Scene
from inference.phantom.shapes import slab
from inference.phantom.tissue import CORD, CSF, FAT, LIGAMENT

_CANAL_DEPTH_MM: Final = 17.0
_CANAL_HALF_WIDTH_MM: Final = 19.0  # foramina included; pedicles are painted over them later
_BELOW_SAC_MM: Final = 18.0  # epidural fat goes on below the sac
_SAC_CENTRE_MM: Final = 7.4  # behind the posterior wall
_SAC_HALF_DEPTH_MM: Final = 6.2
_SAC_HALF_WIDTH_MM: Final = 9.0
_CORD_HALF_DEPTH_MM: Final = 3.5
_CORD_HALF_WIDTH_MM: Final = 5.0
_CONUS_TAPER_MM: Final = 30.0
_ROOT_PERIOD_MM: Final = 2.6


@dataclass(frozen=True, eq=False)
class _Canal:
    """The voxels around the canal in its own coordinates."""

    region: Region
    behind: Float32  # mm behind the posterior wall
    lateral: Float32  # mm left of the midline


def paint_canal(canvas: Canvas, scene: Scene) -> None:
    canal = _canal(canvas, scene)
    half = np.float32(_CANAL_DEPTH_MM / 2)
    space = np.maximum(np.abs(canal.behind - half) - half, np.abs(canal.lateral) - np.float32(_CANAL_HALF_WIDTH_MM))
    space = np.maximum(space, np.float32(scene.spine.sac_end_z_mm - _BELOW_SAC_MM) - canal.region.h)
    canvas.paint(canal.region, inside(space, 1.0), canvas.value(FAT))
    sac = _paint_sac(canvas, scene, canal)
    _paint_roots(canvas, scene, canal, sac)
    _paint_cord(canvas, scene, canal)
    strip = np.maximum(slab(canal.behind, 0.3, 0.7), slab(canal.lateral, 0.0, 11.0))
    strip = np.maximum(strip, np.float32(scene.spine.sac_end_z_mm) - canal.region.h)
    canvas.paint(canal.region, np.float32(0.85) * inside(strip, 0.6), canvas.value(LIGAMENT))


def _canal(canvas: Canvas, scene: Scene) -> _Canal:
    spine = scene.spine
    front, back = float(spine.wall_y.min()) - 5.0, float(spine.wall_y.max()) + 40.0
    region = canvas.grid.region(WORLD, (-30.0, front, -260.0), (30.0, back, 260.0))
    index = spine.table_index(region.h)
    return _Canal(region, spine.behind_wall_mm(region.a, index), region.l - spine.wall_x[index])


def _paint_sac(canvas: Canvas, scene: Scene, canal: _Canal) -> Float32:
    """The dura and its fluid; returns the distance to the sac. It tapers to its end in the sacrum."""
    above_end = canal.region.h - np.float32(scene.spine.sac_end_z_mm)
    taper = np.clip(above_end / np.float32(70.0), 0.02, 1.0) ** np.float32(0.5)
    depth, width = np.float32(_SAC_HALF_DEPTH_MM) * taper, np.float32(_SAC_HALF_WIDTH_MM) * taper
    across = canal.behind - np.float32(_SAC_CENTRE_MM)
    radius = np.sqrt((across / depth) ** 2 + (canal.lateral / width) ** 2)
    sac: Float32 = np.maximum((radius - 1.0) * depth, -above_end)
    canvas.paint(canal.region, inside(sac - np.float32(0.7), 0.6), canvas.value(LIGAMENT))
    canvas.paint(canal.region, inside(sac, 0.7), canvas.value(CSF))
    return sac


def _paint_roots(canvas: Canvas, scene: Scene, canal: _Canal, sac: Float32) -> None:
    """Strands in the posterior half of the sac, below the conus, fading towards the sacrum."""
    below_conus = np.float32(scene.spine.conus_z_mm + 5.0) - canal.region.h
    fade = np.clip(below_conus / 15.0, 0.0, 1.0) * np.clip(1.15 - below_conus / 150.0, 0.25, 1.0)
    wave = np.cos(np.float32(2.0 * np.pi / _ROOT_PERIOD_MM) * (canal.behind + np.float32(0.15) * canal.lateral))
    posterior = np.clip((canal.behind - np.float32(_SAC_CENTRE_MM - 2.0)) / 3.0, 0.0, 1.0)
    alpha = inside(sac + np.float32(0.8), 0.7) * fade * posterior * (np.float32(0.5) + np.float32(0.4) * wave)
    canvas.paint(canal.region, alpha.astype(np.float32), canvas.value(CORD))


def _paint_cord(canvas: Canvas, scene: Scene, canal: _Canal) -> None:
    above_tip = canal.region.h - np.float32(scene.spine.conus_z_mm)
    taper = np.clip(above_tip / np.float32(_CONUS_TAPER_MM), 0.03, 1.0) ** np.float32(0.6)
    # The cord lies a little forward in the thoracic sac and backward at the conus.
    depth, width = np.float32(_CORD_HALF_DEPTH_MM) * taper, np.float32(_CORD_HALF_WIDTH_MM) * taper
    centre = np.float32(_SAC_CENTRE_MM + 1.0) - np.clip(above_tip / 60.0, 0.0, 1.5)
    radius = np.sqrt(((canal.behind - centre) / depth) ** 2 + (canal.lateral / width) ** 2)
    cord = np.maximum((radius - 1.0) * depth, -above_tip)
    canvas.paint(canal.region, inside(cord, 0.7).astype(np.float32), canvas.value(CORD))
