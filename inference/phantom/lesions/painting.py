"""The inside of a lesion: rim, striae, septa, fluid levels, cysts, oedema; and its mask.

Every look keeps the signal signs of its lesion: dark or bright in the mean, whatever the pattern.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.phantom.grid import Canvas, Float32, Region, inside
from inference.phantom.lesions.families import Look
from inference.phantom.lesions.plans import LesionPlan
from inference.phantom.noise import NoiseField
from inference.phantom.tissue import CORTEX, CSF, Tissue, blend

RIM_MM: Final = 1.4  # dark rim of a sharp margin
_RIM_DARKNESS: Final = 0.85
_STRIA_PERIOD_MM: Final = 4.2
_TEXTURE: Final = 0.10
_OEDEMA: Final = Tissue(0.95, 1250.0, 85.0, 0.12)
_OEDEMA_REACH_MM: Final = 5.0


@dataclass(frozen=True, eq=False)
class LesionMask:
    """The voxels of one lesion: `voxels` is the (k, j, i) box `index` of the whole volume, k counts slices."""

    index: tuple[slice, slice, slice]
    voxels: NDArray[np.bool_]


def paint_lesion(canvas: Canvas, plan: LesionPlan, noise: NoiseField) -> LesionMask:
    region = canvas.grid.region(plan.vertebra.frame, *plan.reach())
    if region.empty:
        return LesionMask((slice(0, 0), slice(0, 0), slice(0, 0)), np.zeros((0, 0, 0), dtype=bool))
    sdf = plan.sdf(region, noise)
    if plan.look is Look.NIDUS:
        _paint_oedema(canvas, plan, region, sdf)
    if not plan.ill_margin:
        rim = inside(np.abs(sdf) - np.float32(RIM_MM / 2), canvas.softness_mm)
        canvas.paint(region, np.float32(_RIM_DARKNESS) * rim, CORTEX)
    inner = sdf if plan.ill_margin else sdf + np.float32(RIM_MM / 2)
    covered = inside(inner, plan.edge_mm)
    if plan.look is Look.INFILTRATIVE:
        covered *= np.clip(np.float32(0.9) + np.float32(0.45) * noise.on(region, (4.0, 4.0, 4.0), 83.0), 0.5, 1.0)
    factor = _texture(plan, region, noise) * _pattern(plan, region, noise, sdf)
    canvas.paint(region, covered, plan.tissue, factor)
    if plan.look is Look.NERVE_SHEATH and _is_bright(plan):
        cysts = inside(np.float32(3.0) - np.float32(9.0) * noise.on(region, (7.0, 7.0, 7.0), 89.0), 1.5)
        canvas.paint(region, cysts * inside(sdf + np.float32(2.5), 1.0), blend(plan.tissue, CSF, 0.5))
    return _mask(canvas, plan, region, sdf)


def _is_bright(plan: LesionPlan) -> bool:
    return plan.tissue.t2_ms > 90.0


def _texture(plan: LesionPlan, region: Region, noise: NoiseField) -> Float32:
    grain = noise.on(region, (4.0, 4.0, 4.0), 57.0)
    texture: Float32 = 1.0 + np.float32(_TEXTURE) * grain
    if plan.striated:
        bend = np.float32(1.6) * noise.on(region, (9.0, 7.0, 18.0), 91.0)
        phase = np.float32(2.0 * np.pi / _STRIA_PERIOD_MM) * (region.a + bend) + np.float32(plan.stria_phase)
        strength = np.clip(np.float32(0.42) + np.float32(0.15) * grain, 0.2, 0.55)
        texture = texture * (1.0 + strength * np.cos(phase))
    return texture


def _pattern(plan: LesionPlan, region: Region, noise: NoiseField, sdf: Float32) -> Float32:
    """Factor on the signal that makes the look."""
    pattern: Float32 = np.ones_like(sdf)
    if plan.look is Look.CHAMBERED:
        return chambers(plan, region, noise)
    if plan.look is Look.NIDUS:
        pattern -= np.float32(0.4) * np.exp(-np.float32(0.5) * ((sdf + np.float32(3.2)) / np.float32(0.8)) ** 2)
    elif plan.look is Look.LOBULATED:
        sheets = np.abs(noise.on(region, (9.0, 9.0, 9.0), 101.0))
        pattern -= np.float32(0.35) * np.clip(1.0 - np.float32(8.0) * sheets, 0.0, 1.0)
    elif plan.look is Look.HAEMORRHAGIC:
        pattern += np.float32(0.2) * noise.on(region, (8.0, 7.0, 7.0), 103.0)
    return pattern


def chambers(plan: LesionPlan, region: Region, noise: NoiseField) -> Float32:
    """Blood that has settled: the patient lies on the back, so each chamber has a level along gravity, dark behind it.

    Two fields part the lesion into chambers by their signs; the walls lie where a field is zero.
    """
    first, second = (noise.on(region, (10.0, 9.0, 9.0), shift) for shift in (97.0, 99.0))
    behind_mm = _behind(plan, region)
    level_mm = np.float32(3.0) * np.sign(first) + np.float32(1.5) * np.sign(second)
    settled = inside((behind_mm - level_mm).astype(np.float32), 0.4)  # 1 above the level
    septa = np.clip(1.0 - np.minimum(np.abs(first), np.abs(second)) * np.float32(9.0), 0.0, 1.0)
    chambers: Float32 = (np.float32(0.78) + np.float32(0.44) * settled) * (1.0 - np.float32(0.5) * septa)
    return chambers


def _behind(plan: LesionPlan, region: Region) -> Float32:
    """How far a voxel lies behind the middle of the lesion along gravity: y of the world, not of the tilted bone."""
    left, back, up = (np.float32(axis[1]) for axis in plan.vertebra.frame.axes)
    x, y, z = (np.float32(value) for value in plan.centre)
    behind: Float32 = left * (region.l - x) + back * (region.a - y) + up * (region.h - z)
    return behind


def _paint_oedema(canvas: Canvas, plan: LesionPlan, region: Region, sdf: Float32) -> None:
    body = inside(plan.vertebra.body_sdf(region) + np.float32(1.2), 0.8)
    halo = inside(sdf - np.float32(_OEDEMA_REACH_MM), 4.0)
    canvas.paint(region, np.float32(0.55) * body * halo, _OEDEMA)


def _mask(canvas: Canvas, plan: LesionPlan, region: Region, sdf: Float32) -> LesionMask:
    """Voxels that the lesion fills by half or more of their thickness; a diffuse edge counts as lesion."""
    parts = canvas.grid.parts
    first, last = region.index[0].start, region.index[0].stop
    top, bottom = first // parts, -(-last // parts)
    covered = np.zeros(((bottom - top) * parts, *sdf.shape[1:]), dtype=bool)
    covered[first - top * parts : last - top * parts] = sdf < np.float32(plan.edge_mm / 2 if plan.ill_margin else 0.0)
    share = covered.reshape(bottom - top, parts, *sdf.shape[1:]).mean(axis=1)
    return LesionMask((slice(top, bottom), *region.index[1:]), share >= 0.5)
