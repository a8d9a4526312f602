"""Are the probabilities what they say? Reliability bins, expected calibration error, Brier score, slope, intercept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from inference.evaluation.intervals import RESAMPLES, Estimate, Resampling, Statistic, Weights
from inference.evaluation.logistic_line import intercepts, slopes
from inference.evaluation.metrics import Rate

BINS: Final = 10
_CERTAIN: Final = 1e-6  # a probability of 0 or 1 has no finite log odds


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Patients whose probability lies in low..high (the last bin holds 1)."""

    low: float
    high: float
    patients: int
    malignant: int
    mean_probability: float | None  # None: empty
    malignant_interval: tuple[float, float] | None  # of the malignant fraction, Wilson 95 %


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbabilityCalibration:
    """`slope` 1 and `intercept` 0 are perfect. None: the classes are parted completely, or there is one alone.

    A slope below 1: the probabilities are too extreme. An intercept above 0: they are too low on average. Intervals are
    bootstrap by patient; none where there is one class alone, or where so many resamples part the classes completely
    that a bound is infinite. The calibration error of a resample is larger on average, since patients are in it twice;
    its interval therefore is taken down to the value.
    """

    patients: int
    bins: tuple[ReliabilityBin, ...]
    expected_error: Estimate
    brier: Estimate
    brier_of_prevalence: float  # of the one who always says the prevalence
    slope: Estimate | None
    intercept: Estimate | None


def probability_calibration(
    probabilities: Sequence[float], is_malignant: Sequence[bool], *, seed: int, resamples: int = RESAMPLES
) -> ProbabilityCalibration:
    """Needs at least one patient. `seed` is of the bootstrap.

    Sources: reliability bins of equal width and the expected calibration error: Naeini 2015, Guo 2017. Brier 1950.
    Slope of the logistic regression of the outcome on the log odds: Cox 1958; intercept with the slope held at 1
    ("calibration in the large"): Van Calster 2019, BMC Medicine 17:230.
    """
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(is_malignant, dtype=np.bool_)
    if not len(p) or len(p) != len(y):
        raise ValueError(f"{len(p)} probabilities of {len(y)} patients: need one of each, at least one")
    patients = Resampling(y.tolist(), seed=seed, resamples=resamples) if 0 < y.sum() < len(y) else None
    log_odds = logit(np.clip(p, _CERTAIN, 1.0 - _CERTAIN))
    squared = (p - y) ** 2
    error = _estimated(lambda weights: _expected_errors(p, y, weights), patients, len(p))
    return ProbabilityCalibration(
        patients=len(p),
        bins=_bins(p, y),
        expected_error=Estimate(error.value, min(error.low, error.value), max(error.high, error.value)),
        brier=_estimated(lambda weights: weights @ squared / weights.sum(axis=1), patients, len(p)),
        brier_of_prevalence=float(((y.mean() - y) ** 2).mean()),
        slope=_of_both_classes(lambda weights: slopes(log_odds, y, weights), patients),
        intercept=_of_both_classes(lambda weights: intercepts(log_odds, y, weights), patients),
    )


def _estimated(statistic: Statistic, patients: Resampling | None, count: int) -> Estimate:
    """Without interval where there are no resamples."""
    if patients is not None:
        return patients.estimate(statistic)
    value = float(statistic(np.ones((1, count)))[0])
    return Estimate(value, value, value)


def _of_both_classes(statistic: Statistic, patients: Resampling | None) -> Estimate | None:
    """None without resamples, or where the number itself is not finite."""
    one = None if patients is None else patients.estimate(statistic)
    return one if one is not None and np.isfinite(one.value) else None


def _expected_errors(p: NDArray[np.float64], y: NDArray[np.bool_], weights: Weights) -> NDArray[np.float64]:
    """Mean over patients of |malignant fraction - mean probability| of their bins, for each row of weights."""
    inside = (_places(p)[:, None] == np.arange(BINS)).astype(np.float64)
    errors: NDArray[np.float64] = np.abs(weights @ (inside * (y - p)[:, None])).sum(axis=1) / weights.sum(axis=1)
    return errors


def _places(p: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.minimum((p * BINS).astype(np.intp), BINS - 1)


def _bins(p: NDArray[np.float64], y: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    place = _places(p)
    return tuple(_bin(number, p[place == number], y[place == number]) for number in range(BINS))


def _bin(number: int, p: NDArray[np.float64], y: NDArray[np.bool_]) -> ReliabilityBin:
    malignant = int(y.sum())
    return ReliabilityBin(
        low=number / BINS,
        high=(number + 1) / BINS,
        patients=len(p),
        malignant=malignant,
        mean_probability=float(p.mean()) if len(p) else None,
        malignant_interval=Rate(malignant, len(p)).interval if len(p) else None,
    )
