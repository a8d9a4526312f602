"""Phantom patients as a data set of windowed slices: what models are trained and measured on."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.datasets import INDEX, DataSetWriter, LabelledPatient, LabelledSeries, SpineRegion, open_data_set
from inference.durable_files import write_text
from inference.phantom.identity import versions
from inference.phantom.law import PhantomTruth
from inference.phantom.lesions.families import Look
from inference.phantom.painted_so_far import PaintedSoFar
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


_Wanted = tuple[int, PhantomSet]  # number of a patient, and the set that it is of


def make_data_set(
    sets: Sequence[PhantomSet], folder: Path, *, processes: int, progress: Callable[[int, int], None] | None = None
) -> list[LabelledPatient]:
    """Paint the sets into one folder; a folder that holds the same ones already is used as it is.

    A painting that was stopped is gone on with by the same call. `progress` is told how many patients of how many are
    painted. The numbers of the patients must differ between sets.
    """
    wanted = _wanted(sets)
    recipe = json.dumps({"versions": versions(), "sets": [asdict(one) for one in sets]}, sort_keys=True)
    patients, journal = _kept(folder, recipe, wanted), PaintedSoFar(folder)
    there = {one.patient_id for one in patients}
    missing = [one for name, one in wanted.items() if name not in there]
    if not missing and (folder / INDEX).exists():
        journal.end()  # a crash may have left it
        return patients
    writer = _begin(folder, recipe, patients)
    for patient in each(partial(_make_patient, folder), missing, processes=processes):
        journal.add(patient)
        patients.append(patient)
        if progress is not None:
            progress(len(patients), len(wanted))
    patients.sort(key=lambda one: one.patient_id)  # they come as they are done
    writer.close(patients)
    journal.end()
    return patients


def _wanted(sets: Sequence[PhantomSet]) -> dict[str, _Wanted]:
    """By identifier."""
    wanted = [(number, one) for one in sets for number in one.truths()]
    named = {patient_id(number): (number, one) for number, one in wanted}
    if len(named) != len(wanted):
        raise ValueError("the sets share patients: give them other numbers")
    return named


def _kept(folder: Path, recipe: str, wanted: Mapping[str, _Wanted]) -> list[LabelledPatient]:
    """What an earlier run painted by this recipe: all patients where there is an index, else those of its journal.

    None when the first of them is not what the phantom paints now: its code, or the machine, may be another.
    """
    file = folder / _RECIPE
    if not file.exists() or file.read_text() != recipe:
        return []
    kept = open_data_set(folder) if (folder / INDEX).exists() else PaintedSoFar(folder).patients()
    whole = [one for one in kept if all(series.file.exists() for series in one.series)]
    if len(whole) < len(kept) or not kept or not all(one.patient_id in wanted for one in kept):
        return []
    return kept if _as_painted_today(kept[0], *wanted[kept[0].patient_id]) else []


def _begin(folder: Path, recipe: str, kept: Sequence[LabelledPatient]) -> DataSetWriter:
    """From here on the folder holds an unfinished data set of this recipe; a journal is never one of another."""
    writer = DataSetWriter(folder)
    (folder / INDEX).unlink(missing_ok=True)
    PaintedSoFar(folder).begin(kept)
    write_text(folder / _RECIPE, recipe)
    return writer


def _as_painted_today(stored: LabelledPatient, number: int, recipe: PhantomSet) -> bool:
    phantom = generate_patient(number, seed=recipe.seed, config=recipe.config)
    if len(stored.series) != len(phantom.series):
        return False
    return replace(stored, series=()) == _labelled(phantom, ()) and all(
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
    """Within a data set; the same for every seed and configuration, so that patients of two sets can be paired."""
    return f"PH-{number:06d}"


def spine_regions(phantom: PhantomPatient) -> tuple[SpineRegion, ...]:
    """Where the planted lesions lie, from head to foot; empty without a lesion."""
    return tuple(region for region in SpineRegion if region in phantom.regions)


def _make_patient(folder: Path, wanted: _Wanted) -> LabelledPatient:
    number, recipe = wanted
    phantom = generate_patient(number, seed=recipe.seed, config=recipe.config)
    writer = DataSetWriter(folder)
    return _labelled(
        phantom,
        tuple(
            writer.add_series(patient_id(number), nth, s.kind, windowed(s), s.boxes)
            for nth, s in enumerate(phantom.series)
        ),
    )


def _labelled(phantom: PhantomPatient, series: tuple[LabelledSeries, ...]) -> LabelledPatient:
    return LabelledPatient(
        patient_id=patient_id(phantom.index),
        age_years=float(phantom.age_years),
        verdict=phantom.truth.label,
        regions=spine_regions(phantom),
        site=phantom.site,
        lesion_type=phantom.family,
        series=series,
    )
