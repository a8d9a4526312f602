"""Sites: what differs between scanners and their protocols, and not between the patients of one.

Source: phantom specification, items 4 and 5 (ranges).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from inference.findings import SequenceKind
from inference.phantom.tissue import FatSuppression, Sequence

_SITE_STREAM: Final = 4


class PhaseAxis(StrEnum):
    """Direction of phase encoding within a sagittal image: ghosts run along it, chemical shift across it."""

    ROW = "row"  # front to back
    COLUMN = "column"  # head to feet


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteStyle:
    """The style vector of one site."""

    number: int
    snr: float  # marrow on T1 to noise
    acquired_mm: tuple[float, float]  # pixel before zero filling: along the phase axis, along the frequency axis
    edge_filter: float  # 0 sharp with Gibbs ringing .. 1 smooth
    phase_axis: PhaseAxis
    chemical_shift_px: int  # of fat, in acquired pixels along the frequency axis; signed
    coil_depth_mm: float  # fall-off of the surface coil
    coil_length_mm: float
    coil_corrected: float  # 0 as received .. 1 evened out by the vendor
    bias: float  # smooth shading, standard deviation of its logarithm
    fat_suppression: FatSuppression
    residual_fat: float
    fat_unevenness: float  # of a saturation pulse, standard deviation
    saturation_band: float  # 1 none .. 0 complete, before the spine on T2
    stored_scale: float  # stored value of signal 1 near the coil, before the 12-bit clip
    border: float  # part of the rows at top and bottom each that the vendor sets to zero
    fov_scale: float  # to the field of view of middle habits
    thickness_mm: float
    gap: float  # part of the thickness
    slices: int
    t1_ms: tuple[float, float]  # TR, TE
    t2_ms: tuple[float, float]
    fs_ms: tuple[float, float]

    @property
    def name(self) -> str:
        return f"S{self.number:02d}"

    def acquired_share(self, pixel_mm: float) -> tuple[float, float]:
        """Acquired over reconstructed matrix: along the phase axis, along the frequency axis."""
        return min(1.0, pixel_mm / self.acquired_mm[0]), min(1.0, pixel_mm / self.acquired_mm[1])


def site_style(number: int) -> SiteStyle:
    """The site of that number; the same in every set."""
    if number < 0:
        raise ValueError(f"site number is {number}, need 0 or more")
    rng = np.random.default_rng((number, _SITE_STREAM))
    stir = rng.random() < 0.4

    def whole(low: float, high: float) -> float:
        return float(np.rint(rng.uniform(low, high)))

    return SiteStyle(
        number=number,
        snr=float(rng.uniform(16.0, 40.0)),
        acquired_mm=(float(rng.uniform(1.15, 1.75)), float(rng.uniform(0.85, 1.15))),
        edge_filter=float(rng.uniform(0.0, 0.9)),
        phase_axis=PhaseAxis.COLUMN if rng.random() < 0.6 else PhaseAxis.ROW,
        chemical_shift_px=int(rng.choice((-1, 1))),
        coil_depth_mm=float(rng.uniform(110.0, 200.0)),
        coil_length_mm=float(rng.uniform(150.0, 230.0)),
        coil_corrected=float(rng.choice((0.0, 0.5, 0.8))),
        bias=float(rng.uniform(0.04, 0.16)),
        fat_suppression=FatSuppression.STIR if stir else FatSuppression.SATURATION,
        residual_fat=float(rng.uniform(0.04, 0.12)),
        fat_unevenness=float(rng.uniform(0.1, 0.6)),
        saturation_band=1.0 if rng.random() < 0.35 else float(rng.uniform(0.12, 0.4)),
        stored_scale=float(rng.uniform(900.0, 2600.0)),
        border=float(rng.uniform(0.03, 0.09)) if rng.random() < 0.25 else 0.0,
        fov_scale=float(rng.uniform(0.94, 1.06)),
        thickness_mm=float(rng.choice((3.0, 3.5, 4.0, 4.0, 4.5, 5.0))),
        gap=float(rng.uniform(0.0, 0.1)),
        slices=int(rng.integers(11, 18)),
        t1_ms=(whole(400, 600), whole(9, 15)),
        t2_ms=(whole(2800, 4000), whole(90, 115)),
        fs_ms=(whole(3000, 4200), whole(70, 95)),
    )


def draw_sequences(rng: np.random.Generator, style: SiteStyle) -> tuple[Sequence, Sequence, Sequence]:
    """T1, T2 and fat-suppressed T2 of one examination: the site's timings, stretched a little, in whole ms."""

    def stretched(tr_ms: float) -> float:
        return float(np.rint(tr_ms * rng.uniform(0.97, 1.03)))

    stir = style.fat_suppression is FatSuppression.STIR
    return (
        Sequence(kind=SequenceKind.T1, tr_ms=stretched(style.t1_ms[0]), te_ms=style.t1_ms[1]),
        Sequence(kind=SequenceKind.T2, tr_ms=stretched(style.t2_ms[0]), te_ms=style.t2_ms[1]),
        Sequence(
            kind=SequenceKind.T2FS,
            tr_ms=stretched(style.fs_ms[0]),
            te_ms=style.fs_ms[1],
            # Fat crosses zero near ln 2 times its T1 of 316 ms.
            ti_ms=float(np.rint(rng.uniform(205, 222))) if stir else None,
            fat_suppression=style.fat_suppression,
            residual_fat=1.0 if stir else style.residual_fat,
        ),
    )
