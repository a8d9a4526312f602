"""Bootstrap intervals by patient: one set of resamples for everything that is measured on the same patients.

A resample is a row of weights: how often each patient was drawn. Statistics take the weights of all resamples at once.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

RESAMPLES: Final = 1000
_PERCENTILES: Final = (2.5, 97.5)
_MOST_DRAWS: Final = 1000  # per resample; one that holds both classes comes long before

Weights = NDArray[np.float64]  # (resamples, patients)
Statistic = Callable[
    [Weights], NDArray[np.float64]
]  # -> (resamples,); NaN where a resample says nothing, may be infinite


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval; one without width is none."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        bounds = f"{self.low:.3f}{'-' if self.low >= 0.0 else ' to '}{self.high:.3f}"
        # one without width says nothing of the doubt: no resample differed
        return f"{self.value:.3f} ({'no interval' if self.low == self.high else f'95 % CI {bounds}'})"


class Resampling:
    """Resamples of patients with replacement; a draw without one of the two classes is drawn again.

    Source of the percentile interval: Efron 1979; Efron and Tibshirani 1993, chapter 13.
    Raises ValueError when the patients are of one class.
    """

    def __init__(self, is_malignant: Sequence[bool], *, seed: int, resamples: int = RESAMPLES) -> None:
        truth = np.asarray(is_malignant, dtype=np.bool_)
        if not 0 < truth.sum() < len(truth):
            raise ValueError("a bootstrap by patient needs malignant and benign patients")
        rng = np.random.default_rng(seed)
        self.weights: Weights = np.stack([_draw(rng, truth) for _ in range(resamples)])

    @property
    def patients(self) -> int:
        return int(self.weights.shape[1])

    def estimate(self, statistic: Statistic) -> Estimate:
        """The statistic on the patients as they are, with its percentile interval over the resamples."""
        return self.estimates(lambda weights: statistic(weights)[:, None])[0]

    def estimates(self, statistic: Statistic) -> tuple[Estimate, ...]:
        """The same for a statistic of several numbers, (resamples, numbers)."""
        values = statistic(np.ones((1, self.patients)))[0]
        drawn = statistic(self.weights)
        return tuple(_estimate(value, column) for value, column in zip(values.tolist(), drawn.T, strict=True))

    def rate(self, hits: Sequence[bool], among: Sequence[bool] | None = None) -> Estimate:
        """Share of `hits` among the patients of `among` (all when None)."""
        counted = np.ones(len(hits)) if among is None else np.asarray(among, dtype=np.float64)
        right = np.asarray(hits, dtype=np.float64) * counted
        return self.estimate(lambda weights: (weights @ right) / (weights @ counted))


def _estimate(value: float, drawn: NDArray[np.float64]) -> Estimate:
    """Without interval where no resample says anything, or a bound lies at infinity."""
    known = drawn[~np.isnan(drawn)]
    with np.errstate(invalid="ignore"):  # between two infinities
        low, high = np.percentile(known, _PERCENTILES).tolist() if len(known) else (math.nan, math.nan)
    if not (math.isfinite(low) and math.isfinite(high)):
        return Estimate(value, value, value)
    return Estimate(value, low, high)


def _draw(rng: np.random.Generator, truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    for _ in range(_MOST_DRAWS):
        drawn = rng.integers(len(truth), size=len(truth))
        if 0 < truth[drawn].sum() < len(drawn):
            break
    return np.bincount(drawn, minlength=len(truth)).astype(np.float64)
