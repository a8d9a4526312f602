"""Areas under the ROC curve of several readers on the same patients, with intervals of their differences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.evaluation.intervals import Estimate, Resampling, Weights
from inference.evaluation.metrics import area_under_roc, areas_under_roc

Scores = Sequence[float]
Areas = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SamePatients:
    """Patients with a lesion, resampled alike for all readers."""

    is_malignant: Sequence[bool]
    resampling: Resampling

    def area(self, scores: Scores) -> Estimate:
        return self.of(lambda areas: areas[0], scores)

    def difference(self, first: Scores, second: Scores) -> Estimate:
        return self.of(lambda areas: areas[0] - areas[1], first, second)

    def share(self, scores: Scores, oracle: Scores) -> Estimate:
        """What a reader has above .5, as a share of what the oracle has above it."""
        with np.errstate(divide="ignore", invalid="ignore"):  # a resample may leave the oracle nothing
            return self.of(lambda areas: (areas[0] - 0.5) / (areas[1] - 0.5), scores, oracle)

    def of(self, statistic: Callable[[list[Areas]], Areas], *readers: Scores) -> Estimate:
        """Any statistic of the areas of these readers."""

        def on(weights: Weights) -> Areas:
            return statistic([areas_under_roc(scores, self.is_malignant, weights) for scores in readers])

        return self.resampling.estimate(on)


def same_patients(is_malignant: Sequence[bool], *, seed: int, resamples: int) -> SamePatients:
    """Needs both classes."""
    return SamePatients(is_malignant, Resampling(is_malignant, seed=seed, resamples=resamples))


def area_over_shuffles(patients: SamePatients, readers: Sequence[Scores], *, seed: int) -> Estimate:
    """Mean area of readers that differ by chance alone; the interval resamples readers and patients.

    One reader trained on labels dealt anew may lean to one side by luck; its own interval does not know of that luck.
    """
    truth, weights = patients.is_malignant, patients.resampling.weights
    areas = np.stack([areas_under_roc(scores, truth, weights) for scores in readers])
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(readers), size=areas.shape[::-1])  # (resamples, readers)
    means = np.take_along_axis(areas.T, drawn, axis=1).mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    value = np.mean([area_under_roc(scores, truth) for scores in readers])
    return Estimate(float(value), float(low), float(high))


def mean_of(values: Sequence[float], *, seed: int, resamples: int) -> Estimate:
    """With its bootstrap interval."""
    numbers = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = numbers[rng.integers(len(numbers), size=(resamples, len(numbers)))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return Estimate(float(numbers.mean()), float(low), float(high))
