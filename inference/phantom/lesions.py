"""Lesions as solids: drawn from the signs alone, and turned into distances on a grid."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from inference.phantom.anatomy import Vertebra
from inference.phantom.grid import Float32, Region
from inference.phantom.law import Sign
from inference.phantom.noise import NoiseField
from inference.phantom.shapes import Capsule, Ellipsoid, smooth_union
from inference.phantom.tissue import Tissue, lesion_tissue

CORTEX_MM: Final = 1.5  # a lesion without cortical break keeps this distance to the outer surface of the body
RIM_MM: Final = 1.9  # dark rim of a sharp margin: a pixel and a half at 256 px and 300 mm
REACH_MM: Final = 48.0  # no lesion goes farther from the centre of its vertebra
_FILLET_MM: Final = 3.0
_STRIA_PERIOD_MM: Final = 4.4  # four pixels at 256 px and 300 mm, so that striae survive the blur
_LOBULATION_MM: Final = 1.6  # a sharp margin is smooth, not a perfect ellipse
_ILL_EDGE_MM: Final = 2.4
_SHARP_EDGE_MM: Final = 0.6


@dataclass(frozen=True, eq=False, kw_only=True)
class LesionPlan:
    """One lesion in the frame of its vertebra."""

    vertebra: Vertebra
    core: Ellipsoid | None  # None: the whole body (diffuse)
    lobes: tuple[Ellipsoid | Capsule, ...]  # parts that leave the body
    tissue: Tissue
    ill_margin: bool
    striated: bool
    roughness_mm: float  # how far noise moves an ill-defined edge
    stria_phase: float

    @property
    def edge_mm(self) -> float:
        return _ILL_EDGE_MM if self.ill_margin else _SHARP_EDGE_MM

    @property
    def diameter_mm(self) -> float:
        """Largest diameter of the part inside the body."""
        if self.core is None:
            return 2.0 * max(self.vertebra.half_depth, self.vertebra.half_width)
        return 2.0 * max(self.core.radii)

    def sdf(self, region: Region, noise: NoiseField) -> Float32:
        """Signed distance in mm, negative in the lesion; its zero level bounds the ground-truth mask."""
        body = self.vertebra.body_sdf(region)
        warp = self._warp(region, noise)
        core: Float32 = body + np.float32(1.0) if self.core is None else self.core.sdf(region)
        core = np.maximum(core + warp, body + np.float32(CORTEX_MM)).astype(np.float32, copy=False)
        if not self.lobes:
            return core
        lobes = self.lobes[0].sdf(region)
        for lobe in self.lobes[1:]:
            lobes = smooth_union(lobes, lobe.sdf(region), _FILLET_MM)
        return smooth_union(core, lobes + np.float32(0.6) * warp, _FILLET_MM)

    def striae(self, region: Region, noise: NoiseField) -> Float32:
        """Factor on the signal: thin bright vertical columns, mean about 1; all ones when not striated."""
        if not self.striated:
            return np.ones(region.l.shape, dtype=np.float32)
        bend = np.float32(1.3) * noise.at(region.l, region.a, region.h * np.float32(0.3), 9.0)
        phase = np.float32(2.0 * np.pi / _STRIA_PERIOD_MM) * (region.a + bend) + np.float32(self.stria_phase)
        factor: Float32 = np.float32(1.0) + np.float32(0.45) * np.cos(phase)
        return factor

    def _warp(self, region: Region, noise: NoiseField) -> Float32:
        if not self.ill_margin:
            return np.float32(_LOBULATION_MM) * noise.at(region.l, region.a, region.h + np.float32(71.0), 13.0)
        rough = noise.at(region.l, region.a, region.h, 6.5) + np.float32(0.5) * noise.at(
            region.l + np.float32(31.0), region.a, region.h, 3.2
        )
        warp: Float32 = np.float32(self.roughness_mm) * rough
        return warp


def draw_lesions(
    rng: np.random.Generator, signs: Mapping[str, bool], candidates: tuple[Vertebra, ...]
) -> tuple[LesionPlan, ...]:
    """One lesion, or two to three on neighbouring or near levels when multilevel; the first has the lobes."""
    count = 1
    if signs[Sign.MULTILEVEL]:
        count = min(len(candidates), int(rng.integers(2, 4)))
    first = int(rng.integers(0, len(candidates)))
    near = sorted(range(len(candidates)), key=lambda n: (abs(n - first), n))
    others = rng.permutation(near[1:5])[: count - 1]
    tissue = _vary(rng, lesion_tissue(t1_dark=signs[Sign.T1_DARK], fs_bright=signs[Sign.FS_BRIGHT]))
    primary = _draw_one(rng, signs, candidates[first], tissue)
    plans = [replace(primary, lobes=_draw_lobes(rng, signs, primary))]
    plans += [_draw_one(rng, signs, candidates[int(n)], tissue) for n in others]
    return tuple(plans)


def _vary(rng: np.random.Generator, tissue: Tissue) -> Tissue:
    """Tissue constants of this patient: the same spread for every verdict."""
    pd, t1, t2 = rng.uniform(0.94, 1.06), rng.uniform(0.93, 1.07), rng.uniform(0.93, 1.07)
    return Tissue(tissue.pd * pd, tissue.t1_ms * t1, tissue.t2_ms * t2, tissue.fat)


def _draw_one(rng: np.random.Generator, signs: Mapping[str, bool], vertebra: Vertebra, tissue: Tissue) -> LesionPlan:
    half_height, half_depth = vertebra.half_height, vertebra.half_depth
    height = rng.uniform(0.74, 0.86) * half_height
    depth = min(rng.uniform(0.60, 0.70) * half_depth, half_depth - CORTEX_MM)
    width = min(rng.uniform(10.0, 15.0), 0.8 * vertebra.half_width)
    centre = (
        float(rng.uniform(-0.3, 0.3) * vertebra.half_width),
        float(rng.uniform(-1.0, 1.0) * (half_depth - CORTEX_MM - depth)),
        float(rng.uniform(-1.0, 1.0) * max(0.0, half_height - CORTEX_MM - height)),
    )
    diffuse = signs[Sign.DIFFUSE]
    return LesionPlan(
        vertebra=vertebra,
        core=None if diffuse else Ellipsoid(centre, (float(width), float(depth), float(height))),
        lobes=(),
        tissue=tissue,
        ill_margin=signs[Sign.ILL_MARGIN],
        striated=signs[Sign.COARSE_TRABECULAE],
        roughness_mm=float(rng.uniform(2.2, 2.8)),
        stria_phase=float(rng.uniform(0.0, 2.0 * np.pi)),
    )


def _draw_lobes(
    rng: np.random.Generator, signs: Mapping[str, bool], plan: LesionPlan
) -> tuple[Ellipsoid | Capsule, ...]:
    """The parts outside the body; random numbers are spent whether a sign is present or not."""
    depth = plan.vertebra.half_depth
    centre = plan.core.centre if plan.core is not None else (0.0, 0.0, 0.0)
    break_at, break_radius = rng.uniform(-5.0, 5.0, 2), float(rng.uniform(8.0, 10.0))
    mass_radius, mass_height = float(rng.uniform(8.0, 9.5)), float(rng.uniform(10.0, 13.0))
    side, drop = float(rng.choice((-1.0, 1.0))), float(rng.uniform(-7.0, -3.0))
    outer_radius = float(rng.uniform(8.5, 10.5))

    lobes: list[Ellipsoid | Capsule] = []
    if signs[Sign.CORTICAL_BREAK]:
        tip = (centre[0] + float(break_at[0]), -depth - 3.0, centre[2] + float(break_at[1]))
        lobes += [Ellipsoid(tip, (break_radius + 2.0, break_radius, break_radius)), Capsule(centre, tip, 6.0)]
    if signs[Sign.EPIDURAL_MASS]:
        tip = (0.4 * centre[0], depth + 2.0, 0.5 * centre[2])
        lobes += [Ellipsoid(tip, (11.0, mass_radius, mass_height)), Capsule(centre, tip, 5.5)]
    if signs[Sign.DUMBBELL]:
        canal, waist = (side * 5.0, depth + 9.0, drop), (side * 12.0, depth + 7.0, drop)
        outer = (side * 20.0, depth + 4.0, drop)
        lobes += [
            Ellipsoid(canal, (6.0, 5.5, 16.0)),
            Capsule(canal, outer, 5.0),
            Ellipsoid(outer, (8.5, outer_radius, outer_radius + 2.0)),
            Capsule(centre, waist, 4.5),
        ]
    return tuple(lobes)
