"""The ROC curve and its band."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.evaluation.intervals import Resampling

_GRID = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, slots=True, kw_only=True)
class RocCurve:
    """Corner points from (0, 0) to (1, 1), one per score that occurs."""

    name: str
    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RocBand:
    """Pointwise 95 % band of the sensitivity at each false positive rate."""

    false_positive_rate: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def roc_curve(name: str, scores: Sequence[float], is_malignant: Sequence[bool]) -> RocCurve:
    """Malignant is positive, and a higher score more suspicious. Needs both classes. Source: Fawcett 2006."""
    false, true = _corners(*_ordered(scores, is_malignant), np.ones(len(scores)))
    return RocCurve(name=name, false_positive_rate=tuple(false.tolist()), true_positive_rate=tuple(true.tolist()))


def roc_band(scores: Sequence[float], is_malignant: Sequence[bool], patients: Resampling) -> RocBand:
    """Vertical percentile band over the resamples of the patients."""
    ordered = _ordered(scores, is_malignant)
    sensitivities = np.stack([_sensitivities(*_corners(*ordered, weights)) for weights in patients.weights])
    low, high = np.percentile(sensitivities, (2.5, 97.5), axis=0)
    return RocBand(false_positive_rate=tuple(_GRID.tolist()), low=tuple(low.tolist()), high=tuple(high.tolist()))


def _ordered(
    scores: Sequence[float], is_malignant: Sequence[bool]
) -> tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.bool_]]:
    """Cases by falling score, their truth, and whether a case is the last of its score."""
    s, y = np.asarray(scores, dtype=np.float64), np.asarray(is_malignant, dtype=np.bool_)
    order = np.argsort(-s, kind="stable")
    return order, y[order], np.r_[np.diff(s[order]) < 0, True]


def _corners(
    order: NDArray[np.intp], truth: NDArray[np.bool_], is_last: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ordered = weights[order]
    true, false = np.cumsum(ordered * truth), np.cumsum(ordered * ~truth)
    return np.r_[0.0, false[is_last] / false[-1]], np.r_[0.0, true[is_last] / true[-1]]


def _sensitivities(false: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.float64]:
    """Best sensitivity reached without passing each false positive rate of the grid."""
    reached: NDArray[np.float64] = true[np.searchsorted(false, _GRID + 1e-12, side="right") - 1]
    return reached
