"""The choice of tau and of the weights of Eq. 1, on patients whom the networks have not learned from."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from inference.evaluation.log_loss import log_loss as mean_log_loss
from inference.findings import Verdict
from inference.wff.config import FusionConfig
from inference.wff.evaluation.hits import count_boxes
from inference.wff.networks.batches import SliceBoxes
from inference.wff.patients import ClassifiedPatient, DetectedPatient
from inference.wff.reading import lesions_of

_TAUS = tuple(n / 100 for n in range(10, 100))
_MOST_FALSE_BOXES = 1.0  # per lesion-free patient
_LEAST_LESION_FREE = 10  # patients; false boxes of fewer say next to nothing
_GRID = 20  # weights are multiples of 1/20: the grid step .05
_ROUNDING = 1e-9
_TOSSED = 0.5


def choose_tau(detected: Sequence[DetectedPatient]) -> float:
    """The threshold that hits most patients' lesions with at most one false box, on average, in a lesion-free patient.

    That is the point of the FROC curve at one false positive per patient, by which detectors are compared: a lesion
    without a detection has no say in any vote, and a false box is seen by whoever reads the images. The mean of the
    lesion-free patients keeps to the limit with its standard error: a threshold that just keeps to it on these patients
    would exceed it on others every other time. Of thresholds that hit no more than one patient less, and of all where
    there are fewer than 10 lesion-free patients, the best F1 of boxes over all slices is taken: it counts the false
    boxes of patients with a lesion too, so that one lesion that is hardly seen lets no flood of boxes in. Where no
    threshold keeps to one false box, it is the highest. A choice of ours.
    """
    lesions = [replace(one, found=_lesions(one.found)) for one in detected]
    counts = {tau: _Counts.of(lesions, tau) for tau in _TAUS}
    near = list(_TAUS)
    if sum(one.patient.verdict is None for one in detected) >= _LEAST_LESION_FREE:
        quiet = [tau for tau in _TAUS if counts[tau].likely_false_boxes <= _MOST_FALSE_BOXES] or [_TAUS[-1]]
        most = max(counts[tau].hit for tau in quiet)
        near = [tau for tau in quiet if counts[tau].hit >= most - 1]
    return max(near, key=lambda tau: counts[tau].f1_of_boxes)


def _lesions(found: Sequence[Sequence[SliceBoxes]]) -> tuple[tuple[SliceBoxes, ...], ...]:
    """Joined once for all thresholds: a lesion stays what it is when it is joined again."""
    return tuple(tuple(lesions_of(boxes, _TAUS[0]) for boxes in slices) for slices in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """Over patients, at one threshold."""

    hit: int  # patients with a lesion that is hit
    likely_false_boxes: float  # per lesion-free patient: the mean and its standard error
    f1_of_boxes: float  # of planted boxes: a second detection on one is neither right nor wrong

    @classmethod
    def of(cls, detected: Sequence[DetectedPatient], tau: float) -> "_Counts":
        counts = [count_boxes(one, tau) for one in detected]
        wrong, missed = sum(wrong for _, wrong, _ in counts), sum(missed for _, _, missed in counts)
        planted = sum(len(boxes) for one in detected for series in one.patient.series for boxes in series.boxes)
        found = planted - missed
        free = [wrong for one, (_, wrong, _) in zip(detected, counts, strict=True) if one.patient.verdict is None]
        return cls(
            hit=sum(right > 0 for right, _, _ in counts),
            likely_false_boxes=_mean_and_error(free),
            f1_of_boxes=2 * found / max(1, 2 * found + wrong + missed),
        )


def _mean_and_error(counts: Sequence[int]) -> float:
    """The mean plus its standard error; 0 of fewer than two counts."""
    if len(counts) < 2:
        return 0.0
    return statistics.mean(counts) + statistics.stdev(counts) / math.sqrt(len(counts))


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
