"""Item (e): does the age module learn the law of the phantom, and does the age help as much as it can?"""

from collections.abc import Sequence
from typing import Final

from scipy.stats import binom

from inference.datasets import LabelledPatient
from inference.evaluation.metrics import Rate
from inference.findings import Verdict
from inference.phantom.law import AGE_TABLE
from inference.wff.age import AgeTable, age_bin
from inference.wff.evaluation.strategies import strategies_of
from inference.wff.phantom_verification.areas import same_patients
from inference.wff.phantom_verification.cohorts import Cohort, is_malignant
from inference.wff.phantom_verification.findings import Finding, Item, from_estimate
from inference.wff.phantom_verification.items_verdict import oracle_scores
from inference.wff.phantom_verification.scale import Scale
from inference.wff.phantom_verification.trainings import Framework

_DETECTOR: Final = "Det"
_WITH_AGE: Final = "Det-Age"


def age_module(scale: Scale, whole: Framework, training: Cohort, held_out: Cohort) -> list[Finding]:
    return [_recovered(whole.model.age_table, training.patients), _gain(scale, whole, held_out)]


def _recovered(table: AgeTable, patients: Sequence[LabelledPatient]) -> Finding:
    """A group counts when what was learned and what is true both lie in the interval of what was seen."""
    rates = {group: rate for group in range(len(AGE_TABLE)) if (rate := _seen(patients, group)) is not None}
    inside = [group for group, rate in rates.items() if _within(rate, AGE_TABLE[group], table.malignant[group])]
    told = "; ".join(
        f"{_years(group)}: learned {table.malignant[group]:.2f}, true {AGE_TABLE[group]:.2f}, "
        f"seen {rate.interval[0]:.2f}-{rate.interval[1]:.2f}"
        for group, rate in rates.items()
    )
    outside = [_years(group) for group in rates if group not in inside]
    most = _most_by_chance(len(rates))
    return Finding(
        item=Item.AGE,
        what="age groups whose learned and true malignant share lie in the Wilson interval of the training patients",
        value=len(inside) / len(rates),
        low=None,
        high=None,
        bound=f"at most {most} of {len(rates)} outside, which chance alone may do",
        holds=len(outside) <= most,
        beside=f"outside: {', '.join(outside) or 'none'}; {told}",
    )


def _most_by_chance(groups: int) -> int:
    """Of so many 95 % intervals this many may miss what is true before it is no chance any more (p < .05)."""
    return next(n for n in range(groups + 1) if binom.sf(n, groups, 0.05) < 0.05)


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


def _within(rate: Rate, *shares: float) -> bool:
    low, high = rate.interval
    return all(low <= share <= high for share in shares)


def _years(group: int) -> str:
    return f"{10 * group + 1 if group else 0}-{10 * group + 10}"
