"""The choice of tau and of the weights of Eq. 1, on patients whom the networks have not learned from."""

from collections.abc import Sequence
from dataclasses import replace

from inference.evaluation.log_loss import log_loss as mean_log_loss
from inference.findings import Verdict
from inference.wff.config import FusionConfig
from inference.wff.evaluation.hits import count_boxes
from inference.wff.patients import ClassifiedPatient, DetectedPatient

_TAUS = tuple(round(0.1 + 0.05 * n, 2) for n in range(17))
_LEAST_LESION_FREE = 10  # patients; a share of false alarms among fewer says next to nothing
_GRID = 20  # weights are multiples of 1/20: the grid step .05
_ROUNDING = 1e-9
_TOSSED = 0.5


def choose_tau(detected: Sequence[DetectedPatient]) -> float:
    """The threshold that best parts patients with a lesion that is hit from lesion-free patients with a false alarm.

    That is the largest difference of the two rates: by patient, because the first thing a case says is whether there
    is a lesion at all. Of thresholds that differ by no more than one patient with a lesion, and of all where there are
    fewer than 10 lesion-free patients, the best F1 of boxes over all slices is taken: it counts the false boxes of
    patients with a lesion too, so that one lesion that is hardly seen lets no flood of boxes in. A choice of ours.
    """
    with_lesion = sum(one.patient.verdict is not None for one in detected)
    near = list(_TAUS)
    if len(detected) - with_lesion >= _LEAST_LESION_FREE:
        parted = {tau: _hit_minus_alarm(detected, tau) for tau in _TAUS}
        one_patient = 1.0 / max(1, with_lesion) + _ROUNDING
        near = [tau for tau in _TAUS if parted[tau] >= max(parted.values()) - one_patient]
    return max(near, key=lambda tau: _f1_of_boxes(detected, tau))


def _hit_minus_alarm(detected: Sequence[DetectedPatient], tau: float) -> float:
    counts = [(one.patient.verdict is not None, count_boxes(one, tau)) for one in detected]
    hits = [right > 0 for with_lesion, (right, _, _) in counts if with_lesion]
    alarms = [wrong > 0 for with_lesion, (_, wrong, _) in counts if not with_lesion]
    return sum(hits) / max(1, len(hits)) - sum(alarms) / max(1, len(alarms))


def weights_with_least_loss(classified: Sequence[ClassifiedPatient], base: FusionConfig) -> FusionConfig:
    """`base` with the weights of Eq. 1, in steps of .05, that have the least log loss of the patient's probability.

    The patients may have been read by several models (out of fold).
    """
    weighed = (replace(base, **weights) for weights in _weight_grid())
    return min(weighed, key=lambda fusion: log_loss(classified, fusion))


def log_loss(classified: Sequence[ClassifiedPatient], fusion: FusionConfig) -> float:
    """Mean over patients with a lesion; one without a detection counts as a coin that was tossed: ln 2.

    Needs at least one patient with a lesion.
    """
    with_lesion = [one for one in classified if one.patient.verdict is not None]
    votes = [one.read(fusion).vote for one in with_lesion]
    return mean_log_loss(
        [_TOSSED if vote is None else vote.mean for vote in votes],
        [one.patient.verdict is Verdict.MALIGNANT for one in with_lesion],
    )


def _weight_grid() -> list[dict[str, float]]:
    """All weights of detector, sequence and age that sum to 1 and leave the images a say."""
    return [
        {"lambda_detector": d / _GRID, "lambda_sequence": s / _GRID, "lambda_age": (_GRID - d - s) / _GRID}
        for d in range(_GRID + 1)
        for s in range(_GRID + 1 - d)
        if d + s > 0
    ]


def _f1_of_boxes(detected: Sequence[DetectedPatient], tau: float) -> float:
    """Of planted boxes: a second detection on one is neither right nor wrong."""
    counts = [count_boxes(one, tau) for one in detected]
    wrong, missed = sum(wrong for _, wrong, _ in counts), sum(missed for _, _, missed in counts)
    found = sum(len(boxes) for one in detected for series in one.patient.series for boxes in series.boxes) - missed
    return 2 * found / max(1, 2 * found + wrong + missed)
