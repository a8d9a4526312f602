"""Phantom patients as a data set of windowed slices: what the demo bundle is trained and measured on."""

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.datasets import DataSetWriter, LabelledPatient, SpineRegion, open_data_set
from inference.phantom import (
    PhantomConfig,
    PhantomPatient,
    PhantomSeries,
    PhantomTruth,
    Sign,
    generate_patient,
    oracle_probability,
)
from inference.phantom.patient import draw_subject

_RECIPE = "recipe.json"
# Looks, not diagnoses: a phantom has none. The first sign that is there names the lesion
_LOOKS = (Sign.DUMBBELL, Sign.DIFFUSE, Sign.COARSE_TRABECULAE)
_NO_SUCH_LOOK = "focal"
_REGION_OF_LETTER = {"C": SpineRegion.CERVICAL, "T": SpineRegion.THORACIC, "L": SpineRegion.LUMBAR}


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomSet:
    """Patients `first` .. `first + count - 1` of the phantom with this seed."""

    first: int
    count: int
    seed: int
    config: PhantomConfig


def make_data_set(
    recipe: PhantomSet, folder: Path, *, processes: int, progress: Callable[[int], None] | None = None
) -> list[LabelledPatient]:
    """Generate the set into `folder`; a folder that holds the same set already is used as it is."""
    text = json.dumps(asdict(recipe), sort_keys=True)
    recipe_file = folder / _RECIPE
    if recipe_file.exists() and recipe_file.read_text() == text and _as_painted_today(recipe, folder):
        return open_data_set(folder)
    writer = DataSetWriter(folder)
    make = partial(_make_patient, recipe, folder)
    patients = []
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for patient in pool.map(make, range(recipe.first, recipe.first + recipe.count), chunksize=4):
            patients.append(patient)
            if progress is not None:
                progress(len(patients))
    writer.close(patients)
    recipe_file.write_text(text)
    return patients


def _as_painted_today(recipe: PhantomSet, folder: Path) -> bool:
    """Whether the first patient on disk is what the phantom paints now: its code may have changed since."""
    stored = open_data_set(folder)[0]
    phantom = generate_patient(recipe.first, seed=recipe.seed, config=recipe.config)
    parted = (spine_regions(phantom.truth), site(phantom), lesion_type(phantom.truth))
    return (stored.regions, stored.site, stored.lesion_type) == parted and all(
        painted.boxes == series.boxes and np.array_equal(windowed(painted), series.images())
        for painted, series in zip(phantom.series, stored.series, strict=True)
    )


def windowed(series: PhantomSeries) -> NDArray[np.uint8]:
    """(Z, Y, X) grey values 0..255 by the window of the series, as `inference.volume.window_to_uint8` gives them."""
    centre, width = series.window
    low, high = (2 * centre - width) / 2 + 0.5, (2 * centre + width) / 2 + 0.5
    grey = (series.pixels.astype(np.float32) - np.float32(low)) * np.float32(255.0 / (high - low))
    scaled: NDArray[np.uint8] = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return scaled


def oracle_says_malignant(recipe: PhantomSet) -> dict[str, bool]:
    """Per patient with a lesion, what the reader says who sees every planted sign and the age: the ceiling."""
    said = {}
    for index in range(recipe.first, recipe.first + recipe.count):
        truth = draw_subject(index, seed=recipe.seed, config=recipe.config).truth
        if truth.label is not None:
            said[patient_id(index)] = oracle_probability(truth, with_age=True) >= 0.5
    return said


def patient_id(index: int) -> str:
    return f"PH-{index:06d}"


def spine_regions(truth: PhantomTruth) -> tuple[SpineRegion, ...]:
    """Where the planted lesions lie, from head to foot; empty without a lesion."""
    found = {_REGION_OF_LETTER.get(lesion.level[0], SpineRegion.SACRAL) for lesion in truth.lesions}
    return tuple(region for region in SpineRegion if region in found)


def lesion_type(truth: PhantomTruth) -> str:
    """The look of the planted lesions: dumbbell, diffuse, coarse_trabeculae or focal; empty without a lesion."""
    if truth.label is None:
        return ""
    return next((str(sign) for sign in _LOOKS if truth.signs[sign]), _NO_SUCH_LOOK)


def site(phantom: PhantomPatient) -> str:
    """The scanner that all patients of the set share; empty where each has another one."""
    style = phantom.config.site_style
    return "" if style is None else f"phantom-scanner-{style}"


def _make_patient(recipe: PhantomSet, folder: Path, index: int) -> LabelledPatient:
    phantom = generate_patient(index, seed=recipe.seed, config=recipe.config)
    writer = DataSetWriter(folder)
    return LabelledPatient(
        patient_id=phantom.patient_id,
        age_years=float(phantom.age_years),
        verdict=phantom.truth.label,
        regions=spine_regions(phantom.truth),
        site=site(phantom),
        lesion_type=lesion_type(phantom.truth),
        series=tuple(
            writer.add_series(phantom.patient_id, number, s.kind, windowed(s), s.boxes)
            for number, s in enumerate(phantom.series)
        ),
    )
