"""Two readers, or two models, on the same patients: is the difference more than chance?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, chi2, norm, rankdata

from inference.evaluation.intervals import Estimate
from inference.evaluation.metrics import Z_95

# Below this many discordant pairs the chi-squared approximation is too coarse (Siegel 1956; the textbook rule)
_EXACT_BELOW: Final = 25
EXACT: Final = "exact binomial"
CORRECTED: Final = "chi-squared with continuity correction"


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaComparison:
    """DeLong's test of two areas on the same patients. `difference` is first - second."""

    first: str
    second: str
    first_area: Estimate
    second_area: Estimate
    difference: Estimate
    z: float | None  # None: the areas differ, and the patients show no variance to hold that against
    p_value: float | None  # two-sided


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """McNemar's test on paired rights and wrongs."""

    only_first_right: int
    only_second_right: int
    p_value: float  # two-sided
    method: str  # EXACT or CORRECTED


def area_with_delong(scores: Sequence[float], is_malignant: Sequence[bool]) -> Estimate:
    """Area under the ROC curve with the interval area +- 1.96 standard errors, cut to 0..1.

    Needs at least two patients of each class. Source: DeLong, DeLong, Clarke-Pearson 1988.
    """
    (area,), covariance = _areas_and_covariance([scores], is_malignant)
    return _normal_interval(area, covariance[0, 0], lowest=0.0)


def compare_areas(
    first: tuple[str, Sequence[float]], second: tuple[str, Sequence[float]], is_malignant: Sequence[bool]
) -> AreaComparison:
    """Both models, each a name and its scores, on the same patients in the same order.

    Needs at least two patients of each class. Source: DeLong, DeLong, Clarke-Pearson 1988.
    """
    areas, covariance = _areas_and_covariance([first[1], second[1]], is_malignant)
    difference = areas[0] - areas[1]
    variance = max(0.0, float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]))
    z, p_value = _normal_test(difference, variance)
    return AreaComparison(
        first=first[0],
        second=second[0],
        first_area=_normal_interval(areas[0], covariance[0, 0], lowest=0.0),
        second_area=_normal_interval(areas[1], covariance[1, 1], lowest=0.0),
        difference=_normal_interval(difference, variance, lowest=-1.0),
        z=z,
        p_value=p_value,
    )


def mcnemar(first_right: Sequence[bool], second_right: Sequence[bool]) -> PairedComparison:
    """Whether one of two readers of the same patients is right more often.

    Fewer than 25 patients on whom they differ: exact binomial test. Else (|b - c| - 1)^2 / (b + c), and 0 where b = c,
    against chi-squared with one degree of freedom. Source: McNemar 1947; the continuity correction: Edwards 1948.
    """
    pairs = list(zip(first_right, second_right, strict=True))
    b, c = pairs.count((True, False)), pairs.count((False, True))
    if b + c < _EXACT_BELOW:
        p_value, method = 1.0 if b + c == 0 else float(binomtest(b, b + c, 0.5).pvalue), EXACT
    else:
        p_value, method = float(chi2.sf(max(abs(b - c) - 1, 0) ** 2 / (b + c), df=1)), CORRECTED
    return PairedComparison(only_first_right=b, only_second_right=c, p_value=p_value, method=method)


def _areas_and_covariance(
    models: Sequence[Sequence[float]], is_malignant: Sequence[bool]
) -> tuple[list[float], NDArray[np.float64]]:
    """Areas of the models and their covariance matrix, from the placement values of every patient.

    The placements come from midranks: Sun and Xu 2014, IEEE Signal Processing Letters 21:1389.
    """
    truth = np.asarray(is_malignant, dtype=np.bool_)
    malignant, benign = int(truth.sum()), int((~truth).sum())
    if min(malignant, benign) < 2:
        raise ValueError(f"DeLong's variance needs two patients of each class, got {malignant} and {benign}")
    of_malignant, of_benign = [], []
    for scores in models:
        s = np.asarray(scores, dtype=np.float64)
        among_all = rankdata(s)
        of_malignant.append((among_all[truth] - rankdata(s[truth])) / benign)
        of_benign.append(1.0 - (among_all[~truth] - rankdata(s[~truth])) / malignant)
    areas = [float(placements.mean()) for placements in of_malignant]
    covariance = np.atleast_2d(np.cov(of_malignant)) / malignant + np.atleast_2d(np.cov(of_benign)) / benign
    return areas, covariance


def _normal_interval(value: float, variance: float, *, lowest: float) -> Estimate:
    half = Z_95 * math.sqrt(max(0.0, float(variance)))
    return Estimate(value, max(lowest, value - half), min(1.0, value + half))


def _normal_test(difference: float, variance: float) -> tuple[float, float] | tuple[None, None]:
    """z and its two-sided p; two models that never differ are equal."""
    if math.isclose(variance, 0.0, abs_tol=1e-15):
        return (0.0, 1.0) if math.isclose(difference, 0.0, abs_tol=1e-12) else (None, None)
    z = difference / math.sqrt(variance)
    return z, float(2 * norm.sf(abs(z)))
