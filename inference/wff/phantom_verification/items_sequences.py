"""Item (i): does each sequence tell what was planted to be seen on it, and no more?

What is to be seen on which kind is not declared here: it follows from the signal equations of the phantom (visibility).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.datasets import LabelledPatient
from inference.evaluation.intervals import Estimate, Weights
from inference.findings import SequenceKind
from inference.phantom.law import Sign
from inference.wff.phantom_verification.areas import SamePatients, same_patients
from inference.wff.phantom_verification.cohorts import is_malignant
from inference.wff.phantom_verification.findings import Finding, Item, from_estimate, without_interval
from inference.wff.phantom_verification.scale import Scale
from inference.wff.phantom_verification.trainings import Readings, score
from inference.wff.phantom_verification.visibility import SIGNAL_SIGNS, ShownLesion, Visibility

_CERTAIN: Final = 1e-4
_RIDGE: Final = 1e-6  # a resample may hold a sign never
Logits = NDArray[np.float64]
ByKind = Mapping[SequenceKind, Logits]


def sequences(
    scale: Scale, readings: Sequence[Readings], patients: Sequence[LabelledPatient], lesions: Sequence[ShownLesion]
) -> list[Finding]:
    """Patients of difficulty 1; those whose lesion every kind shows are taken. `lesions` are what was planted in them.

    `readings` are the ablations: what the sequence classifier says of each kind alone.
    """
    whole = [n for n, one in enumerate(readings) if all(kind in one for kind in SequenceKind)]
    shown, visibility = [lesions[n] for n in whole], Visibility()
    said = {kind: np.array([_logit(score(readings[n], (kind,))) for n in whole]) for kind in SequenceKind}
    oracles = {kind: visibility.log_odds(shown, kind) for kind in SequenceKind}
    same = same_patients(is_malignant([patients[n] for n in whole]), seed=scale.seed, resamples=scale.resamples)
    return [
        *(_effect(same, shown, sign, visibility, said, oracles) for sign in SIGNAL_SIGNS),
        *(_alone(same, kind, said[kind], oracles[kind]) for kind in SequenceKind),
        *_order(same, said, oracles),
    ]


def _effect(
    patients: SamePatients,
    shown: Sequence[ShownLesion],
    sign: Sign,
    visibility: Visibility,
    said: ByKind,
    oracles: ByKind,
) -> Finding:
    """What a sign adds to the logit on the kind that shows it best, less what it adds on the one that shows it least.

    Nobody can tell where the oracles of the two kinds themselves do not differ by more than chance.
    """
    signs = np.array([one.signs for one in shown], dtype=np.float64)
    column = 1 + list(Sign).index(sign)
    visible = {kind: visibility.of(sign, kind, sorted({one.site for one in shown})) for kind in SequenceKind}
    most, least = max(visible, key=lambda kind: visible[kind]), min(visible, key=lambda kind: visible[kind])

    def estimate(logits: Logits) -> Estimate:
        return patients.resampling.estimate(lambda weights: _slopes_of(signs, logits, weights)[:, column])

    more, expected = estimate(said[most] - said[least]), estimate(oracles[most] - oracles[least])
    seen = ", ".join(f"{kind} {visible[kind]:.2f}" for kind in SequenceKind)
    return from_estimate(
        Item.SEQUENCES,
        f"what {sign} adds to the logit on {most}, which shows it best, less on {least}",
        more,
        "interval above 0, as of the oracles",
        holds=more.low > 0.0,
        telling=expected.low > 0.0,
        beside=f"{len(shown)} patients; {most} {estimate(said[most])}, {least} {estimate(said[least])}; "
        f"oracles {expected}; shown by the equations, 0 not at all to 1 always: {seen}",
    )


def _alone(patients: SamePatients, kind: SequenceKind, said: Logits, oracle: Logits) -> Finding:
    above = patients.difference(said.tolist(), oracle.tolist())
    return from_estimate(
        Item.SEQUENCES,
        f"AUC on {kind} alone less that of the oracle that sees what {kind} shows",
        above,
        "not above 0",
        holds=above.low <= 0.0,
        beside=f"{patients.area(said.tolist())}, oracle {patients.area(oracle.tolist())}",
    )


def _order(patients: SamePatients, said: ByKind, oracles: ByKind) -> Iterator[Finding]:
    """A pair is judged where the oracles differ by more than the interval of the ablations is wide to one side.

    Nothing is said where no pair is.
    """
    told, wrong, judged = [], 0, 0
    for first, second in combinations(SequenceKind, 2):
        ours, best = (patients.difference(of[first].tolist(), of[second].tolist()) for of in (said, oracles))
        counts = abs(best.value) > (ours.high - ours.low) / 2.0
        judged += counts
        wrong += counts and ours.value * best.value <= 0.0
        told.append(f"{first} less {second}: {ours}, oracles {best.value:+.3f}{'' if counts else ', not judged'}")
    if judged:
        yield without_interval(
            Item.SEQUENCES,
            "pairs of kinds whose AUCs are not in the order of their oracles",
            float(wrong),
            "0 of those whose oracles differ by more than the interval",
            holds=not wrong,
            beside=f"{judged} judged; {'; '.join(told)}",
        )


def _slopes_of(signs: NDArray[np.float64], logits: Logits, weights: Weights) -> NDArray[np.float64]:
    """(resamples, 10)."""
    return np.array([_slopes(signs, logits, row) for row in weights])


def _slopes(signs: NDArray[np.float64], logits: Logits, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted least squares of the logit on all signs: intercept, then one slope per sign."""
    design = np.c_[np.ones(len(signs)), signs]
    weighted = design * weights[:, None]
    normal = weighted.T @ design + _RIDGE * np.eye(design.shape[1])
    slopes: NDArray[np.float64] = np.linalg.solve(normal, weighted.T @ logits)
    return slopes


def _logit(probability: float) -> float:
    doubtful = min(max(probability, _CERTAIN), 1.0 - _CERTAIN)
    return float(np.log(doubtful / (1.0 - doubtful)))
