"""Items (a), (g) and (h): what the detector finds, in whom, and through which geometry."""

from collections.abc import Sequence
from typing import Final

from inference.evaluation.intervals import Estimate
from inference.evaluation.metrics import Rate
from inference.wff.evaluation.detector import evaluate_detector
from inference.wff.evaluation.hits import count_boxes
from inference.wff.patients import ClassifiedPatient
from inference.wff.phantom_verification.areas import mean_of
from inference.wff.phantom_verification.findings import Finding, Item, from_estimate, from_rate
from inference.wff.phantom_verification.geometry import RoundTrip
from inference.wff.phantom_verification.scale import Scale
from inference.wff.phantom_verification.trainings import Framework

AP_BOUND: Final = 0.8
PIXEL_BOUND: Final = 1.0
MILLIMETRE_BOUND: Final = 0.5
FALSE_BOXES_BOUND: Final = 1.0
HIT_BOUND: Final = 0.9
_SAME_VOXELS: Final = 0.9999  # correlation: rescaled and rounded, but in their places


def pipeline(scale: Scale, whole: Framework, trip: RoundTrip) -> list[Finding]:
    detected = [one.detected for one in whole.held_out]
    found = evaluate_detector(detected, tau=whole.fusion.tau, seed=scale.seed, resamples=scale.resamples).either_class
    precision = found or Estimate(0.0, 0.0, 0.0)
    beside = f"{trip.boxes} boxes of {trip.series} series in three forms, slices lost {trip.lost_slices}"
    intact = trip.lost_slices == 0 and trip.grey_values > _SAME_VOXELS
    return [
        from_estimate(
            Item.PIPELINE,
            "planted boxes found at difficulty 1: AP50, class ignored",
            precision,
            f">= {AP_BOUND}",
            holds=precision.value >= AP_BOUND,
        ),
        _worst(
            "boxes and masks through DICOM and back, worst corner, pixels", trip.pixels, PIXEL_BOUND, intact, beside
        ),
        _worst("the same, mm", trip.millimetres, MILLIMETRE_BOUND, intact),
        _worst(
            "centre of one lesion in T1, T2 and T2FS, each with its own pose: worst distance in the plane, pixels",
            trip.body_millimetres * scale.matrix / scale.fov_mm,
            PIXEL_BOUND,
            intact,
        ),
    ]


def lesion_free(scale: Scale, whole: Framework) -> list[Finding]:
    free = [one for one in (*whole.held_out, *whole.away) if one.patient.verdict is None]
    counts = [count_boxes(one.detected, whole.fusion.tau)[1] for one in free]
    false = mean_of(counts, seed=scale.seed, resamples=scale.resamples)
    hits = hit_rate([*whole.held_out, *whole.away], whole.fusion.tau)
    alarmed = sum(count > 0 for count in counts)
    return [
        from_estimate(
            Item.LESION_FREE,
            "lesion-free patients: false boxes per patient",
            false,
            f"<= {FALSE_BOXES_BOUND:g}",
            holds=false.value <= FALSE_BOXES_BOUND,
            beside=f"{len(free)} patients, {alarmed} with any; detection threshold {whole.fusion.tau}",
        ),
        from_rate(
            Item.LESION_FREE,
            "at the same threshold: planted lesion hit",
            hits,
            f">= {HIT_BOUND}",
            holds=hits.value >= HIT_BOUND,
        ),
    ]


def hit_rate(patients: Sequence[ClassifiedPatient], tau: float) -> Rate:
    """Of the patients with a lesion."""
    with_lesion = [one for one in patients if one.patient.verdict is not None]
    return Rate(sum(count_boxes(one.detected, tau)[0] > 0 for one in with_lesion), len(with_lesion))


def _worst(what: str, value: float, bound: float, intact: bool, beside: str = "") -> Finding:
    return Finding(
        item=Item.PIPELINE,
        what=what,
        value=value,
        low=None,
        high=None,
        bound=f"< {bound:g}",
        holds=intact and value < bound,
        beside=beside,
    )
