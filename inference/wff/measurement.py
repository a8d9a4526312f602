"""How well a model does on labelled patients, and the choice of tau and the weights on patients kept for that."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import torch

from inference.datasets import LabelledPatient, LabelledSeries
from inference.evaluation.metrics import Confusion, Rate, area_interval, area_under_roc, confusion
from inference.findings import Verdict
from inference.wff.config import FusionConfig
from inference.wff.fusion import Vote
from inference.wff.model import SliceBoxes, WffModel
from inference.wff.reading import ClipReading, PatientReading, lesions_of, overlap, read_patient, read_sequence

HIT_IOU = 0.3  # overlap from which a detection counts as the planted lesion
_TAUS = tuple(round(0.1 + 0.05 * n, 2) for n in range(17))
_GRID = 20  # weights are multiples of 1/20: the grid step .05
_CERTAIN = 1e-3  # log loss of a wrong certainty stays finite


@dataclass(frozen=True, slots=True)
class DetectedPatient:
    """A labelled patient and what the detector found, per sequence and slice."""

    patient: LabelledPatient
    found: tuple[tuple[SliceBoxes, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientResult:
    patient_id: str
    truth: Verdict | None
    said: Verdict | None  # None: no lesion detected
    score: float  # malignant probability; 0 when nothing was detected
    hit: bool  # some detection lies on a planted box
    false_boxes: int  # detections on no planted box


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Numbers over patients. A patient with a lesion but no detection counts as called benign."""

    hit: Rate
    decision: Confusion
    area: float
    area_interval: tuple[float, float]
    undetected: int  # patients with a lesion and no detection
    lesion_free: int
    lesion_free_alarmed: int  # lesion-free patients with any detection
    false_boxes_lesion_free: int

    @property
    def false_boxes_per_lesion_free(self) -> float | None:
        return self.false_boxes_lesion_free / self.lesion_free if self.lesion_free else None


def detect_all(
    model: WffModel,
    patients: Sequence[LabelledPatient],
    *,
    processes: int = 1,
    progress: Callable[[], None] | None = None,
) -> list[DetectedPatient]:
    """Detections of every slice; each process has its own copy of the model and one thread."""
    detected = []
    with ProcessPoolExecutor(processes, get_context("spawn"), _take_model, (model,)) as pool:
        for one in pool.map(_detect_patient, patients):
            detected.append(one)
            if progress is not None:
                progress()
    return detected


_model_of_this_process: WffModel | None = None


def _take_model(model: WffModel) -> None:
    global _model_of_this_process
    torch.set_num_threads(1)
    _model_of_this_process = model


def _detect_patient(patient: LabelledPatient) -> DetectedPatient:
    if _model_of_this_process is None:
        raise RuntimeError("the pool was started without a model")
    return DetectedPatient(patient, tuple(_model_of_this_process.detect(s.images()) for s in patient.series))


def read_all(model: WffModel, detected: Sequence[DetectedPatient], fusion: FusionConfig) -> list[PatientResult]:
    """Classify, fuse and vote as in the clinic, and compare with the truth."""
    return [_result(one, _read(model, one, _clips(model, one, fusion), fusion), fusion.tau) for one in detected]


def measure(results: Sequence[PatientResult], *, seed: int) -> Measured:
    """Needs benign and malignant patients. `seed` is of the bootstrap."""
    with_lesion = [r for r in results if r.truth is not None]
    lesion_free = [r for r in results if r.truth is None]
    truth = [r.truth is Verdict.MALIGNANT for r in with_lesion]
    scores = [r.score for r in with_lesion]
    return Measured(
        hit=Rate(sum(r.hit for r in with_lesion), len(with_lesion)),
        decision=confusion([r.said is Verdict.MALIGNANT for r in with_lesion], truth),
        area=area_under_roc(scores, truth),
        area_interval=area_interval(scores, truth, seed=seed),
        undetected=sum(r.said is None for r in with_lesion),
        lesion_free=len(lesion_free),
        lesion_free_alarmed=sum(r.said is not None for r in lesion_free),
        false_boxes_lesion_free=sum(r.false_boxes for r in lesion_free),
    )


def choose_tau(detected: Sequence[DetectedPatient]) -> float:
    """The threshold that best parts patients with a lesion that is hit from lesion-free patients with a false alarm.

    That is the largest difference of the two rates; of equal ones the best F1 of boxes over all slices. Chosen by
    patient, because the first thing a case says is whether there is a lesion at all.
    """
    return max(_TAUS, key=lambda tau: (_hit_minus_alarm(detected, tau), _f1_of_boxes(detected, tau)))


def _hit_minus_alarm(detected: Sequence[DetectedPatient], tau: float) -> float:
    counts = [(one.patient.verdict is not None, _count_boxes(one, tau)) for one in detected]
    hits = [right > 0 for with_lesion, (right, _, _) in counts if with_lesion]
    alarms = [wrong > 0 for with_lesion, (_, wrong, _) in counts if not with_lesion]
    return sum(hits) / max(1, len(hits)) - sum(alarms) / max(1, len(alarms))


def choose_weights(model: WffModel, detected: Sequence[DetectedPatient], tau: float) -> FusionConfig:
    """The weights of Eq. 1, in steps of .05, with the least log loss of the patient's probability."""
    base = replace(model.config.fusion, tau=tau)
    with_lesion = [d for d in detected if d.patient.verdict is not None]
    clips = [_clips(model, d, base) for d in with_lesion]

    def log_loss(fusion: FusionConfig) -> float:
        losses = []
        for one, its_clips in zip(with_lesion, clips, strict=True):
            vote = _read(model, one, its_clips, fusion).vote
            if vote is not None:
                losses.append(_log_loss(vote, one.patient.verdict is Verdict.MALIGNANT))
        return sum(losses) / max(1, len(losses))

    return min((replace(base, **weights) for weights in _weight_grid()), key=log_loss)


def _weight_grid() -> list[dict[str, float]]:
    """All weights of detector, sequence and age that sum to 1 and leave the images a say."""
    return [
        {"lambda_detector": d / _GRID, "lambda_sequence": s / _GRID, "lambda_age": (_GRID - d - s) / _GRID}
        for d in range(_GRID + 1)
        for s in range(_GRID + 1 - d)
        if d + s > 0
    ]


def _log_loss(vote: Vote, malignant: bool) -> float:
    p = min(max(vote.mean, _CERTAIN), 1.0 - _CERTAIN)
    return -math.log(p if malignant else 1.0 - p)


def _clips(model: WffModel, one: DetectedPatient, fusion: FusionConfig) -> list[ClipReading | None]:
    return model.classify([s.images() for s in one.patient.series], one.found, fusion)


def _read(
    model: WffModel, one: DetectedPatient, clips: Sequence[ClipReading | None], fusion: FusionConfig
) -> PatientReading:
    age = model.age_table.probability(one.patient.age_years)
    return read_patient([read_sequence(f, c, age, fusion) for f, c in zip(one.found, clips, strict=True)])


def _result(one: DetectedPatient, reading: PatientReading, tau: float) -> PatientResult:
    right, wrong, _ = _count_boxes(one, tau)
    return PatientResult(
        patient_id=one.patient.patient_id,
        truth=one.patient.verdict,
        said=None if reading.vote is None else reading.vote.verdict,
        score=0.0 if reading.vote is None else reading.vote.mean,
        hit=right > 0,
        false_boxes=wrong,
    )


def _f1_of_boxes(detected: Sequence[DetectedPatient], tau: float) -> float:
    counts = [_count_boxes(one, tau) for one in detected]
    right, wrong, missed = (sum(c[n] for c in counts) for n in range(3))
    return 2 * right / max(1, 2 * right + wrong + missed)


def _count_boxes(one: DetectedPatient, tau: float) -> tuple[int, int, int]:
    """Detections on a planted box, detections on none, planted boxes without detection."""
    right = wrong = missed = 0
    for series, found in zip(one.patient.series, one.found, strict=True):
        for r, w, m in (_count_slice(series, index, boxes, tau) for index, boxes in enumerate(found)):
            right, wrong, missed = right + r, wrong + w, missed + m
    return right, wrong, missed


def _count_slice(series: LabelledSeries, index: int, boxes: SliceBoxes, tau: float) -> tuple[int, int, int]:
    found = lesions_of(boxes, tau)
    planted = series.boxes[index]
    right = sum(any(overlap(f.box, p) >= HIT_IOU for p in planted) for f in found)
    missed = sum(all(overlap(f.box, p) < HIT_IOU for f in found) for p in planted)
    return right, len(found) - right, missed
