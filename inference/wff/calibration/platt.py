"""Platt scaling fitted to readings: the line in the logit that makes patients' probabilities most likely."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from inference.wff.fusion import log_odds
from inference.wff.reading import PatientReading

LEAST_SLOPE: Final = 0.01  # at it the probability no longer says anything
_BOUNDS: Final = ((LEAST_SLOPE, 20.0), (-20.0, 20.0))  # slope, intercept
_CERTAIN: Final = 1e-12

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Platt:
    """sigmoid(slope * logit(P) + intercept)."""

    slope: float
    intercept: float


@dataclass(frozen=True, slots=True)
class _Slices:
    """All voting slices of all patients: log odds, share in their patient's mean, and which patient. (n,) each."""

    log_odds: _Floats
    shares: _Floats
    patients: NDArray[np.intp]


def fit_platt(readings: Sequence[PatientReading], is_malignant: Sequence[bool]) -> Platt:
    """Maximum likelihood of the patients' probabilities; `readings` are uncalibrated and none is without a vote.

    The line is applied to slices, and the likelihood is of what leaves for the patient: the mean over sequences of the
    mean over slices. A patient counts once, however many slices vote. The targets are Platt's (n + 1) / (n + 2) and
    1 / (n + 2), which keep the slope finite where the classes are parted completely. Source: Platt 1999.
    """
    slices, targets = _slices_of(readings), _targets(np.asarray(is_malignant, dtype=np.bool_))

    def loss(line: _Floats) -> tuple[float, _Floats]:
        said = expit(line[0] * slices.log_odds + line[1])
        p = np.clip(_per_patient(slices, said, len(targets)), _CERTAIN, 1.0 - _CERTAIN)
        value = -(targets * np.log(p) + (1.0 - targets) * np.log1p(-p)).mean()
        slope_of_loss = (p - targets) / (p * (1.0 - p)) / len(p)  # by the probability of each patient
        by_line = slope_of_loss[slices.patients] * slices.shares * said * (1.0 - said)
        return float(value), np.array([(by_line * slices.log_odds).sum(), by_line.sum()])

    fitted = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=_BOUNDS, tol=1e-12)
    return Platt(float(fitted.x[0]), float(fitted.x[1]))


def _per_patient(slices: _Slices, said: _Floats, patients: int) -> _Floats:
    means: _Floats = np.bincount(slices.patients, weights=slices.shares * said, minlength=patients).astype(np.float64)
    return means


def _slices_of(readings: Sequence[PatientReading]) -> _Slices:
    odds: list[float] = []
    shares: list[float] = []
    patients: list[int] = []
    for number, reading in enumerate(readings):
        speaking = [sequence for sequence in reading.sequences if sequence.slices]
        if not speaking:
            raise ValueError(f"reading {number} has no vote: it has no probability to calibrate")
        for sequence in speaking:
            odds += [log_odds(one.probability_malignant) for one in sequence.slices]
            shares += [1.0 / len(speaking) / len(sequence.slices)] * len(sequence.slices)
            patients += [number] * len(sequence.slices)
    return _Slices(np.array(odds), np.array(shares), np.array(patients, dtype=np.intp))


def _targets(malignant: NDArray[np.bool_]) -> _Floats:
    count = malignant.sum()
    targets: _Floats = np.where(malignant, (count + 1.0) / (count + 2.0), 1.0 / (len(malignant) - count + 2.0))
    return targets
