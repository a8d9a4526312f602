"""What would have changed a decision: the same evidence, read again with one thing altered."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations

from inference.findings import Verdict
from inference.wff.explanation.arithmetic import Evidence, TermName
from inference.wff.fusion import Vote, vote_of_sequences
from inference.wff.reading import PatientReading

TAU_STEPS = (-0.20, -0.10, -0.05, 0.05, 0.10, 0.20)
_LEAST_TAU, _MOST_TAU = 0.01, 0.99
_HALVINGS = 30  # of the interval in which the age term is sought: far finer than anybody reads


class Change(StrEnum):
    WITHOUT_TERM = "without_term"  # Eq. 1 without one of its voices
    WITHOUT_SEQUENCE = "without_sequence"
    OTHER_VOTE = "other_vote"  # one sequence votes the other way, its mean as it is
    THRESHOLD = "threshold"  # another tau, with the clips that it gives


@dataclass(frozen=True, slots=True)
class Outcome:
    """None: no lesion detected, so no verdict."""

    verdict: Verdict | None
    probability: float | None
    tie: bool


@dataclass(frozen=True, slots=True)
class WhatIf:
    change: Change
    subject: TermName | int | float  # the term, the place of the sequence, or tau
    outcome: Outcome
    changes_the_decision: bool


@dataclass(frozen=True, slots=True)
class AgeWhatIf:
    """What the age term alone could have done; A is the malignant fraction of the patient's age group."""

    turning_point: float | None  # the nearest A with another verdict; None: no age changes it
    groups: tuple[Outcome, ...]  # with the A of each group of the table


@dataclass(frozen=True, slots=True)
class WhatIfs:
    decided: Outcome
    changes: tuple[WhatIf, ...]
    age: AgeWhatIf | None  # None: the age has no weight, or nothing voted
    fewest_votes: int | None  # sequences that must vote the other way before the decision changes


def what_ifs(evidence: Evidence, *, at_tau: Callable[[float], Evidence], age_table: Sequence[float]) -> WhatIfs:
    """`at_tau` gives the evidence at another threshold: other images vote there, and clips are cut anew."""
    reading = evidence.read()
    decided = _outcome(reading.vote)
    altered = [
        *_without_terms(evidence),
        *_without_sequences(evidence, reading),
        *_other_votes(reading),
        *_thresholds(evidence.fusion.tau, at_tau),
    ]
    return WhatIfs(
        decided=decided,
        changes=tuple(
            WhatIf(change, subject, outcome, outcome.verdict is not decided.verdict)
            for change, subject, outcome in altered
        ),
        age=_age(evidence, age_table, decided),
        fewest_votes=_fewest_votes(reading),
    )


_Altered = tuple[Change, TermName | int | float, Outcome]


def _without_terms(evidence: Evidence) -> Iterator[_Altered]:
    """Each voice that counts, where another one is left that counts."""
    fusion = evidence.fusion
    weights = {
        TermName.DETECTOR: fusion.lambda_detector,
        TermName.SEQUENCE: fusion.lambda_sequence,
        TermName.AGE: 0.0 if evidence.age_probability is None else fusion.lambda_age,
    }
    counting = [name for name, weight in weights.items() if weight > 0.0]
    for name in counting if len(counting) > 1 else ():
        left = replace(fusion, **{f"lambda_{name}": 0.0})
        yield Change.WITHOUT_TERM, name, _outcome(replace(evidence, fusion=left).read().vote)


def _without_sequences(evidence: Evidence, reading: PatientReading) -> Iterator[_Altered]:
    for place, sequence in enumerate(reading.sequences):
        if sequence.vote is not None:
            others = tuple(one for n, one in enumerate(evidence.sequences) if n != place)
            yield Change.WITHOUT_SEQUENCE, place, _outcome(replace(evidence, sequences=others).read().vote)


def _other_votes(reading: PatientReading) -> Iterator[_Altered]:
    for place, sequence in enumerate(reading.sequences):
        if sequence.vote is not None:
            yield Change.OTHER_VOTE, place, _outcome(_with_other_votes(reading, {place}))


def _thresholds(tau: float, at_tau: Callable[[float], Evidence]) -> Iterator[_Altered]:
    for step in TAU_STEPS:
        other = round(tau + step, 6)
        if _LEAST_TAU <= other <= _MOST_TAU:
            yield Change.THRESHOLD, other, _outcome(at_tau(other).read().vote)


def _age(evidence: Evidence, table: Sequence[float], decided: Outcome) -> AgeWhatIf | None:
    if evidence.fusion.lambda_age <= 0.0 or decided.verdict is None:
        return None
    groups = tuple(_outcome(evidence.with_age(probability).read().vote) for probability in table)
    if evidence.age_probability is None:
        return AgeWhatIf(None, groups)
    return AgeWhatIf(_turning_point(evidence, evidence.age_probability, decided), groups)


def _turning_point(evidence: Evidence, age: float, decided: Outcome) -> float | None:
    """By halving: more of A never makes an image, and so never the patient, less malignant."""

    def turns(probability: float) -> bool:
        vote = evidence.with_age(probability).read().vote
        return vote is not None and vote.verdict is not decided.verdict

    end = 0.0 if decided.verdict is Verdict.MALIGNANT else 1.0
    if not turns(end):
        return None
    same, other = age, end
    for _ in range(_HALVINGS):
        middle = 0.5 * (same + other)
        if turns(middle):
            other = middle
        else:
            same = middle
    return other


def _fewest_votes(reading: PatientReading) -> int | None:
    if reading.vote is None:
        return None
    voting = [place for place, sequence in enumerate(reading.sequences) if sequence.vote is not None]
    for count in range(1, len(voting) + 1):
        for chosen in combinations(voting, count):
            vote = _with_other_votes(reading, set(chosen))
            if vote is not None and vote.verdict is not reading.vote.verdict:
                return count
    return None


def _with_other_votes(reading: PatientReading, places: set[int]) -> Vote | None:
    votes = [
        (replace(sequence.vote, verdict=_other(sequence.vote.verdict)) if place in places else sequence.vote)
        for place, sequence in enumerate(reading.sequences)
        if sequence.vote is not None
    ]
    return vote_of_sequences(votes)


def _other(verdict: Verdict) -> Verdict:
    return Verdict.BENIGN if verdict is Verdict.MALIGNANT else Verdict.MALIGNANT


def _outcome(vote: Vote | None) -> Outcome:
    return Outcome(None, None, tie=False) if vote is None else Outcome(vote.verdict, vote.mean, vote.tie)
