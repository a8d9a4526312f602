"""Harmless findings that look like something: they occur in every kind of patient alike and are never labelled.

Osteoporotic fracture, Modic bands, Schmorl nodes, small hemangiomas. Nothing here knows verdict, signs or age.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np

from inference.datasets import SpineRegion
from inference.phantom.grid import Canvas, inside
from inference.phantom.noise import NoiseField
from inference.phantom.shapes import Ellipsoid
from inference.phantom.spine.vertebra import CORTEX_MM, Vertebra
from inference.phantom.tissue import CORTEX, Tissue, marrow

_SPARED_BY_FRACTURES: Final = frozenset({"T1", "T2", "T3", "T4"})
_WITHOUT_DISC: Final = frozenset({"S2", "S3", "S4", "S5", "CO"})  # no disc above that could wear or press
_FRACTURE_RATE: Final = 0.12  # of patients
_HEMANGIOMA_RATE: Final = 0.10  # of patients
_SCHMORL_RATE: Final = 0.05  # of vertebrae
_OEDEMA: Final = Tissue(0.95, 1150.0, 82.0, 0.12)


class MimicKind(StrEnum):
    OSTEOPOROTIC_FRACTURE = "osteoporotic_fracture"
    MODIC_1 = "modic_1"  # watery
    MODIC_2 = "modic_2"  # fatty
    SCHMORL_NODE = "schmorl_node"
    INCIDENTAL_HEMANGIOMA = "incidental_hemangioma"


@dataclass(frozen=True, eq=False, kw_only=True)
class Mimic:
    """A finding in the frame of a vertebra."""

    kind: MimicKind
    vertebra: Vertebra
    spot: Ellipsoid
    tissue: Tissue
    strength: float  # 0..1, how much of it covers the marrow
    edge_mm: float


def draw_fracture(rng: np.random.Generator, vertebrae: Sequence[Vertebra]) -> str | None:
    """Level of the broken vertebra, if any: one from T5 to the last lumbar one in view.

    Above T5 an osteoporotic fracture is so rare that a reader would think of something else.
    """
    loaded = (SpineRegion.THORACIC, SpineRegion.LUMBAR)
    weak = [v.level for v in vertebrae if v.region in loaded and v.level not in _SPARED_BY_FRACTURES]
    breaks, chosen = rng.random() < _FRACTURE_RATE, int(rng.integers(0, max(1, len(weak))))
    return weak[chosen] if weak and breaks else None


def broken(rng: np.random.Generator, vertebra: Vertebra) -> Vertebra:
    """The same vertebra lower in front: the back keeps its height."""
    loss = float(rng.uniform(0.10, 0.2))
    return replace(
        vertebra,
        half_height=vertebra.half_height * (1.0 - loss),
        wedge=vertebra.wedge + loss / (1.0 - loss),
        hollow=vertebra.hollow + float(rng.uniform(0.05, 0.2)),
        collapse=loss,
    )


def draw_mimics(
    rng: np.random.Generator, vertebrae: Sequence[Vertebra], marrow_fat: Mapping[str, float], fracture: str | None
) -> tuple[Mimic, ...]:
    mimics: list[Mimic] = []
    for vertebra in vertebrae:
        disc = vertebra.disc_above
        dry = disc is not None and disc.degeneration > 0.6
        if vertebra.level not in _WITHOUT_DISC:
            if rng.random() < (0.28 if dry else 0.03):
                mimics.append(_modic_band(rng, vertebra, marrow_fat[vertebra.level]))
            if rng.random() < _SCHMORL_RATE:
                mimics.append(_schmorl_node(rng, vertebra))
        if vertebra.level == fracture:
            mimics.append(_fracture_band(rng, vertebra))
    if rng.random() < _HEMANGIOMA_RATE:
        mimics.append(_small_hemangioma(rng, vertebrae[int(rng.integers(len(vertebrae)))]))
    return tuple(mimics)


def paint_mimic(canvas: Canvas, mimic: Mimic, noise: NoiseField) -> None:
    vertebra = mimic.vertebra
    region = vertebra.around(canvas.grid, 2.0)
    if region.empty:
        return
    within = inside(vertebra.body_sdf(region) + np.float32(CORTEX_MM), canvas.softness_mm)
    rough = np.float32(1.5) * noise.on(region, (6.0, 5.0, 4.0), 111.0)
    spot = inside(mimic.spot.sdf(region) + rough, mimic.edge_mm)
    canvas.paint(region, np.float32(mimic.strength) * within * spot, mimic.tissue)
    if mimic.kind is MimicKind.OSTEOPOROTIC_FRACTURE:
        line = np.abs(region.h - np.float32(0.45 * vertebra.half_height) + rough) - np.float32(0.7)
        canvas.paint(region, np.float32(0.8) * within * inside(line, 0.8), CORTEX)
    if mimic.kind is MimicKind.SCHMORL_NODE:
        rim = np.abs(mimic.spot.sdf(region) + rough) - np.float32(0.5)
        canvas.paint(region, np.float32(0.7) * within * inside(rim, 0.6), CORTEX)


def _modic_band(rng: np.random.Generator, vertebra: Vertebra, fat: float) -> Mimic:
    """A flat band under the upper end plate, fatty or, less often, watery."""
    fatty = rng.random() < 0.75
    forward = float(rng.uniform(-0.8, 0.5)) * vertebra.half_depth
    height = float(rng.uniform(0.25, 0.5)) * vertebra.half_height
    radii = (vertebra.half_width, 0.75 * vertebra.half_depth, height)
    return Mimic(
        kind=MimicKind.MODIC_2 if fatty else MimicKind.MODIC_1,
        vertebra=vertebra,
        spot=Ellipsoid((0.0, forward, vertebra.half_height), radii),
        tissue=marrow(min(0.85, fat + 0.3)) if fatty else _OEDEMA,
        strength=0.85,
        edge_mm=2.0,
    )


def _schmorl_node(rng: np.random.Generator, vertebra: Vertebra) -> Mimic:
    """Disc material pressed into the upper end plate, in a dark rim."""
    size = vertebra.half_height / 14.0
    at = (
        float(rng.uniform(-8.0, 8.0)) * size,
        float(rng.uniform(-6.0, 6.0)) * size,
        vertebra.half_height * 0.9,
    )
    radius = float(rng.uniform(3.0, 5.0)) * size
    return Mimic(
        kind=MimicKind.SCHMORL_NODE,
        vertebra=vertebra,
        spot=Ellipsoid(at, (1.3 * radius, 1.2 * radius, radius)),
        tissue=Tissue(0.55, 700.0, 52.0),
        strength=0.9,
        edge_mm=0.8,
    )


def _small_hemangioma(rng: np.random.Generator, vertebra: Vertebra) -> Mimic:
    """A fatty spot of at most a centimetre: smaller and fainter than any labelled lesion."""
    size = min(1.0, vertebra.half_height / 13.0)
    x, y, z = (float(value) for value in size * rng.uniform((-10.0, -6.0, -4.0), (10.0, 6.0, 4.0)))
    radius = float(rng.uniform(3.5, 5.2)) * size
    return Mimic(
        kind=MimicKind.INCIDENTAL_HEMANGIOMA,
        vertebra=vertebra,
        spot=Ellipsoid((x, y, z), (radius, radius, 1.1 * radius)),
        tissue=Tissue(1.0, 700.0, 95.0, 0.7),
        strength=0.75,
        edge_mm=1.2,
    )


def _fracture_band(rng: np.random.Generator, vertebra: Vertebra) -> Mimic:
    """Oedema under the upper end plate when the fracture is fresh; only shape and line when it is old."""
    fresh = rng.random() < 0.55
    radii = (1.3 * vertebra.half_width, 1.6 * vertebra.half_depth, float(rng.uniform(0.7, 1.0)) * vertebra.half_height)
    return Mimic(
        kind=MimicKind.OSTEOPOROTIC_FRACTURE,
        vertebra=vertebra,
        spot=Ellipsoid((0.0, 0.0, vertebra.half_height), radii),
        tissue=_OEDEMA,
        strength=0.8 if fresh else 0.12,
        edge_mm=2.5,
    )
