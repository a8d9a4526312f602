"""FROC: how many lesions are found at how many false boxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.evaluation.boxes import ImageBoxes, overlaps
from inference.evaluation.intervals import Estimate, Resampling

RATES: Final = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # mean false boxes at which the sensitivity is told
_MOST_POINTS: Final = 400  # of the curve that is kept
_BELOW_ALL: Final = float(np.finfo(np.float64).min)  # but above -inf, the score of a target that was not found
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Froc:
    """A curve and its points. A detector that never makes that many false boxes keeps its last sensitivity."""

    unit: str  # "image" or "patient": of what the mean number of false boxes is taken
    units: int
    targets: int  # labelled boxes, or patients with a labelled box
    false_boxes: tuple[float, ...]  # mean per unit
    sensitivity: tuple[float, ...]
    at_rates: tuple[Estimate, ...]  # sensitivity at RATES
    mean_sensitivity: Estimate  # over RATES


@dataclass(frozen=True, slots=True)
class _Counted:
    """`target` scores are those of the best box on a target, -inf where there is none."""

    target: NDArray[np.float64]  # ascending
    target_patient: NDArray[np.intp]
    false: NDArray[np.float64]  # descending
    false_patient: NDArray[np.intp]
    units: NDArray[np.float64]  # (patients,)


def froc_per_image(images: Sequence[ImageBoxes], patients: Resampling, *, overlap: float) -> Froc | None:
    """Share of labelled boxes found, against mean false boxes per image. None: no box is labelled."""
    targets, false = _scores(images, overlap)
    units = np.bincount([image.patient for image in images], minlength=patients.patients)
    return _froc("image", targets, false, units, patients)


def froc_per_patient(images: Sequence[ImageBoxes], patients: Resampling, *, overlap: float) -> Froc | None:
    """Share of patients with a labelled box of whom at least one is found, against mean false boxes per patient."""
    targets, false = _scores(images, overlap)
    best: dict[int, float] = {}
    for patient, score in targets:
        best[patient] = max(score, best.get(patient, -np.inf))
    return _froc("patient", list(best.items()), false, np.ones(patients.patients), patients)


def _scores(images: Sequence[ImageBoxes], overlap: float) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """(patient, score) of every labelled box and of every found box on none; a second box on a lesion is neither.

    Source of this counting: LUNA16 (Setio 2017, Medical Image Analysis 42:1).
    """
    targets: list[tuple[int, float]] = []
    false: list[tuple[int, float]] = []
    for image in images:
        hits = overlaps(image.found, image.labelled) >= overlap
        scores = np.array([found.score for found in image.found])
        targets += [(image.patient, float(scores[hit].max(initial=-np.inf))) for hit in hits.T]
        false += [(image.patient, float(score)) for score in scores[~hits.any(axis=1)]]
    return targets, false


def _froc(
    unit: str,
    targets: Sequence[tuple[int, float]],
    false: Sequence[tuple[int, float]],
    units: NDArray[np.number],
    patients: Resampling,
) -> Froc | None:
    if not targets:
        return None
    rising, falling = sorted(targets, key=lambda t: t[1]), sorted(false, key=lambda f: -f[1])
    counted = _Counted(
        np.array([score for _, score in rising]),
        np.array([patient for patient, _ in rising], dtype=np.intp),
        np.array([score for _, score in falling]),
        np.array([patient for patient, _ in falling], dtype=np.intp),
        units.astype(np.float64),
    )
    false_boxes, sensitivity = _curve(counted)
    *at_rates, mean = patients.estimates(lambda weights: np.stack([_sensitivities(counted, row) for row in weights]))
    return Froc(
        unit=unit,
        units=int(units.sum()),
        targets=len(targets),
        false_boxes=false_boxes,
        sensitivity=sensitivity,
        at_rates=tuple(at_rates),
        mean_sensitivity=mean,
    )


def _curve(counted: _Counted) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean false boxes 0, 1/units, 2/units, ... and the sensitivity just before the next false box."""
    count = np.unique(
        np.geomspace(1, len(counted.false) + 1, _MOST_POINTS).astype(int) - 1
    )  # dense where few are false
    thresholds = np.r_[counted.false, _BELOW_ALL][count]
    found = len(counted.target) - np.searchsorted(counted.target, thresholds, side="right")
    mean_false, share = count / counted.units.sum(), found / len(counted.target)
    return tuple(mean_false.tolist()), tuple(share.tolist())


def _sensitivities(counted: _Counted, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """At each of RATES, and their mean; NaN when no target was drawn."""
    allowed = np.array(RATES) * float(weights @ counted.units) + _ROUNDING
    passed = np.searchsorted(np.cumsum(weights[counted.false_patient]), allowed, side="right")
    thresholds = np.r_[counted.false, _BELOW_ALL][passed]
    found = np.r_[0.0, np.cumsum(weights[counted.target_patient])]
    total = found[-1] if found[-1] > 0.0 else np.nan
    at_rates: NDArray[np.float64] = (
        found[-1] - found[np.searchsorted(counted.target, thresholds, side="right")]
    ) / total
    return np.append(at_rates, at_rates.mean())
