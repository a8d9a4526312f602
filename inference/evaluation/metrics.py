"""Counts, rates with Wilson intervals, and the area under the ROC curve. Malignant is positive."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.evaluation.intervals import RESAMPLES, Resampling, Weights

Z_95 = 1.959963984540054  # two-sided 95 % of the normal law


@dataclass(frozen=True, slots=True)
class Rate:
    """`hits` of `total`, with its Wilson 95 % interval."""

    hits: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.total or self.total == 0:
            raise ValueError(f"{self.hits} of {self.total} is no rate")

    @property
    def value(self) -> float:
        return self.hits / self.total

    @property
    def interval(self) -> tuple[float, float]:
        return self.wilson(Z_95)

    def wilson(self, z: float) -> tuple[float, float]:
        """The interval of `z` standard deviations. Source: Wilson 1927; keeps inside 0..1 for small counts."""
        n, p, z2 = self.total, self.value, z**2
        centre = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        return max(0.0, centre - half), min(1.0, centre + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.hits}/{self.total} = {100 * self.value:.1f} % (95 % CI {100 * low:.1f}-{100 * high:.1f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    true_malignant: int
    missed_malignant: int
    true_benign: int
    false_malignant: int

    @property
    def accuracy(self) -> Rate:
        return Rate(self.true_malignant + self.true_benign, self.malignant + self.benign)

    @property
    def sensitivity(self) -> Rate:
        return Rate(self.true_malignant, self.malignant)

    @property
    def specificity(self) -> Rate:
        return Rate(self.true_benign, self.benign)

    @property
    def malignant(self) -> int:
        return self.true_malignant + self.missed_malignant

    @property
    def benign(self) -> int:
        return self.true_benign + self.false_malignant


def confusion(said_malignant: Sequence[bool], is_malignant: Sequence[bool]) -> Confusion:
    pairs = list(zip(said_malignant, is_malignant, strict=True))
    return Confusion(
        true_malignant=pairs.count((True, True)),
        missed_malignant=pairs.count((False, True)),
        true_benign=pairs.count((False, False)),
        false_malignant=pairs.count((True, False)),
    )


def area_under_roc(scores: Sequence[float], is_malignant: Sequence[bool]) -> float:
    """Chance that a malignant case scores higher than a benign one; ties count half. Needs both classes."""
    return float(areas_under_roc(scores, is_malignant, np.ones((1, len(scores))))[0])


def areas_under_roc(scores: Sequence[float], is_malignant: Sequence[bool], weights: Weights) -> NDArray[np.float64]:
    """The area for each row of weights (resamples, cases): the Mann-Whitney statistic of weighted cases.

    Source: Bamber 1975; Hanley and McNeil 1982.
    """
    s, y = np.asarray(scores, dtype=np.float64), np.asarray(is_malignant, dtype=np.bool_)
    if not 0 < y.sum() < len(y):
        raise ValueError("the area under the ROC curve needs malignant and benign cases")
    order = np.argsort(s, kind="stable")
    first_of_value = np.flatnonzero(np.r_[True, np.diff(s[order]) > 0])
    ordered = weights[:, order]
    malignant = np.add.reduceat(ordered * y[order], first_of_value, axis=1)
    benign = np.add.reduceat(ordered * ~y[order], first_of_value, axis=1)
    below = np.cumsum(benign, axis=1) - benign
    pairs = malignant.sum(axis=1) * benign.sum(axis=1)
    areas: NDArray[np.float64] = (malignant * (below + 0.5 * benign)).sum(axis=1) / pairs
    return areas


def area_interval(
    scores: Sequence[float], is_malignant: Sequence[bool], *, seed: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Bootstrap 95 % interval of the area, resampled by patient; resamples with one class are drawn again."""
    patients = Resampling(is_malignant, seed=seed, resamples=resamples)
    area = patients.estimate(lambda weights: areas_under_roc(scores, is_malignant, weights))
    return area.low, area.high
