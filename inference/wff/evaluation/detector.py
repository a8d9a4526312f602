"""The detector alone: average precision per class, and FROC of the lesions as they are reported."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.evaluation.average_precision import average_precision, class_precisions
from inference.evaluation.boxes import ImageBoxes, ScoredBox
from inference.evaluation.froc import froc_per_image, froc_per_patient
from inference.evaluation.intervals import Estimate, Resampling, Weights
from inference.evaluation.results import DetectorResult
from inference.findings import Verdict
from inference.wff.evaluation.hits import HIT_IOU, count_boxes
from inference.wff.model import SliceBoxes
from inference.wff.patients import DetectedPatient
from inference.wff.reading import DetectedBox, lesions_of

_EVERY_SCORE: Final = 0.0

_Choice = Callable[[SliceBoxes], Sequence[DetectedBox]]


def evaluate_detector(detected: Sequence[DetectedPatient], *, tau: float, seed: int, resamples: int) -> DetectorResult:
    """All slices of all patients, lesion-free ones included. Needs benign and malignant patients."""
    patients = Resampling(
        [one.patient.verdict is Verdict.MALIGNANT for one in detected], seed=seed, resamples=resamples
    )
    classes = [_images(detected, _of_class(verdict), verdict) for verdict in (Verdict.BENIGN, Verdict.MALIGNANT)]
    (benign, malignant), mean_of_classes = class_precisions(classes, patients)
    lesions = _images(detected, _as_reported)
    counts = [(one.patient, count_boxes(one, tau)) for one in detected]
    labelled = [counted for patient, counted in counts if any(series.labelled_slices for series in patient.series)]
    return DetectorResult(
        benign=benign,
        malignant=malignant,
        either_class=average_precision(lesions, patients),
        mean_of_classes=mean_of_classes,
        hit_overlap=HIT_IOU,
        per_image=froc_per_image(lesions, patients, overlap=HIT_IOU),
        per_patient=froc_per_patient(lesions, patients, overlap=HIT_IOU),
        hit=sum(right > 0 for right, _, _ in labelled),
        labelled=len(labelled),
        false_boxes=sum(wrong for _, (_, wrong, _) in counts),
        false_boxes_lesion_free=sum(wrong for patient, (_, wrong, _) in counts if patient.verdict is None),
        false_boxes_per_lesion_free=_per_lesion_free(
            [wrong for _, (_, wrong, _) in counts], [patient.verdict is None for patient, _ in counts], patients
        ),
    )


def _per_lesion_free(wrong: Sequence[int], is_free: Sequence[bool], patients: Resampling) -> Estimate | None:
    """Mean number of false boxes; a resample without such a patient says nothing."""
    if not any(is_free):
        return None
    free = np.asarray(is_free, dtype=np.float64)
    boxes = np.asarray(wrong, dtype=np.float64) * free

    def means(weights: Weights) -> NDArray[np.float64]:
        count = weights @ free
        mean: NDArray[np.float64] = np.divide(weights @ boxes, count, out=np.full_like(count, np.nan), where=count > 0)
        return mean

    return patients.estimate(means)


def _images(
    detected: Sequence[DetectedPatient], choose: _Choice, labelled_class: Verdict | None = None
) -> list[ImageBoxes]:
    """`labelled_class`: only boxes of patients with this class are labelled; None: those of all."""
    return [
        ImageBoxes(
            patient=number,
            labelled=boxes if labelled_class is None or one.patient.verdict is labelled_class else (),
            found=tuple(ScoredBox(found.box, found.score) for found in choose(slice_boxes)),
        )
        for number, one in enumerate(detected)
        for series, found_in_series in zip(one.patient.series, one.found, strict=True)
        for boxes, slice_boxes in zip(series.boxes, found_in_series, strict=True)
    ]


def _of_class(verdict: Verdict) -> _Choice:
    return lambda boxes: [one for one in boxes if one.verdict is verdict]


def _as_reported(boxes: SliceBoxes) -> Sequence[DetectedBox]:
    """One box where both classes cover one place."""
    return lesions_of(boxes, _EVERY_SCORE)
