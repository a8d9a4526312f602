"""Site calibration: the probabilities and the age table of a trained model, fitted to a site's own labelled patients.

The networks, the threshold and the weights of Eq. 1 stay. What the site's patients change is judged on patients that
took no part in it, by cross-validation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from inference.errors import CalibrationError
from inference.evaluation.intervals import Estimate, Resampling
from inference.evaluation.log_loss import log_loss, log_losses
from inference.evaluation.metrics import Rate
from inference.evaluation.probability_calibration import ProbabilityCalibration, probability_calibration
from inference.findings import Verdict
from inference.wff.age import AgeTable, blended_age_table
from inference.wff.calibration.platt import LEAST_SLOPE, fit_platt
from inference.wff.config import FusionConfig
from inference.wff.patients import ClassifiedPatient
from inference.wff.reading import PatientReading

LEAST_OF_A_CLASS: Final = 10  # patients with a probability; fewer say next to nothing about two parameters
FOLDS: Final = 5
PARENT_PATIENTS: Final = 20  # as many patients the parent's age table counts for in each age group
_AT_BOUND: Final = 1.001


@dataclass(frozen=True, slots=True)
class SiteModel:
    """What a calibration sets."""

    fusion: FusionConfig
    age_table: AgeTable

    def read(self, case: ClassifiedPatient) -> PatientReading:
        return replace(case, age_probability=self.age_table.probability(case.patient.age_years)).read(self.fusion)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """The patients of the site with a verdict."""

    malignant: int
    benign: int
    undetected: int  # of them: no slice votes, so they have no probability; the decision counts as benign
    with_age: int

    @property
    def patients(self) -> int:
        return self.malignant + self.benign

    @property
    def malignant_share(self) -> float:
        """The case mix to which the probabilities are fitted."""
        return self.malignant / self.patients


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Of one model on the cases. `accuracy` is of all of them, the rest of those with a probability."""

    log_loss: float
    accuracy: Rate
    probabilities: ProbabilityCalibration


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteCalibration:
    """`before` is the parent; `after` is cross-validated: each patient is read by a model fitted to the others."""

    model: SiteModel  # fitted to all cases
    cases: Cases
    before: Quality
    after: Quality
    change: Estimate  # of the log loss, after - before of the same patients: paired bootstrap

    @property
    def is_worse(self) -> bool:
        """More than chance would have it: the whole interval of the change lies above 0."""
        return self.change.low > 0.0

    @property
    def is_better(self) -> bool:
        return self.change.high < 0.0

    @property
    def worth(self) -> str:
        """The change of the log loss in one sentence."""
        change = f"{self.change.value:+.4f} (95 % CI {self.change.low:+.4f} to {self.change.high:+.4f})"
        if self.is_better:
            return f"Cross-validated, the log loss falls: {change}."
        if self.is_worse:
            return f"Cross-validated, the log loss rises: {change}. The calibration makes the model worse."
        return f"Cross-validated, the log loss changes by {change}: these cases do not show that the calibration helps."


def calibrate(parent: SiteModel, patients: Sequence[ClassifiedPatient], *, seed: int = 0) -> SiteCalibration:
    """`patients` were classified at the parent's threshold; those without a verdict take no part. `seed` is of the
    folds and the bootstrap.

    Raises CalibrationError when a class has too few patients with a probability, or the parent's probability does
    not rise with malignancy.
    """
    cases = [one for one in patients if one.patient.verdict is not None]
    before = [parent.read(one) for one in cases]
    counted = _counted(cases, before)
    _require_enough(cases, before)
    held_out = _cross_validated(parent, cases, seed)
    fitted = _fitted(parent, cases)
    if fitted.fusion.calibration_slope < _AT_BOUND * LEAST_SLOPE:
        raise CalibrationError(
            f"on these {counted.patients} patients the model's probability does not rise with malignancy, so that no "
            "calibration can help; look at the labels, or train on cases of the site"
        )
    return SiteCalibration(
        model=fitted,
        cases=counted,
        before=_quality(cases, before, seed),
        after=_quality(cases, held_out, seed),
        change=_change(cases, before, held_out, seed),
    )


def _counted(cases: Sequence[ClassifiedPatient], readings: Sequence[PatientReading]) -> Cases:
    malignant = sum(map(_is_malignant, cases))
    return Cases(
        malignant=malignant,
        benign=len(cases) - malignant,
        undetected=sum(reading.vote is None for reading in readings),
        with_age=sum(one.patient.age_years is not None for one in cases),
    )


def _require_enough(cases: Sequence[ClassifiedPatient], readings: Sequence[PatientReading]) -> None:
    for verdict in Verdict:
        of_class = [r.vote is not None for c, r in zip(cases, readings, strict=True) if c.patient.verdict is verdict]
        if sum(of_class) < LEAST_OF_A_CLASS:
            undetected = of_class.count(False)
            beside = f", beside {undetected} in whom no lesion is detected" if undetected else ""
            raise CalibrationError(
                f"the data set has {sum(of_class)} {verdict} patients with a probability{beside}; calibration needs "
                f"{LEAST_OF_A_CLASS} of each class: label more patients"
            )


def _cross_validated(parent: SiteModel, cases: Sequence[ClassifiedPatient], seed: int) -> list[PatientReading]:
    """Each case as a model reads it that was fitted to the other folds."""
    folds = _folds(cases, seed)
    models = [_fitted(parent, [c for c, f in zip(cases, folds, strict=True) if f != fold]) for fold in range(FOLDS)]
    return [models[fold].read(case) for case, fold in zip(cases, folds, strict=True)]


def _folds(cases: Sequence[ClassifiedPatient], seed: int) -> list[int]:
    """The fold of each case; each class is dealt out evenly."""
    rng = np.random.default_rng(seed)
    folds = [0] * len(cases)
    dealt = 0
    for verdict in Verdict:
        members = [index for index, one in enumerate(cases) if one.patient.verdict is verdict]
        for index in rng.permutation(members).tolist():
            folds[index] = dealt % FOLDS
            dealt += 1
    return folds


def _fitted(parent: SiteModel, cases: Sequence[ClassifiedPatient]) -> SiteModel:
    """First the age table, which is a term of what is calibrated then. An earlier calibration is replaced."""
    aged = [(one.patient.age_years, one.patient.verdict) for one in cases]
    known = [(age, verdict) for age, verdict in aged if age is not None and verdict is not None]
    table = blended_age_table(
        parent.age_table, [age for age, _ in known], [verdict for _, verdict in known], parent_patients=PARENT_PATIENTS
    )
    plain = SiteModel(replace(parent.fusion, calibration_slope=1.0, calibration_intercept=0.0), table)
    read = [(plain.read(one), _is_malignant(one)) for one in cases]
    speaking = [(reading, malignant) for reading, malignant in read if reading.vote is not None]
    line = fit_platt([reading for reading, _ in speaking], [malignant for _, malignant in speaking])
    return SiteModel(replace(parent.fusion, calibration_slope=line.slope, calibration_intercept=line.intercept), table)


def _change(
    cases: Sequence[ClassifiedPatient], before: Sequence[PatientReading], after: Sequence[PatientReading], seed: int
) -> Estimate:
    """Of the mean log loss. Each patient is beside himself: how hard a case is falls out of the difference."""
    pairs = [
        (_is_malignant(case), old.vote.mean, new.vote.mean)
        for case, old, new in zip(cases, before, after, strict=True)
        if old.vote is not None and new.vote is not None
    ]
    truth = [malignant for malignant, _, _ in pairs]
    change = log_losses([new for _, _, new in pairs], truth) - log_losses([old for _, old, _ in pairs], truth)
    return Resampling(truth, seed=seed).estimate(lambda weights: weights @ change / weights.sum(axis=1))


def _quality(cases: Sequence[ClassifiedPatient], readings: Sequence[PatientReading], seed: int) -> Quality:
    said = list(zip(map(_is_malignant, cases), (reading.vote for reading in readings), strict=True))
    right = sum(malignant == (vote is not None and vote.verdict is Verdict.MALIGNANT) for malignant, vote in said)
    probabilities = [vote.mean for _, vote in said if vote is not None]
    truth = [malignant for malignant, vote in said if vote is not None]
    return Quality(
        log_loss=log_loss(probabilities, truth),
        accuracy=Rate(right, len(cases)),
        probabilities=probability_calibration(probabilities, truth, seed=seed),
    )


def _is_malignant(one: ClassifiedPatient) -> bool:
    return one.patient.verdict is Verdict.MALIGNANT
