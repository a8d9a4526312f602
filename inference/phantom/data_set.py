"""Phantom patients as a data set of windowed slices: what models are trained and measured on."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.datasets import DataSetWriter, LabelledPatient, SpineRegion, open_data_set
from inference.phantom.law import PhantomTruth
from inference.phantom.lesions.families import Look
from inference.phantom.patient import PhantomPatient, PhantomSeries, generate_patient
from inference.phantom.subject import PhantomConfig, draw_subject
from inference.phantom.workers import each

_RECIPE: Final = "recipe.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomSet:
    """Those of the patients `first` .. `first + count - 1` of this seed whose lesions have one of the `looks`.

    Lesion-free patients belong to every set; `config.lesion_free_fraction` says how many there are.
    """

    first: int
    count: int
    seed: int
    config: PhantomConfig
    looks: tuple[Look, ...] = tuple(Look)

    def truths(self) -> dict[int, PhantomTruth]:
        """Per patient by number, what was planted. Paints nothing."""
        numbers = range(self.first, self.first + self.count)
        truths = {n: draw_subject(n, seed=self.seed, config=self.config).truth for n in numbers}
        return {number: truth for number, truth in truths.items() if truth.label is None or truth.look in self.looks}


def make_data_set(
    sets: Sequence[PhantomSet], folder: Path, *, processes: int, progress: Callable[[int, int], None] | None = None
) -> list[LabelledPatient]:
    """Paint the sets into one folder; a folder that holds the same ones already is used as it is.

    `progress` is told how many patients of how many are painted. The numbers of the patients must differ between sets.
    """
    text = json.dumps([asdict(one) for one in sets], sort_keys=True)
    recipe_file = folder / _RECIPE
    if recipe_file.exists() and recipe_file.read_text() == text and _as_painted_today(sets[0], folder):
        return open_data_set(folder)
    wanted = [(number, one) for one in sets for number in one.truths()]
    if len({number for number, _ in wanted}) != len(wanted):
        raise ValueError("the sets share patients: give them other numbers")
    writer = DataSetWriter(folder)
    patients = []
    for patient in each(partial(_make_patient, folder), wanted, processes=processes):
        patients.append(patient)
        if progress is not None:
            progress(len(patients), len(wanted))
    patients.sort(key=lambda one: one.patient_id)  # they come as they are done
    writer.close(patients)
    recipe_file.write_text(text)
    return patients


def _as_painted_today(recipe: PhantomSet, folder: Path) -> bool:
    """Whether the first patient on disk is what the phantom paints now: its code may have changed since."""
    stored = open_data_set(folder)[0]
    phantom = generate_patient(next(iter(recipe.truths())), seed=recipe.seed, config=recipe.config)
    parted = (spine_regions(phantom), phantom.site, phantom.family)
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


def patient_id(number: int) -> str:
    return f"PH-{number:06d}"


def spine_regions(phantom: PhantomPatient) -> tuple[SpineRegion, ...]:
    """Where the planted lesions lie, from head to foot; empty without a lesion."""
    return tuple(region for region in SpineRegion if region in phantom.regions)


def _make_patient(folder: Path, wanted: tuple[int, PhantomSet]) -> LabelledPatient:
    number, recipe = wanted
    phantom = generate_patient(number, seed=recipe.seed, config=recipe.config)
    writer = DataSetWriter(folder)
    return LabelledPatient(
        patient_id=phantom.patient_id,
        age_years=float(phantom.age_years),
        verdict=phantom.truth.label,
        regions=spine_regions(phantom),
        site=phantom.site,
        lesion_type=phantom.family,
        series=tuple(
            writer.add_series(phantom.patient_id, nth, s.kind, windowed(s), s.boxes)
            for nth, s in enumerate(phantom.series)
        ),
    )
