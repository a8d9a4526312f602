"""Age module: the malignant fraction of each age group in the training set."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from inference.findings import Verdict

BINS = 10  # 0-10, 11-20, ..., 81-90, 91 and older, in completed years
_BIN_YEARS = 10
# Malignant fraction per bin of the reference cohort; used where no table was fitted.
REFERENCE_TABLE = (0.114, 0.227, 0.253, 0.409, 0.489, 0.682, 0.777, 0.864, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class AgeTable:
    malignant: tuple[float, ...] = REFERENCE_TABLE

    def __post_init__(self) -> None:
        if len(self.malignant) != BINS or not all(0.0 <= p <= 1.0 for p in self.malignant):
            raise ValueError(f"age table needs {BINS} probabilities in 0..1, got {self.malignant}")

    def probability(self, age_years: float | None) -> float | None:
        """A of Eq. 1; None when the age is unknown, so that the term drops out."""
        return None if age_years is None else self.malignant[age_bin(age_years)]


def age_bin(age_years: float) -> int:
    """Completed years 0..10 -> 0, 11..20 -> 1, ..., 91 and older -> 9."""
    if not math.isfinite(age_years) or age_years < 0:
        raise ValueError(f"age of {age_years} years; pass None where the age is unknown")
    return min(max(math.ceil(math.floor(age_years) / _BIN_YEARS) - 1, 0), BINS - 1)


def fit_age_table(ages_years: Sequence[float], verdicts: Sequence[Verdict], *, alpha: float = 1.0) -> AgeTable:
    """Malignant fraction per bin with Laplace smoothing, so that no bin says 0 or 1 and an empty one says 1/2."""
    malignant, total = [0] * BINS, [0] * BINS
    for age, verdict in zip(ages_years, verdicts, strict=True):
        total[age_bin(age)] += 1
        malignant[age_bin(age)] += verdict is Verdict.MALIGNANT
    return AgeTable(tuple((m + alpha) / (n + 2 * alpha) for m, n in zip(malignant, total, strict=True)))


def blended_age_table(
    parent: AgeTable, ages_years: Sequence[float], verdicts: Sequence[Verdict], *, parent_patients: float
) -> AgeTable:
    """The table of these patients, with the parent's counting as `parent_patients` more patients in each bin.

    A bin without patients keeps the parent's value; with as many as `parent_patients` it stands halfway.
    """
    fitted = fit_age_table(ages_years, verdicts)
    counts = Counter(map(age_bin, ages_years))
    return AgeTable(
        tuple(
            before + (own - before) * counts[number] / (counts[number] + parent_patients)
            for number, (own, before) in enumerate(zip(fitted.malignant, parent.malignant, strict=True))
        )
    )
