"""How well a model does on labelled patients, and the choice of tau and the weights on patients kept for that."""

from collections.abc import Callable, Container, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import TypeVar

import torch

from inference.datasets import LabelledPatient, LabelledSeries
from inference.evaluation.log_loss import log_loss as mean_log_loss
from inference.evaluation.metrics import Confusion, Rate, area_interval, area_under_roc, confusion
from inference.findings import SequenceKind, Verdict
from inference.wff.config import FusionConfig
from inference.wff.model import SliceBoxes, WffModel
from inference.wff.reading import ClipReading, PatientReading, lesions_of, overlap, read_patient, read_sequence

HIT_IOU = 0.3  # overlap from which a detection counts as the planted lesion
_TAUS = tuple(round(0.1 + 0.05 * n, 2) for n in range(17))
_LEAST_LESION_FREE = 10  # patients; a share of false alarms among fewer says next to nothing
_GRID = 20  # weights are multiples of 1/20: the grid step .05
_ROUNDING = 1e-9
_TOSSED = 0.5

_T = TypeVar("_T")
Progress = Callable[[], None]  # called after each patient


@dataclass(frozen=True, slots=True)
class DetectedPatient:
    """A labelled patient and what the detector found, per sequence and slice."""

    patient: LabelledPatient
    found: tuple[tuple[SliceBoxes, ...], ...]


@dataclass(frozen=True, slots=True)
class ClassifiedPatient:
    """A detected patient with what the sequence classifier said of each sequence at one tau; None: no slice votes."""

    detected: DetectedPatient
    clips: tuple[ClipReading | None, ...]
    age_probability: float | None

    @property
    def patient(self) -> LabelledPatient:
        return self.detected.patient

    def read(self, fusion: FusionConfig, kinds: Container[SequenceKind] = frozenset(SequenceKind)) -> PatientReading:
        """Fuse and vote as in the clinic; sequences of other kinds have no vote. `fusion` has the tau of the clips."""
        sequences = zip(self.patient.series, self.detected.found, self.clips, strict=True)
        return read_patient(
            [
                read_sequence(found, clip, self.age_probability, fusion)
                for series, found, clip in sequences
                if series.kind in kinds
            ]
        )


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
    progress: Progress | None = None,
) -> list[DetectedPatient]:
    """Detections of every slice. One process: this one, with the model as it is, on a GPU too.

    More: each has a copy of the model on the CPU and one thread.
    """
    if processes == 1:
        return _counted((_detected(model, patient) for patient in patients), progress)
    with ProcessPoolExecutor(processes, get_context("spawn"), _take_model, (model,)) as pool:
        return _counted(pool.map(_detect_patient, patients), progress)


_model_of_this_process: WffModel | None = None


def _take_model(model: WffModel) -> None:
    global _model_of_this_process
    torch.set_num_threads(1)
    _model_of_this_process = model


def _detect_patient(patient: LabelledPatient) -> DetectedPatient:
    if _model_of_this_process is None:
        raise RuntimeError("the pool was started without a model")
    return _detected(_model_of_this_process, patient)


def _detected(model: WffModel, patient: LabelledPatient) -> DetectedPatient:
    return DetectedPatient(patient, tuple(model.detect(series.images()) for series in patient.series))


def classify_all(
    model: WffModel, detected: Sequence[DetectedPatient], fusion: FusionConfig, *, progress: Progress | None = None
) -> list[ClassifiedPatient]:
    """One clip per sequence with a voting slice; of `fusion` only tau counts."""
    return _counted((_classified(model, one, fusion) for one in detected), progress)


def _classified(model: WffModel, one: DetectedPatient, fusion: FusionConfig) -> ClassifiedPatient:
    clips = model.classify([series.images() for series in one.patient.series], one.found, fusion)
    return ClassifiedPatient(one, tuple(clips), model.age_table.probability(one.patient.age_years))


def _counted(results: Iterable[_T], progress: Progress | None) -> list[_T]:
    done = []
    for one in results:
        done.append(one)
        if progress is not None:
            progress()
    return done


def read_all(model: WffModel, detected: Sequence[DetectedPatient], fusion: FusionConfig) -> list[PatientResult]:
    """Classify, fuse and vote as in the clinic, and compare with the truth."""
    return [_result(one, fusion) for one in classify_all(model, detected, fusion)]


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


def _result(one: ClassifiedPatient, fusion: FusionConfig) -> PatientResult:
    vote = one.read(fusion).vote
    right, wrong, _ = count_boxes(one.detected, fusion.tau)
    return PatientResult(
        patient_id=one.patient.patient_id,
        truth=one.patient.verdict,
        said=None if vote is None else vote.verdict,
        score=0.0 if vote is None else vote.mean,
        hit=right > 0,
        false_boxes=wrong,
    )


def _f1_of_boxes(detected: Sequence[DetectedPatient], tau: float) -> float:
    """Of planted boxes: a second detection on one is neither right nor wrong."""
    counts = [count_boxes(one, tau) for one in detected]
    wrong, missed = sum(wrong for _, wrong, _ in counts), sum(missed for _, _, missed in counts)
    found = sum(len(boxes) for one in detected for series in one.patient.series for boxes in series.boxes) - missed
    return 2 * found / max(1, 2 * found + wrong + missed)


def count_boxes(one: DetectedPatient, tau: float) -> tuple[int, int, int]:
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
