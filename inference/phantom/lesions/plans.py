"""Lesions as solids: drawn from the signs and the region alone, and turned into distances on a grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from inference.phantom.grid import Float32, Region
from inference.phantom.law import Sign
from inference.phantom.lesions.families import Look, draw_look
from inference.phantom.lesions.lobes import Lobe, draw_lobes
from inference.phantom.noise import NoiseField
from inference.phantom.shapes import Ellipsoid, smooth_union
from inference.phantom.spine.vertebra import Vertebra
from inference.phantom.tissue import Tissue, lesion_tissue

CORTEX_MM: Final = 1.3  # a lesion without cortical break keeps this distance to the outer surface of the body
_FILLET_MM: Final = 4.0
_ILL_EDGE_MM: Final = 2.4
_SHARP_EDGE_MM: Final = 0.6
_WITH_FAT: Final = frozenset({Look.STRIATED, Look.FATTY})
_OUTSIDE_BONE: Final = frozenset({Look.NERVE_SHEATH, Look.DURAL})


@dataclass(frozen=True, eq=False, kw_only=True)
class LesionPlan:
    """One lesion in the frame of its vertebra."""

    vertebra: Vertebra
    look: Look
    core: Ellipsoid | None  # the part in the bone; None: the whole body, or nothing of it
    diffuse: bool  # the whole body
    lobes: tuple[Lobe, ...]  # parts that leave the body
    tissue: Tissue
    ill_margin: bool
    striated: bool
    roughness_mm: float  # how far noise moves the edge: finely where ill-defined, broadly where sharp
    stria_phase: float

    @property
    def edge_mm(self) -> float:
        """The signal goes from outside to inside over this far to each side of the surface."""
        return _ILL_EDGE_MM if self.ill_margin else _SHARP_EDGE_MM

    @property
    def centre(self) -> tuple[float, float, float]:
        """(l, a, h) of the part in the bone, or of the first lobe where none lies in the bone."""
        if self.core is not None:
            return self.core.centre
        return (0.0, 0.0, 0.0) if self.diffuse else self.lobes[0].middle

    @property
    def diameter_mm(self) -> float:
        """Largest diameter of the part in the bone, or of the first lobe where none lies in the bone."""
        if self.core is not None:
            return 2.0 * max(self.core.radii)
        if self.diffuse:
            return 2.0 * max(self.vertebra.half_depth, self.vertebra.half_width)
        return 2.0 * self.lobes[0].half_length

    def reach(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Corners (l, a, h) of a box that holds the lesion with its halo."""
        vertebra = self.vertebra
        lower = -np.array([vertebra.half_width, vertebra.half_depth, vertebra.half_height])
        upper = -lower
        for lobe in self.lobes:
            lower, upper = np.minimum(lower, lobe.lower), np.maximum(upper, lobe.upper)
        low, high = lower - 7.0, upper + 7.0
        return (float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2]))

    def sdf(self, region: Region, noise: NoiseField) -> Float32:
        """Signed distance in mm, negative in the lesion."""
        warp = self._warp(region, noise)
        parts: list[Float32] = []
        if self.core is not None or self.diffuse:
            body = self.vertebra.body_sdf(region)
            core = body + np.float32(0.8) if self.core is None else self.core.sdf(region)
            parts.append(np.maximum(core + warp, body + np.float32(CORTEX_MM)))
        parts += [lobe.sdf(region) + np.float32(0.7) * warp for lobe in self.lobes]
        joined = parts[0]
        for part in parts[1:]:
            joined = smooth_union(joined, part, _FILLET_MM)
        return joined.astype(np.float32, copy=False)

    def _warp(self, region: Region, noise: NoiseField) -> Float32:
        if self.look is Look.LOBULATED:
            return np.float32(2.4) * np.abs(noise.on(region, (8.0, 8.0, 8.0), 63.0)) - np.float32(1.2)
        if not self.ill_margin:
            return np.float32(0.9 * self.roughness_mm) * noise.on(region, (11.0, 11.0, 11.0), 71.0 + self.stria_phase)
        rough = noise.on(region, (6.5, 6.5, 6.5), 73.0) + np.float32(0.5) * noise.on(region, (3.2, 3.2, 3.2), 79.0)
        warp: Float32 = np.float32(self.roughness_mm) * rough
        return warp


def draw_lesions(
    rng: np.random.Generator, signs: Mapping[str, bool], candidates: Sequence[Vertebra]
) -> tuple[LesionPlan, ...]:
    """One lesion, or two to three on near levels when multilevel; the first has the lobes."""
    count = min(len(candidates), int(rng.integers(2, 4))) if signs[Sign.MULTILEVEL] else 1
    first = int(rng.integers(0, len(candidates)))
    near = sorted(range(len(candidates)), key=lambda n: (abs(n - first), n))
    others = rng.permutation(near[1:5])[: count - 1]
    look = draw_look(rng, signs, candidates[first].region)
    tissue = _vary(rng, _tissue(signs, look))
    if look is Look.LOBULATED:
        tissue = replace(tissue, t2_ms=2.2 * tissue.t2_ms)
    primary = _draw_one(rng, signs, candidates[first], (look, tissue))
    lobes = draw_lobes(rng, signs, primary.vertebra, primary.centre, dural=look is Look.DURAL)
    if look in _OUTSIDE_BONE and not _needs_bone(signs, look):
        primary = replace(primary, core=None, lobes=tuple(lobe for lobe in lobes if lobe.outside_bone))
    else:
        primary = replace(primary, lobes=lobes)
    return (primary, *(_draw_one(rng, signs, candidates[int(n)], (look, tissue)) for n in others))


def _tissue(signs: Mapping[str, bool], look: Look) -> Tissue:
    return lesion_tissue(t1_dark=signs[Sign.T1_DARK], fs_bright=signs[Sign.FS_BRIGHT], fatty=look in _WITH_FAT)


def _needs_bone(signs: Mapping[str, bool], look: Look) -> bool:
    """Whether a sign is present that only a lesion in the bone can show."""
    bony = [Sign.CORTICAL_BREAK, Sign.DIFFUSE, Sign.MULTILEVEL, Sign.COARSE_TRABECULAE]
    if look is Look.NERVE_SHEATH:  # its own part in the canal is no mass that leaves the bone
        bony.append(Sign.EPIDURAL_MASS)
    return any(signs[sign] for sign in bony)


def _vary(rng: np.random.Generator, tissue: Tissue) -> Tissue:
    """Tissue constants of this patient: the same spread for every verdict."""
    pd, t1, t2 = rng.uniform(0.94, 1.06), rng.uniform(0.93, 1.07), rng.uniform(0.93, 1.07)
    return Tissue(tissue.pd * pd, tissue.t1_ms * t1, tissue.t2_ms * t2, tissue.fat)


def _draw_one(
    rng: np.random.Generator, signs: Mapping[str, bool], vertebra: Vertebra, inside: tuple[Look, Tissue]
) -> LesionPlan:
    half_height, half_depth = vertebra.half_height, vertebra.half_depth
    height = min(rng.uniform(0.74, 0.88) * half_height, half_height - 1.0)
    depth = min(rng.uniform(0.60, 0.74) * half_depth, half_depth - CORTEX_MM)
    width = min(rng.uniform(10.0, 15.0), 0.8 * vertebra.half_width)
    centre = (
        float(rng.uniform(-0.3, 0.3) * vertebra.half_width),
        float(rng.uniform(-1.0, 1.0) * (half_depth - CORTEX_MM - depth)),
        float(rng.uniform(-1.0, 1.0) * max(0.0, half_height - CORTEX_MM - height)),
    )
    diffuse = signs[Sign.DIFFUSE]
    return LesionPlan(
        vertebra=vertebra,
        look=inside[0],
        core=None if diffuse else Ellipsoid(centre, (float(width), float(depth), float(height))),
        diffuse=diffuse,
        lobes=(),
        tissue=inside[1],
        ill_margin=signs[Sign.ILL_MARGIN],
        striated=signs[Sign.COARSE_TRABECULAE],
        roughness_mm=float(rng.uniform(2.0, 2.8) * min(1.0, 0.4 + half_depth / 25.0)),
        stria_phase=float(rng.uniform(0.0, 2.0 * np.pi)),
    )
