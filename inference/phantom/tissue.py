"""Tissues as relaxation constants, sequences as timings, and the spin-echo signal between them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from inference.findings import SequenceKind

# Fat at 1.5 T. Source: phantom specification, item 3.
FAT_T1_MS: Final = 316.0
FAT_T2_MS: Final = 68.0
FAT_T2_FSE_MS: Final = 2.0 * FAT_T2_MS  # closely spaced echoes undo J-coupling: fat stays bright in turbo spin echo


class FatSuppression(StrEnum):
    NONE = "none"
    SATURATION = "saturation"
    STIR = "stir"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """Timings of one series in ms."""

    kind: SequenceKind
    tr_ms: float
    te_ms: float
    ti_ms: float | None = None  # set for STIR
    fat_suppression: FatSuppression = FatSuppression.NONE
    residual_fat: float = 1.0  # part of the fat signal that a saturation pulse leaves

    @property
    def turbo(self) -> bool:
        return self.kind is not SequenceKind.T1


@dataclass(frozen=True, slots=True)
class Tissue:
    """Proton density (1 = water), relaxation of the water part at 1.5 T, and the fat fraction."""

    pd: float
    t1_ms: float
    t2_ms: float
    fat: float = 0.0


# Source of spine values: Drake-Perez 2018 (PMC7410772), de Bazelaire 2004; others chosen to give the usual contrasts.
AIR: Final = Tissue(0.0, 1000.0, 50.0)
FAT: Final = Tissue(1.0, 900.0, 40.0, 0.93)
BROWN_FAT: Final = Tissue(0.95, 900.0, 45.0, 0.7)  # fat with vessels and septa
MUSCLE: Final = Tissue(0.85, 898.0, 33.0, 0.02)
SKIN: Final = Tissue(0.75, 700.0, 30.0, 0.1)
CORTEX: Final = Tissue(0.10, 500.0, 12.0)
LIGAMENT: Final = Tissue(0.30, 700.0, 22.0)
CARTILAGE: Final = Tissue(0.55, 700.0, 30.0)
CSF: Final = Tissue(1.0, 4273.0, 1578.0)
CORD: Final = Tissue(0.75, 780.0, 102.0)
BRAIN: Final = Tissue(0.80, 820.0, 92.0)
OUTER_ANNULUS: Final = Tissue(0.36, 600.0, 25.0)
ANNULUS: Final = Tissue(0.62, 620.0, 44.0)
NUCLEUS_YOUNG: Final = Tissue(0.92, 1165.0, 165.0)
NUCLEUS_DRY: Final = Tissue(0.60, 620.0, 48.0)
FLOWING_BLOOD: Final = Tissue(0.16, 1200.0, 60.0)
SLOW_BLOOD: Final = Tissue(0.80, 1400.0, 130.0)
BOWEL: Final = Tissue(0.80, 950.0, 62.0)
BOWEL_FLUID: Final = Tissue(0.92, 2200.0, 260.0)
STOOL: Final = Tissue(0.55, 600.0, 45.0, 0.15)
ORGAN: Final = Tissue(0.78, 650.0, 55.0)
URINE: Final = Tissue(1.0, 3800.0, 900.0)
GLAND: Final = Tissue(0.85, 1100.0, 85.0)
LUNG: Final = Tissue(0.06, 1000.0, 30.0)


def marrow(fat_fraction: float) -> Tissue:
    return Tissue(0.9, 900.0, 60.0, fat_fraction)


def lesion_tissue(*, t1_dark: bool, fs_bright: bool, fatty: bool) -> Tissue:
    """The mixtures that show the two signal signs, each through its relaxation rather than by decree.

    Dark and bright: cellular, watery. Dark and iso: fibrous or sclerotic. Bright and bright: fat with much free water,
    or, in a look that has no fat, old blood: methaemoglobin shortens T1. Bright and iso: mostly fat, or thick protein,
    which shortens T2 as well.
    """
    if t1_dark:
        return Tissue(0.95, 1600.0, 100.0) if fs_bright else Tissue(0.56, 1250.0, 62.0)
    if fatty:
        return Tissue(1.15, 720.0, 170.0, 0.47) if fs_bright else Tissue(1.05, 700.0, 80.0, 0.78)
    return Tissue(1.05, 440.0, 160.0) if fs_bright else Tissue(0.9, 330.0, 55.0)


def blend(first: Tissue, second: Tissue, part: float) -> Tissue:
    """`part` 0 gives `first`, 1 gives `second`."""
    return Tissue(
        first.pd + part * (second.pd - first.pd),
        first.t1_ms + part * (second.t1_ms - first.t1_ms),
        first.t2_ms + part * (second.t2_ms - first.t2_ms),
        first.fat + part * (second.fat - first.fat),
    )


def signal(tissue: Tissue, sequence: Sequence) -> tuple[float, float]:
    """Water and fat part of the (inversion-prepared) spin echo; 1 = fully relaxed water.

    The parts keep their sign: what an inversion leaves negative cancels against the other where they meet in a voxel.
    """
    water = _pool(tissue.t1_ms, tissue.t2_ms, sequence)
    fat = _pool(FAT_T1_MS, FAT_T2_FSE_MS if sequence.turbo else FAT_T2_MS, sequence) * sequence.residual_fat
    return float(tissue.pd * (1.0 - tissue.fat) * water), float(tissue.pd * tissue.fat * fat)


def _pool(t1_ms: float, t2_ms: float, sequence: Sequence) -> float:
    recovered = 1.0 - np.exp(-sequence.tr_ms / t1_ms)
    if sequence.ti_ms is not None:
        recovered = 1.0 - 2.0 * np.exp(-sequence.ti_ms / t1_ms) + np.exp(-sequence.tr_ms / t1_ms)
    return float(recovered * np.exp(-sequence.te_ms / t2_ms))
