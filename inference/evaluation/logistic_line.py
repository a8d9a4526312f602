"""Slope and intercept of the outcome on the log odds, for many sets of weights at once. Malignant is positive."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from inference.evaluation.intervals import Weights

_ROWS: Final = 64  # of weights at once: they stay in the cache
_STEPS: Final = 100  # of Newton's method; some ten are usual
_LONGEST: Final = 2.0  # a step, in units of the standardised log odds: from afar the curvature misleads
_ENOUGH: Final = 1e-10  # a step below it is the last
_FARTHEST: Final = 50.0  # log odds; no intercept lies beyond
_HALVINGS: Final = 48  # of the interval of the intercept, to 4e-13


def slopes(log_odds: NDArray[np.float64], is_malignant: NDArray[np.bool_], weights: Weights) -> NDArray[np.float64]:
    """Maximum likelihood slopes with a free intercept, one per row of weights (rows, patients).

    Infinite where the log odds part the classes completely, NaN where all patients with a weight have the same.
    """
    centre, width = log_odds.mean(), log_odds.std()
    if width == 0.0:
        return np.full(len(weights), np.nan)
    x = (log_odds - centre) / width
    found: NDArray[np.float64] = np.concatenate([_newton(x, is_malignant, one) for one in _parts(weights)]) / width
    lowest, highest = _extremes(x, weights * is_malignant), _extremes(x, weights * ~is_malignant)
    found[lowest[0] >= highest[1]] = np.inf
    found[highest[0] >= lowest[1]] = -np.inf
    found[(lowest[0] == highest[1]) & (highest[0] == lowest[1])] = np.nan
    return found


def intercepts(log_odds: NDArray[np.float64], is_malignant: NDArray[np.bool_], weights: Weights) -> NDArray[np.float64]:
    """The shifts of the log odds that make the mean probability the prevalence, one per row of weights."""
    found: NDArray[np.float64] = np.concatenate([_bisected(log_odds, is_malignant, one) for one in _parts(weights)])
    return found


def _parts(weights: Weights) -> list[Weights]:
    return [weights[first : first + _ROWS] for first in range(0, len(weights), _ROWS)]


def _extremes(x: NDArray[np.float64], weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and greatest x that has a weight, per row."""
    counts = weights > 0.0
    return np.where(counts, x, np.inf).min(axis=1), np.where(counts, x, -np.inf).max(axis=1)


def _newton(x: NDArray[np.float64], y: NDArray[np.bool_], weights: Weights) -> NDArray[np.float64]:
    """Slopes in units of x; of classes that are parted completely whatever the last step gave."""
    line = np.zeros((len(weights), 2))  # intercept, slope
    for _ in range(_STEPS):
        p = expit(line[:, :1] + line[:, 1:] * x)
        error, curve = weights * (y - p), weights * p * (1.0 - p)
        g0, g1 = error.sum(axis=1), error @ x
        h00, h01, h11 = curve.sum(axis=1), curve @ x, curve @ (x * x)
        determinant = np.maximum(h00 * h11 - h01 * h01, np.finfo(np.float64).tiny)
        with np.errstate(over="ignore"):
            step = np.stack([h11 * g0 - h01 * g1, h00 * g1 - h01 * g0], axis=1) / determinant[:, None]
        line += np.clip(step, -_LONGEST, _LONGEST)  # of parted classes the slope grows with every step
        if np.abs(step).max() < _ENOUGH:
            break
    found: NDArray[np.float64] = line[:, 1]
    return found


def _bisected(log_odds: NDArray[np.float64], y: NDArray[np.bool_], weights: Weights) -> NDArray[np.float64]:
    low, high = np.full(len(weights), -_FARTHEST), np.full(len(weights), _FARTHEST)
    malignant = weights @ y
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        too_low = (weights * expit(log_odds + middle[:, None])).sum(axis=1) < malignant
        low, high = np.where(too_low, middle, low), np.where(too_low, high, middle)
    found: NDArray[np.float64] = (low + high) / 2
    return found
