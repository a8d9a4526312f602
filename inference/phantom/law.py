"""The label law of the phantom: how age, verdict and signs are drawn, what is kept of them, and what Bayes knows.

The picture is painted from the signs alone, so no reader of images can beat `oracle_probability`.
Source: phantom specification, item 7 (age law and table from the WFF paper and its public code; sign rates chosen).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.datasets import SpineRegion
from inference.findings import Verdict


class Sign(StrEnum):
    """What a radiologist would name; each is painted plainly when present."""

    ILL_MARGIN = "ill_margin"
    CORTICAL_BREAK = "cortical_break"
    EPIDURAL_MASS = "epidural_mass"
    MULTILEVEL = "multilevel"
    T1_DARK = "t1_dark"
    FS_BRIGHT = "fs_bright"
    COARSE_TRABECULAE = "coarse_trabeculae"
    DUMBBELL = "dumbbell"
    DIFFUSE = "diffuse"


# P(sign | malignant), P(sign | benign) at difficulty 1.
SIGN_RATES: Final[dict[Sign, tuple[float, float]]] = {
    Sign.ILL_MARGIN: (0.70, 0.25),
    Sign.CORTICAL_BREAK: (0.60, 0.25),
    Sign.EPIDURAL_MASS: (0.50, 0.20),
    Sign.MULTILEVEL: (0.35, 0.08),
    Sign.T1_DARK: (0.85, 0.45),
    Sign.FS_BRIGHT: (0.80, 0.60),
    Sign.COARSE_TRABECULAE: (0.03, 0.30),
    Sign.DUMBBELL: (0.05, 0.25),
    Sign.DIFFUSE: (0.50, 0.20),
}

# P(malignant | age) in the ten-year groups 0-10, 11-20, ..., 91-100.
AGE_TABLE: Final = (0.114, 0.227, 0.253, 0.409, 0.489, 0.682, 0.777, 0.864, 1.0, 1.0)
AGE_MEAN_YEARS: Final = 48.0
AGE_SD_YEARS: Final = 18.0
AGE_RANGE_YEARS: Final = (4, 82)

# The table says 1 above 80 years; the log-odds stay finite so that they can be stored and summed.
MAXIMUM_LOG_ODDS: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionTruth:
    """Where one planted lesion is. Lengths in mm, centre in LPS."""

    level: str  # e.g. "L3"
    centre_mm: tuple[float, float, float]
    diameter_mm: float  # largest diameter of its part in the bone, or of its first part outside
    region: SpineRegion = SpineRegion.LUMBAR


@dataclass(frozen=True, slots=True, kw_only=True)
class MimicTruth:
    """A harmless finding that is no tumour and has no box."""

    kind: str  # e.g. "osteoporotic_fracture"
    level: str
    centre_mm: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomTruth:
    """What was planted. A lesion-free patient has no label, family, look, sign, log-odds or lesion."""

    label: Verdict | None
    signs: dict[str, bool]
    log_odds_signs: float | None  # log P(malignant)/P(benign) from the signs and the mean prevalence
    log_odds_signs_age: float | None  # the same from the signs and the age
    lesions: tuple[LesionTruth, ...]
    family: str = ""  # name of the look under the verdict, e.g. "hemangioma"
    look: str = ""  # what the lesions are painted as, e.g. "striated"
    region: SpineRegion = SpineRegion.LUMBAR  # that the first station shows; where the lesions lie
    site: str = ""
    difficulty: float = 1.0
    mimics: tuple[MimicTruth, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LawSample:
    """`n` draws of the label law."""

    age_years: NDArray[np.int64]  # (n,)
    malignant: NDArray[np.bool_]  # (n,)
    signs: NDArray[np.bool_]  # (n, 9), in the order of `Sign`


def sign_rates(difficulty: float) -> NDArray[np.float64]:
    """(9, 2) rates of malignant and benign: at 1 as tabled, at 0 both equal to their mean (signs say nothing)."""
    if not 0.0 <= difficulty <= 1.0:
        raise ValueError(f"difficulty is {difficulty}, need 0 (signs say nothing) to 1 (signs as tabled)")
    tabled = np.array([SIGN_RATES[sign] for sign in Sign])
    middle = tabled.mean(axis=1, keepdims=True)
    rates: NDArray[np.float64] = middle + difficulty * (tabled - middle)
    return rates


def age_bin(age_years: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the ten-year group: 10 -> 0, 11 -> 1, 80 -> 7, 81 -> 8."""
    return np.clip((age_years - 1) // 10, 0, len(AGE_TABLE) - 1)


def draw_ages(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Whole years from the normal law, drawn again until inside `AGE_RANGE_YEARS`."""
    ages = np.zeros(count, dtype=np.int64)
    missing = np.ones(count, dtype=bool)
    while missing.any():
        ages[missing] = np.rint(rng.normal(AGE_MEAN_YEARS, AGE_SD_YEARS, int(missing.sum()))).astype(np.int64)
        missing = (ages < AGE_RANGE_YEARS[0]) | (ages > AGE_RANGE_YEARS[1])
    return ages


def draw_law(rng: np.random.Generator, count: int, *, difficulty: float) -> LawSample:
    """Draw ages, then verdicts from the age table, then signs independently given the verdict."""
    ages = draw_ages(rng, count)
    malignant = rng.random(count) < np.asarray(AGE_TABLE)[age_bin(ages)]
    rates = sign_rates(difficulty)
    rate = np.where(malignant[:, None], rates[None, :, 0], rates[None, :, 1])
    signs = rng.random((count, len(Sign))) < rate
    return LawSample(age_years=ages, malignant=malignant, signs=signs)


def sign_log_odds(signs: NDArray[np.bool_], *, difficulty: float) -> NDArray[np.float64]:
    """(n, 9) signs -> (n,) sum of the log likelihood ratios malignant/benign."""
    rates = sign_rates(difficulty)
    present = np.log(rates[:, 0] / rates[:, 1])
    absent = np.log((1.0 - rates[:, 0]) / (1.0 - rates[:, 1]))
    total: NDArray[np.float64] = np.where(signs, present, absent).sum(axis=1)
    return total


def age_log_odds(age_years: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) ages -> (n,) log-odds of malignancy from the age alone."""
    probability = np.asarray(AGE_TABLE)[age_bin(age_years)]
    with np.errstate(divide="ignore"):
        odds = np.log(probability) - np.log1p(-probability)
    clipped: NDArray[np.float64] = np.clip(odds, -MAXIMUM_LOG_ODDS, MAXIMUM_LOG_ODDS)
    return clipped


def prevalence_log_odds() -> float:
    """Log-odds of malignancy over the whole age law: all that is known before age and signs are seen."""
    ages = np.arange(AGE_RANGE_YEARS[0], AGE_RANGE_YEARS[1] + 1)
    weights = np.exp(-0.5 * ((ages - AGE_MEAN_YEARS) / AGE_SD_YEARS) ** 2)
    prevalence = float(np.average(np.asarray(AGE_TABLE)[age_bin(ages)], weights=weights))
    return float(np.log(prevalence / (1.0 - prevalence)))


def oracle_probability(truth: PhantomTruth, with_age: bool) -> float:
    """P(malignant) of the reader who sees every sign (and the age): the ceiling of any model.

    A lesion-free patient has no tumour: 0.
    """
    log_odds = truth.log_odds_signs_age if with_age else truth.log_odds_signs
    if log_odds is None:
        return 0.0
    return float(1.0 / (1.0 + np.exp(-log_odds)))
