"""Item (i): does each sequence tell what was planted to be seen on it, and no more?"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.datasets import LabelledPatient
from inference.evaluation.intervals import Estimate, Weights
from inference.findings import SequenceKind
from inference.phantom.law import PhantomTruth, Sign, sign_log_odds, sign_rates
from inference.wff.phantom_verification.areas import SamePatients, same_patients
from inference.wff.phantom_verification.cohorts import PLAIN, is_malignant
from inference.wff.phantom_verification.findings import Finding, Item, from_estimate
from inference.wff.phantom_verification.scale import Scale
from inference.wff.phantom_verification.trainings import Readings, score

# By the signal equations of the phantom's tissues: on T1 all lesions that are not dark are alike, with fat suppression
# the dark ones on T1 are as bright as the others. Shape and texture show everywhere.
HIDDEN: Final[Mapping[SequenceKind, frozenset[Sign]]] = {
    SequenceKind.T1: frozenset({Sign.FS_BRIGHT}),
    SequenceKind.T2: frozenset(),
    SequenceKind.T2FS: frozenset({Sign.T1_DARK}),
}
_CERTAIN: Final = 1e-4
_RIDGE: Final = 1e-6  # a resample may hold a sign never
Logits = NDArray[np.float64]


def sequences(
    scale: Scale, readings: Sequence[Readings], lesions: Sequence[LabelledPatient], truths: Sequence[PhantomTruth]
) -> list[Finding]:
    """Patients of difficulty 1 whose lesion every kind shows."""
    whole = [n for n, one in enumerate(readings) if all(kind in one for kind in SequenceKind)]
    readings, truths = [readings[n] for n in whole], [truths[n] for n in whole]
    patients = same_patients(is_malignant([lesions[n] for n in whole]), seed=scale.seed, resamples=scale.resamples)
    signs = np.array([[truth.signs[sign] for sign in Sign] for truth in truths], dtype=np.float64)
    logits = {kind: np.array([_logit(one[kind]) for one in readings]) for kind in SequenceKind}
    t1, fs = SequenceKind.T1, SequenceKind.T2FS
    return [
        *_effects(patients, signs, logits[t1], logits[fs]),
        *(_alone(patients, readings, signs, kind) for kind in SequenceKind),
    ]


def visible_log_odds(signs: NDArray[np.float64], kind: SequenceKind) -> Logits:
    """(n, 9) signs -> (n,) of the oracle that sees those signs alone which show on this kind."""
    rates = sign_rates(PLAIN)
    hidden = np.array([sign in HIDDEN[kind] for sign in Sign])
    whole = sign_log_odds(signs.astype(np.bool_), difficulty=PLAIN)
    present, absent = np.log(rates[:, 0] / rates[:, 1]), np.log((1.0 - rates[:, 0]) / (1.0 - rates[:, 1]))
    unseen: Logits = np.where(signs.astype(np.bool_), present, absent)[:, hidden].sum(axis=1)
    return whole - unseen


def _effects(patients: SamePatients, signs: NDArray[np.float64], t1: Logits, fs: Logits) -> list[Finding]:
    """What a sign adds to the logit on the kind that shows it, less what it adds on the kind that hides it."""
    dark, bright = (1 + list(Sign).index(sign) for sign in (Sign.T1_DARK, Sign.FS_BRIGHT))

    def estimate(logits: Logits, column: int) -> Estimate:
        return patients.resampling.estimate(lambda weights: _slopes_of(signs, logits, weights)[:, column])

    on_t1, on_fs = estimate(t1 - fs, dark), estimate(fs - t1, bright)
    adds = "adds to the logit on"
    return [
        from_estimate(
            Item.SEQUENCES,
            f"what t1_dark {adds} T1, less on T2FS",
            on_t1,
            "interval above 0",
            holds=on_t1.low > 0.0,
            beside=f"{len(signs)} patients; T1 {estimate(t1, dark)}, T2FS {estimate(fs, dark)}",
        ),
        from_estimate(
            Item.SEQUENCES,
            f"what fs_bright {adds} T2FS, less on T1",
            on_fs,
            "interval above 0",
            holds=on_fs.low > 0.0,
            beside=f"T2FS {estimate(fs, bright)}, T1 {estimate(t1, bright)}",
        ),
    ]


def _alone(
    patients: SamePatients, readings: Sequence[Readings], signs: NDArray[np.float64], kind: SequenceKind
) -> Finding:
    model = [score(one, (kind,)) for one in readings]
    oracle = visible_log_odds(signs, kind).tolist()
    above = patients.difference(model, oracle)
    return from_estimate(
        Item.SEQUENCES,
        f"AUC on {kind} alone less that of the oracle that sees the signs shown on it",
        above,
        "not above 0",
        holds=above.low <= 0.0,
        beside=f"{patients.area(model)}, oracle {patients.area(oracle)}, hidden: {', '.join(HIDDEN[kind]) or 'none'}",
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
