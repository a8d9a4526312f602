"""Whether detections lie on planted or labelled lesions, and decisions beside the truth, over patients."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.datasets import LabelledSeries
from inference.evaluation.metrics import Confusion, Rate, area_interval, area_under_roc, confusion
from inference.findings import Verdict
from inference.wff.config import FusionConfig
from inference.wff.model import SliceBoxes, WffModel
from inference.wff.patients import ClassifiedPatient, DetectedPatient, classify_all
from inference.wff.reading import lesions_of

HIT_IOU = 0.3  # overlap from which a detection counts as the planted lesion


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
    right = sum(any(f.box.overlap(p) >= HIT_IOU for p in planted) for f in found)
    missed = sum(all(f.box.overlap(p) < HIT_IOU for f in found) for p in planted)
    return right, len(found) - right, missed
