"""Phantom patients on the smallest matrix that shows a spine: a fraction of a second each."""

from dataclasses import replace
from functools import cache

from inference.phantom import PhantomConfig, PhantomPatient, generate_patient

SEED = 11
SMALL = PhantomConfig(matrix=64, minimum_slices=9, maximum_slices=11)


@cache
def with_lesion(*, lesions: int = 1) -> PhantomPatient:
    """The first patient with so many lesions at least, and with a box in every series."""
    config = replace(SMALL, lesion_free_fraction=0.0)
    for index in range(60):
        patient = generate_patient(index, seed=SEED, config=config)
        shown = all(any(series.boxes) for series in patient.series)
        if len(patient.truth.lesions) >= lesions and shown:
            return patient
    raise LookupError(f"no patient with {lesions} lesions among the first 60")


@cache
def lesion_free() -> PhantomPatient:
    return generate_patient(0, seed=SEED, config=replace(SMALL, lesion_free_fraction=1.0))


@cache
def with_fat_saturation() -> PhantomPatient:
    """The first patient whose fat-suppressed T2 is saturated, not inverted."""
    return _by_inversion(inverted=False)


@cache
def with_stir() -> PhantomPatient:
    return _by_inversion(inverted=True)


def _by_inversion(*, inverted: bool) -> PhantomPatient:
    for index in range(60):
        patient = generate_patient(index, seed=SEED, config=SMALL)
        if any(series.ti_ms is not None for series in patient.series) is inverted:
            return patient
    raise LookupError("no such patient among the first 60")
