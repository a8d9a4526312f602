"""One patient's body, drawn once and painted for every series: spine, surroundings, variants and lesions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from inference.phantom.anatomy import SACRAL, Spine, Vertebra, draw_spine
from inference.phantom.lesions import LesionPlan, draw_lesions
from inference.phantom.noise import NoiseField, PlaneTexture
from inference.phantom.shapes import Ellipsoid
from inference.phantom.tissue import AIR, BOWEL, BOWEL_FLUID, MUSCLE, ORGAN, Tissue, blend, marrow

TEXTURE_CELLS: Final = (48, 48)
_LESION_MARGIN_MM: Final = 42.0  # lesions stay this far from the upper and lower image edge
_THORACOLUMBAR_FRACTION: Final = 0.2
_BLOBS: Final = (55, 85)


@dataclass(frozen=True, eq=False, kw_only=True)
class Surroundings:
    """What lies around the spine. Distances in mm."""

    back_mm: float  # skin of the back behind the posterior wall
    belly_mm: float  # skin of the belly before the posterior wall
    back_fat_mm: float
    belly_fat_mm: float
    skin_follows: float  # how much of the lordosis the skin of the back shows, 0..1
    streak_threshold: float  # fatty streaks of the muscle: lower is fatter
    aorta_x_mm: float
    aorta_radius_mm: float
    blobs: tuple[tuple[Ellipsoid, Tissue], ...]  # bowel, vessels and organ edges, in LPS
    texture: PlaneTexture
    streaks: PlaneTexture


@dataclass(frozen=True, eq=False, kw_only=True)
class Variant:
    """A harmless finding in the frame of a vertebra: it occurs in every kind of patient and is never labelled."""

    vertebra: Vertebra
    spot: Ellipsoid
    tissue: Tissue
    strength: float  # 0..1, how much of it covers the marrow
    edge_mm: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Scene:
    region: str  # BodyPartExamined, PS3.16 Annex L: LSPINE or TLSPINE
    spine: Spine
    surroundings: Surroundings
    marrow_fat: Mapping[str, float]  # per level
    variants: tuple[Variant, ...]
    lesions: tuple[LesionPlan, ...]
    noise: NoiseField


def draw_scene(rng: np.random.Generator, signs: Mapping[str, bool] | None, *, fov_mm: float) -> Scene:
    """Draw everything that is not the scanner's. `signs` None: no lesion.

    Nothing here knows the verdict or the age: fat, dryness and variants follow an age of the bones that is drawn
    apart from the patient's, so that the image tells of the verdict through the signs only.
    """
    body, tumour = rng.spawn(2)  # the body must not depend on how many numbers the lesion used
    thoracolumbar = bool(body.random() < _THORACOLUMBAR_FRACTION)
    spine = draw_spine(body, centre_level="T12" if thoracolumbar else "L3")
    candidates = tuple(v for v in spine.vertebrae if _may_hold_lesion(v, fov_mm))
    base_fat = float(body.uniform(0.28, 0.52))
    return Scene(
        region="TLSPINE" if thoracolumbar else "LSPINE",
        spine=spine,
        surroundings=_draw_surroundings(body),
        marrow_fat={v.level: float(np.clip(base_fat + body.normal(0.0, 0.03), 0.2, 0.62)) for v in spine.vertebrae},
        variants=_draw_variants(body, candidates, base_fat),
        noise=NoiseField(body),
        lesions=draw_lesions(tumour, signs, candidates) if signs is not None else (),
    )


def _may_hold_lesion(vertebra: Vertebra, fov_mm: float) -> bool:
    in_view = abs(vertebra.frame.origin_mm[2]) < fov_mm / 2 - _LESION_MARGIN_MM
    return in_view and vertebra.level not in SACRAL


def _draw_surroundings(rng: np.random.Generator) -> Surroundings:
    back_fat = float(rng.uniform(6.0, 22.0))
    belly = float(rng.uniform(125.0, 175.0))
    return Surroundings(
        back_mm=float(rng.uniform(58.0, 70.0)) + back_fat,
        belly_mm=belly,
        back_fat_mm=back_fat,
        belly_fat_mm=float(rng.uniform(12.0, 32.0)),
        skin_follows=float(rng.uniform(0.35, 0.6)),
        streak_threshold=float(rng.uniform(0.3, 0.9)),
        aorta_x_mm=float(rng.uniform(4.0, 11.0)),
        aorta_radius_mm=float(rng.uniform(7.5, 10.0)),
        blobs=_draw_blobs(rng, belly),
        texture=PlaneTexture(rng, 15, TEXTURE_CELLS),
        streaks=PlaneTexture(rng, 15, (TEXTURE_CELLS[0] // 2, 2 * TEXTURE_CELLS[1])),
    )


def _draw_blobs(rng: np.random.Generator, belly_mm: float) -> tuple[tuple[Ellipsoid, Tissue], ...]:
    kinds = (BOWEL, BOWEL, BOWEL, BOWEL_FLUID, ORGAN, ORGAN, MUSCLE, AIR)
    blobs = []
    for _ in range(int(rng.integers(*_BLOBS))):
        centre = (rng.uniform(-45.0, 45.0), rng.uniform(-belly_mm + 40.0, -44.0), rng.uniform(-150.0, 150.0))
        radii = rng.uniform((8.0, 4.0, 4.0), (22.0, 16.0, 22.0))
        tissue = blend(kinds[int(rng.integers(len(kinds)))], BOWEL, float(rng.uniform(0.0, 0.35)))
        x, y, z = (float(value) for value in centre)
        blobs.append((Ellipsoid((x, y, z), (float(radii[0]), float(radii[1]), float(radii[2]))), tissue))
    return tuple(blobs)


def _draw_variants(rng: np.random.Generator, vertebrae: tuple[Vertebra, ...], base_fat: float) -> tuple[Variant, ...]:
    variants: list[Variant] = []
    for vertebra in vertebrae:
        disc = vertebra.disc_above
        dry = disc is not None and disc.degeneration > 0.55
        if rng.random() < (0.3 if dry else 0.04):
            variants.append(_modic_band(rng, vertebra, base_fat))
        if rng.random() < 0.06:
            variants.append(_schmorl_node(rng, vertebra))
        if rng.random() < 0.02:
            variants.append(_small_hemangioma(rng, vertebra))
    return tuple(variants)


def _modic_band(rng: np.random.Generator, vertebra: Vertebra, base_fat: float) -> Variant:
    """Type 2 (fatty) or, less often, type 1 (watery): a flat band under the upper end plate."""
    fatty = rng.random() < 0.75
    forward = float(rng.uniform(-0.8, 0.5)) * vertebra.half_depth
    spot = Ellipsoid((0.0, forward, vertebra.half_height), (vertebra.half_width, 11.0, float(rng.uniform(4.0, 6.5))))
    tissue = marrow(min(0.8, base_fat + 0.3)) if fatty else Tissue(0.95, 1050.0, 80.0, 0.15)
    return Variant(vertebra=vertebra, spot=spot, tissue=tissue, strength=0.6, edge_mm=2.0)


def _schmorl_node(rng: np.random.Generator, vertebra: Vertebra) -> Variant:
    """Disc material pressed into the upper end plate."""
    at = (float(rng.uniform(-8.0, 8.0)), float(rng.uniform(-6.0, 6.0)), vertebra.half_height - 1.0)
    radius = float(rng.uniform(3.0, 4.5))
    tissue = Tissue(0.55, 800.0, 50.0)
    return Variant(
        vertebra=vertebra, spot=Ellipsoid(at, (5.0, radius, radius)), tissue=tissue, strength=0.9, edge_mm=0.8
    )


def _small_hemangioma(rng: np.random.Generator, vertebra: Vertebra) -> Variant:
    """A fatty spot of about a centimetre, too small and too faint to be one of the labelled lesions."""
    at = (float(rng.uniform(-12.0, 12.0)), float(rng.uniform(-7.0, 7.0)), float(rng.uniform(-5.0, 5.0)))
    radius = float(rng.uniform(3.5, 5.5))
    tissue = Tissue(1.0, 700.0, 95.0, 0.7)
    return Variant(vertebra=vertebra, spot=Ellipsoid(at, (radius,) * 3), tissue=tissue, strength=0.55, edge_mm=1.2)
