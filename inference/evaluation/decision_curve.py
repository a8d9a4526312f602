"""Net benefit of acting on the model, beside acting on every patient and on none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_THRESHOLDS: Final = tuple(round(0.01 * n, 2) for n in range(1, 100))


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionCurve:
    """Net benefit per patient at each threshold probability; acting on none has net benefit 0."""

    thresholds: tuple[float, ...]
    model: tuple[float, ...]
    treat_all: tuple[float, ...]


def decision_curve(
    probabilities: Sequence[float], is_malignant: Sequence[bool], *, thresholds: Sequence[float] = _THRESHOLDS
) -> DecisionCurve:
    """TP / n - FP / n x t / (1 - t) for the patients with probability >= t.

    A threshold t says that one missed malignancy is as bad as (1 - t) / t needless actions. The prevalence is that of
    these patients. Source: Vickers and Elkin 2006, Medical Decision Making 26:565.
    """
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(is_malignant, dtype=np.bool_)
    return DecisionCurve(
        thresholds=tuple(thresholds),
        model=tuple(_net_benefit(y[p >= t], t, len(y)) for t in thresholds),
        treat_all=tuple(_net_benefit(y, t, len(y)) for t in thresholds),
    )


def _net_benefit(treated: NDArray[np.bool_], threshold: float, patients: int) -> float:
    right = int(treated.sum())
    return (right - (len(treated) - right) * threshold / (1.0 - threshold)) / patients
