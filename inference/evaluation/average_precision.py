"""Average precision of a detector: one class, one overlap, all images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.evaluation.boxes import ImageBoxes, overlaps
from inference.evaluation.intervals import Estimate, Resampling, Statistic, Weights

AP_IOU: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Detections of all images, best first, and how many boxes each patient has."""

    is_match: NDArray[np.bool_]
    patient: NDArray[np.intp]
    labelled: NDArray[np.float64]  # (patients,)


def average_precision(
    images: Sequence[ImageBoxes], patients: Resampling, *, overlap: float = AP_IOU
) -> Estimate | None:
    """Area under the precision-recall curve, precision made to fall; None when no box is labelled.

    In each image the best detection comes first and takes the free labelled box that it overlaps most; a second
    detection of a box is false. All recall points count. Sources: PASCAL VOC since 2010 (Everingham 2010) for the
    area; COCO for the matching.
    """
    areas = _statistic(images, patients, overlap)
    return None if areas is None else patients.estimate(areas)


def class_precisions(
    classes: Sequence[Sequence[ImageBoxes]], patients: Resampling, *, overlap: float = AP_IOU
) -> tuple[tuple[Estimate | None, ...], Estimate | None]:
    """The average precision of each class, and their mean on the same resamples; None where no box is labelled."""
    areas = [_statistic(images, patients, overlap) for images in classes]
    known = [one for one in areas if one is not None]
    if len(known) < len(areas):
        return tuple(None if one is None else patients.estimate(one) for one in areas), None

    def with_mean(weights: Weights) -> NDArray[np.float64]:
        each = np.stack([one(weights) for one in known], axis=1)
        return np.column_stack((each, each.mean(axis=1)))

    *each, mean = patients.estimates(with_mean)
    return tuple(each), mean


def _statistic(images: Sequence[ImageBoxes], patients: Resampling, overlap: float) -> Statistic | None:
    ranked = _rank(images, patients.patients, overlap)
    return (lambda weights: _areas(ranked, weights)) if ranked.labelled.any() else None


def _rank(images: Sequence[ImageBoxes], patients: int, overlap: float) -> _Ranked:
    labelled = np.zeros(patients)
    matches, scores, owners = [], [], []
    for image in images:
        labelled[image.patient] += len(image.labelled)
        matches += _matches(image, overlap)
        scores += [found.score for found in image.found]
        owners += [image.patient] * len(image.found)
    order = np.argsort(-np.array(scores, dtype=np.float64), kind="stable")
    return _Ranked(np.array(matches, dtype=np.bool_)[order], np.array(owners, dtype=np.intp)[order], labelled)


def _matches(image: ImageBoxes, overlap: float) -> list[bool]:
    """Whether each found box takes a labelled one."""
    is_match = [False] * len(image.found)
    if not image.labelled:
        return is_match
    ratios = overlaps(image.found, image.labelled)
    for index in sorted(range(len(image.found)), key=lambda i: -image.found[i].score):
        best = int(ratios[index].argmax())
        if ratios[index, best] >= overlap:
            is_match[index] = True
            ratios[:, best] = -1.0  # taken
    return is_match


def _areas(ranked: _Ranked, weights: Weights) -> NDArray[np.float64]:
    return np.array([_area(ranked, row) for row in weights])


def _area(ranked: _Ranked, weights: NDArray[np.float64]) -> float:
    total = float(weights @ ranked.labelled)
    if total <= 0.0:
        return float("nan")
    weight = weights[ranked.patient]
    right = weight * ranked.is_match
    counted = np.cumsum(weight)
    precision = np.divide(np.cumsum(right), counted, out=np.zeros_like(counted), where=counted > 0.0)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(right @ best_from_here) / total
