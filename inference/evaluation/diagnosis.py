"""What was said of each patient, beside the truth, and how good that is. Malignant is positive."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.evaluation.intervals import Estimate, Resampling
from inference.evaluation.metrics import Confusion, Rate, areas_under_roc, confusion


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One patient with a lesion. Without a detection there is no probability, and the patient counts as called benign:
    nobody is dropped."""

    patient_id: str
    is_malignant: bool
    said_malignant: bool
    probability: float | None  # malignant; None: nothing was detected
    vote_fraction: float | None  # malignant votes of the slices / votes; None: nothing was detected

    @property
    def score(self) -> float:
        """For curves: the probability, 0 where nothing was detected."""
        return 0.0 if self.probability is None else self.probability

    @property
    def is_right(self) -> bool:
        return self.said_malignant is self.is_malignant


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """Intervals are bootstrap by patient, 95 %; of a rate of 0 or 1, where no resample differs, Wilson's."""

    counts: Confusion
    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    area: Estimate  # under the ROC curve of the mean probability
    area_of_votes: Estimate  # under the ROC curve of the fraction of malignant votes
    undetected: int  # patients without a detection, counted as called benign


def performance(diagnoses: Sequence[Diagnosis], patients: Resampling) -> Performance:
    """`patients` are resamples of the same patients in the same order."""
    truth = [one.is_malignant for one in diagnoses]
    right = [one.is_right for one in diagnoses]
    scores = [one.score for one in diagnoses]
    votes = [one.vote_fraction or 0.0 for one in diagnoses]
    return Performance(
        counts=confusion([one.said_malignant for one in diagnoses], truth),
        accuracy=_rate(patients, right),
        sensitivity=_rate(patients, right, truth),
        specificity=_rate(patients, right, [not malignant for malignant in truth]),
        area=patients.estimate(lambda weights: areas_under_roc(scores, truth, weights)),
        area_of_votes=patients.estimate(lambda weights: areas_under_roc(votes, truth, weights)),
        undetected=undetected(diagnoses),
    )


def _rate(patients: Resampling, hits: Sequence[bool], among: Sequence[bool] | None = None) -> Estimate:
    found = patients.rate(hits, among)
    if found.low < found.high:
        return found
    counted = hits if among is None else [hit for hit, wanted in zip(hits, among, strict=True) if wanted]
    return Estimate(found.value, *Rate(sum(counted), len(counted)).interval)


def undetected(diagnoses: Sequence[Diagnosis]) -> int:
    """Patients without a detection, who count as called benign; printed beside every table."""
    return sum(one.probability is None for one in diagnoses)
