"""Are the probabilities what they say? Reliability bins, expected calibration error, Brier score, slope, intercept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit

from inference.evaluation.metrics import Rate

BINS: Final = 10
_CERTAIN: Final = 1e-6  # a probability of 0 or 1 has no finite log odds
_FARTHEST: Final = 50.0  # log odds; no intercept lies beyond


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

    A slope below 1: the probabilities are too extreme. An intercept above 0: they are too low on average.
    """

    patients: int
    bins: tuple[ReliabilityBin, ...]
    expected_error: float
    brier: float
    brier_of_prevalence: float  # of the one who always says the prevalence
    slope: float | None
    intercept: float | None


def probability_calibration(probabilities: Sequence[float], is_malignant: Sequence[bool]) -> ProbabilityCalibration:
    """Needs at least one patient.

    Sources: reliability bins of equal width and the expected calibration error: Naeini 2015, Guo 2017. Brier 1950.
    Slope of the logistic regression of the outcome on the log odds: Cox 1958; intercept with the slope held at 1
    ("calibration in the large"): Van Calster 2019, BMC Medicine 17:230.
    """
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(is_malignant, dtype=np.bool_)
    if not len(p) or len(p) != len(y):
        raise ValueError(f"{len(p)} probabilities of {len(y)} patients: need one of each, at least one")
    bins = _bins(p, y)
    log_odds = logit(np.clip(p, _CERTAIN, 1.0 - _CERTAIN))
    return ProbabilityCalibration(
        patients=len(p),
        bins=bins,
        expected_error=sum(_gap(one) * one.patients for one in bins) / len(p),
        brier=float(((p - y) ** 2).mean()),
        brier_of_prevalence=float(((y.mean() - y) ** 2).mean()),
        slope=_slope(log_odds, y),
        intercept=_intercept(log_odds, y),
    )


def _bins(p: NDArray[np.float64], y: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    place = np.minimum((p * BINS).astype(int), BINS - 1)
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


def _gap(one: ReliabilityBin) -> float:
    return 0.0 if one.mean_probability is None else abs(one.malignant / one.patients - one.mean_probability)


def _slope(log_odds: NDArray[np.float64], y: NDArray[np.bool_]) -> float | None:
    """Maximum likelihood with a free intercept; it is finite only where the log odds of the classes overlap."""
    malignant, benign = log_odds[y], log_odds[~y]
    if not len(malignant) or not len(benign):
        return None
    if malignant.min() >= benign.max() or benign.min() >= malignant.max():
        return None

    def loss(coefficients: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        linear = coefficients[0] + coefficients[1] * log_odds
        error = expit(linear) - y
        value = (np.logaddexp(0.0, linear) - y * linear).mean()
        return float(value), np.array([error.mean(), (error * log_odds).mean()])

    fitted = minimize(loss, np.array([0.0, 1.0]), jac=True, method="BFGS", options={"gtol": 1e-9})
    return float(fitted.x[1])


def _intercept(log_odds: NDArray[np.float64], y: NDArray[np.bool_]) -> float | None:
    """The shift of the log odds that makes the mean probability the prevalence."""
    if not 0 < y.sum() < len(y):
        return None
    return float(brentq(lambda shift: expit(log_odds + shift).mean() - y.mean(), -_FARTHEST, _FARTHEST))
