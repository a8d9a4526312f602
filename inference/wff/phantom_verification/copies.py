"""Near-copies of training patients: the same body and lesion, scanned a second time with other noise and other poses.

Planted among the patients that are measured, they are what a check for memorised patients must notice.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from inference.datasets import INDEX, DataSetWriter, LabelledPatient, open_data_set
from inference.phantom.data_set import PhantomSet, patient_id, windowed
from inference.phantom.origin import mark_as_phantom
from inference.phantom.patient import take_images
from inference.phantom.subject import draw_subject
from inference.phantom.workers import each

_OTHER_SEED: Final = 7919  # added to the seed of the scanner; the body keeps its own


def scan_again(
    recipe: PhantomSet, patients: Sequence[LabelledPatient], folder: Path, *, processes: int
) -> list[LabelledPatient]:
    """A copy of each of these patients of the recipe whose lesion has a box again; what is in the folder is kept."""
    if not (folder / INDEX).exists():
        wanted = {patient.patient_id: patient for patient in patients}
        pairs = [(n, wanted[patient_id(n)]) for n in recipe.truths() if patient_id(n) in wanted]
        writer = DataSetWriter(folder)
        copies = sorted(
            each(partial(_scan_again, recipe, folder), pairs, processes=processes), key=lambda one: one.patient_id
        )
        mark_as_phantom(folder)
        writer.close(copies)
    return [one for one in open_data_set(folder) if any(series.labelled_slices for series in one.series)]


def _scan_again(recipe: PhantomSet, folder: Path, wanted: tuple[int, LabelledPatient]) -> LabelledPatient:
    number, patient = wanted
    subject = draw_subject(number, seed=recipe.seed, config=recipe.config)
    images = take_images(subject, number, seed=recipe.seed + _OTHER_SEED, config=recipe.config)
    writer = DataSetWriter(folder)
    return LabelledPatient(
        patient_id=f"{patient.patient_id}-again",
        age_years=patient.age_years,
        verdict=patient.verdict,
        regions=patient.regions,
        site=patient.site,
        lesion_type=patient.lesion_type,
        series=tuple(
            writer.add_series(f"{patient.patient_id}-again", nth, one.kind, windowed(one), one.boxes)
            for nth, one in enumerate(images)
        ),
    )
