"""Items (a) and (g): what the detector finds, in whom, and whether boxes keep their places on the way."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from inference.evaluation.intervals import Estimate
from inference.evaluation.metrics import Rate
from inference.wff.evaluation.detector import evaluate_detector
from inference.wff.evaluation.hits import count_boxes
from inference.wff.patients import ClassifiedPatient
from inference.wff.phantom_verification.areas import mean_of
from inference.wff.phantom_verification.findings import Finding, Item, from_estimate, from_rate, without_interval
from inference.wff.phantom_verification.geometry import RoundTrip
from inference.wff.phantom_verification.scale import Scale
from inference.wff.phantom_verification.trainings import Framework
from inference.wff.phantom_verification.travellers import Journey

AP_BOUND: Final = 0.8
PIXEL_BOUND: Final = 1.0
MILLIMETRE_BOUND: Final = 0.5
FALSE_BOXES_BOUND: Final = 1.0
HIT_BOUND: Final = 0.9
_SAME_VOXELS: Final = 0.9999  # correlation: rescaled and rounded, but in their places


def pipeline(scale: Scale, whole: Framework, trip: RoundTrip, journeys: Sequence[Journey]) -> list[Finding]:
    """Item (a)."""
    detected = [one.detected for one in whole.held_out]
    found = evaluate_detector(detected, tau=whole.fusion.tau, seed=scale.seed, resamples=scale.resamples).either_class
    precision = found or Estimate(0.0, 0.0, 0.0)
    return [
        from_estimate(
            Item.PIPELINE,
            "planted boxes found at difficulty 1: AP50, class ignored",
            precision,
            f">= {AP_BOUND}",
            holds=precision.value >= AP_BOUND,
            beside=f"{len(detected)} patients",
        ),
        *travelled(scale, journeys),
        *_conversions(scale, trip),
    ]


def travelled(scale: Scale, journeys: Sequence[Journey]) -> list[Finding]:
    """The places of boxes from DICOM files to findings. Where no box is reported there is nothing to compare."""
    planted, hit = sum(one.planted for one in journeys), sum(one.hit for one in journeys)
    on_arrays = sum(one.hit_on_arrays for one in journeys)
    return [
        *_twins(journeys),
        from_rate(
            Item.PIPELINE,
            "planted boxes that the whole pipeline finds on the very image where they were planted",
            Rate(hit, planted),
            f"as many as on the training arrays: {on_arrays}",
            holds=hit == on_arrays,
            telling=hit > 0,
        ),
        _offset(scale, journeys),
    ]


def _twins(journeys: Sequence[Journey]) -> list[Finding]:
    boxes, images = sum(one.boxes for one in journeys), sum(one.images for one in journeys)
    patients, sites = len({one.traveller for one in journeys}), len({one.site for one in journeys})
    alone, lost = sum(one.without_twin for one in journeys), sum(one.series_lost for one in journeys)
    pixels, millimetres = max(one.pixels for one in journeys), max(one.millimetres for one in journeys)
    return [
        without_interval(
            Item.PIPELINE,
            "boxes of the whole pipeline on DICOM files beside those of the detector on the same slice of the training "
            "array: worst edge, pixels",
            pixels,
            f"< {PIXEL_BOUND:g}, none lost",
            holds=pixels < PIXEL_BOUND and alone == lost == 0,
            telling=boxes > 0,
            beside=f"{boxes} boxes on {images} images; patients {patients}, sites {sites}, classic and Enhanced MR; "
            f"boxes without a twin {alone}, series lost {lost}",
        ),
        without_interval(
            Item.PIPELINE,
            "the same, corners in space as reported: worst, mm",
            millimetres,
            f"< {MILLIMETRE_BOUND:g}",
            holds=millimetres < MILLIMETRE_BOUND,
            telling=boxes > 0,
        ),
    ]


def _offset(scale: Scale, journeys: Sequence[Journey]) -> Finding:
    """A shift of half an image or of two pixels would show as a mean; a detector's own errors go either way."""
    own = [[offset for one in journeys if one.traveller == n for offset in one.offsets] for n in range(len(journeys))]
    means = np.array([np.mean(offsets, axis=0) for offsets in own if offsets]).reshape(-1, 2)
    offset = Estimate(math.nan, math.nan, math.nan)
    if len(means):
        axes = [mean_of(means[:, axis].tolist(), seed=scale.seed, resamples=scale.resamples) for axis in (0, 1)]
        offset = max(axes, key=lambda one: abs(one.value))
    return from_estimate(
        Item.PIPELINE,
        "centre of a reported box from that of the planted one: mean along rows or columns, whichever is worse, pixels",
        offset,
        f"interval within {PIXEL_BOUND:g}",
        holds=not abs(offset.value) >= PIXEL_BOUND,
        telling=len(means) > 1 and offset.low > -PIXEL_BOUND and offset.high < PIXEL_BOUND,
        beside=f"{len(means)} patients",
    )


def _conversions(scale: Scale, trip: RoundTrip) -> list[Finding]:
    beside = f"{trip.boxes} boxes of {trip.series} series in three forms, slices lost {trip.lost_slices}"
    intact = trip.lost_slices == 0 and trip.grey_values > _SAME_VOXELS
    return [
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
    holds = intact and value < bound
    return without_interval(Item.PIPELINE, what, value, f"< {bound:g}", holds=holds, beside=beside)
