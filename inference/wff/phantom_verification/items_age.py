"""Item (e): does the age module learn the law of the phantom, and does the age help as much as it can?"""

from collections.abc import Sequence
from typing import Final

from scipy.stats import norm

from inference.datasets import LabelledPatient
from inference.evaluation.metrics import Rate
from inference.findings import Verdict
from inference.phantom.law import AGE_TABLE
from inference.wff.age import AgeTable, age_bin
from inference.wff.evaluation.strategies import strategies_of
from inference.wff.phantom_verification.areas import same_patients
from inference.wff.phantom_verification.cohorts import Cohort, is_malignant
from inference.wff.phantom_verification.findings import Finding, Item, from_estimate, without_interval
from inference.wff.phantom_verification.items_verdict import oracle_scores
from inference.wff.phantom_verification.scale import Scale
from inference.wff.phantom_verification.trainings import Framework

_DETECTOR: Final = "Det"
_WITH_AGE: Final = "Det-Age"
_TOGETHER: Final = 0.95


def age_module(scale: Scale, whole: Framework, training: Cohort, held_out: Cohort) -> list[Finding]:
    return [_recovered(whole.model.age_table, training.patients), _gain(scale, whole, held_out)]


def _recovered(table: AgeTable, patients: Sequence[LabelledPatient]) -> Finding:
    """In every group what was learned and what is true both lie in the interval of what was seen.

    The intervals hold for all groups together (Sidak 1967): of nine single ones, one would miss in every third run.
    """
    rates = {group: rate for group in range(len(AGE_TABLE)) if (rate := _seen(patients, group)) is not None}
    z = float(norm.isf((1.0 - _TOGETHER ** (1.0 / len(rates))) / 2.0))
    seen = {group: rate.wilson(z) for group, rate in rates.items()}
    inside = [group for group in seen if _within(seen[group], AGE_TABLE[group], table.malignant[group])]
    told = "; ".join(
        f"{_years(group)}: learned {table.malignant[group]:.2f}, true {AGE_TABLE[group]:.2f}, seen {low:.2f}-{high:.2f}"
        for group, (low, high) in seen.items()
    )
    outside = [_years(group) for group in rates if group not in inside]
    return without_interval(
        Item.AGE,
        "age groups whose learned and true malignant share lie in the Wilson interval of the training patients: share",
        len(inside) / len(rates),
        "all; 95 % for all groups together",
        holds=not outside,
        beside=f"outside: {', '.join(outside) or 'none'}; {told}",
    )


def _gain(scale: Scale, whole: Framework, cohort: Cohort) -> Finding:
    with_lesion = [one for one in whole.held_out if one.patient.verdict is not None]
    truths = [cohort.truth_of(one.patient) for one in with_lesion]
    patients = same_patients(
        is_malignant([one.patient for one in with_lesion]), seed=scale.seed, resamples=scale.resamples
    )
    strategies = strategies_of(whole.fusion)
    alone, aged = (
        [0.0 if vote is None else vote.mean for one in with_lesion for vote in (one.read(strategies[name]).vote,)]
        for name in (_DETECTOR, _WITH_AGE)
    )
    gain = patients.difference(aged, alone)
    best = patients.difference(oracle_scores(truths, with_age=True), oracle_scores(truths))
    return from_estimate(
        Item.AGE,
        "AUC of Det-Age less that of Det",
        gain,
        "> 0, and its interval reaches the gain of the oracle",
        holds=gain.value > 0.0 and gain.high >= best.value,
        beside=f"oracle's gain {best}; Det {patients.area(alone)}, Det-Age {patients.area(aged)}; "
        "who sees fewer signs gains more from the age",
    )


def _seen(patients: Sequence[LabelledPatient], group: int) -> Rate | None:
    known = [(p.age_years, p.verdict) for p in patients if p.age_years is not None and p.verdict is not None]
    verdicts = [verdict for age, verdict in known if age_bin(age) == group]
    return Rate(verdicts.count(Verdict.MALIGNANT), len(verdicts)) if verdicts else None


def _within(interval: tuple[float, float], *shares: float) -> bool:
    low, high = interval
    return all(low <= share <= high for share in shares)


def _years(group: int) -> str:
    return f"{10 * group + 1 if group else 0}-{10 * group + 10}"
