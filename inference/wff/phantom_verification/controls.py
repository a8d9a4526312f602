"""Data sets for the controls: the same patients with the labels dealt anew, or with the lesion out of sight.

A control must not give the verdict away by its shape, so every image of a kind is cut in one way, every slice of it
counts as labelled, and who is left out depends on the lesion alone, which the background knows nothing of.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.datasets import DataSetWriter, LabelledPatient, LabelledSeries, open_data_set
from inference.findings import Box
from inference.phantom.origin import mark_as_phantom
from inference.wff.phantom_verification.cohorts import Cohort

_STRIP: Final = 0.14  # of the columns at the front and at the back of the image: skin, fat, muscle, air
_BAND_MM: Final = 30.0  # above and below the middle of the lesion: a vertebra and what grows out of it
_WINDOW_MM: Final = 75.0  # above and below it: what the classifier is shown
_SHIFT_MM: Final = 8.0  # at most, of the middle: where exactly it lies would tell of the lesion's shape
_EDGE_PIXELS: Final = 2.0  # between the lesion and what is shown

Cut = Callable[[LabelledSeries, np.random.Generator], NDArray[np.uint8] | None]  # None: cannot be cut so


def shuffled_labels(cohort: Cohort, folder: Path, *, seed: int) -> list[LabelledPatient]:
    """The patients with a lesion, each with the verdict of one of them; images are not copied."""
    return _made(folder, lambda: _shuffled(cohort.with_lesion, folder, seed=seed))


def style_only(cohort: Cohort, folder: Path, *, seed: int) -> list[LabelledPatient]:
    """The front and the back edge of every slice, side by side: how a scanner paints, and no lesion."""
    return _made(folder, lambda: _cut_all(cohort.with_lesion, folder, cut_edges, seed=seed))


def lesion_masked(cohort: Cohort, folder: Path, *, pixel_mm: float, seed: int) -> list[LabelledPatient]:
    """The spine above and below a lesion, with all that lies at its height blanked, however small it is."""

    def cut(series: LabelledSeries, rng: np.random.Generator) -> NDArray[np.uint8] | None:
        return cut_band(series, rng, pixel_mm=pixel_mm)

    return _made(folder, lambda: _cut_all(cohort.with_lesion, folder, cut, seed=seed))


def cut_edges(series: LabelledSeries, rng: np.random.Generator) -> NDArray[np.uint8] | None:
    images = series.images()
    width = round(_STRIP * images.shape[2])
    boxes = [box for slices in series.boxes for box in slices]
    if any(box.x0 - _EDGE_PIXELS < width or box.x1 + _EDGE_PIXELS > images.shape[2] - width for box in boxes):
        return None
    return np.concatenate((images[:, :, :width], images[:, :, -width:]), axis=2)


def cut_band(series: LabelledSeries, rng: np.random.Generator, *, pixel_mm: float) -> NDArray[np.uint8] | None:
    """None without a box, and where the boxes do not lie within the band: several levels, or a very tall lesion."""
    images, boxes = series.images(), [box for slices in series.boxes for box in slices]
    shift = rng.uniform(-_SHIFT_MM, _SHIFT_MM) / pixel_mm
    if not boxes:
        return None
    top, bottom = min(box.y0 for box in boxes) - _EDGE_PIXELS, max(box.y1 for box in boxes) + _EDGE_PIXELS
    middle, rows = (top + bottom) / 2 + shift, images.shape[1]
    if top < middle - _BAND_MM / pixel_mm or bottom > middle + _BAND_MM / pixel_mm:
        return None
    first, last = (_row(middle + side * _WINDOW_MM / pixel_mm, rows) for side in (-1, 1))
    hidden = slice(*(_row(middle + side * _BAND_MM / pixel_mm, rows) for side in (-1, 1)))
    masked = images.copy()
    masked[:, hidden] = 0  # their mean would tell of the lesion
    return np.ascontiguousarray(masked[:, first:last])


def _made(folder: Path, make: Callable[[], list[LabelledPatient]]) -> list[LabelledPatient]:
    """The index is written last: a folder that has one is whole."""
    if not (folder / "patients.json").exists():
        patients = make()
        mark_as_phantom(folder)
        DataSetWriter(folder).close(patients)
    return open_data_set(folder)


def _shuffled(patients: Sequence[LabelledPatient], folder: Path, *, seed: int) -> list[LabelledPatient]:
    folder.mkdir(parents=True, exist_ok=True)
    for series in (series for patient in patients for series in patient.series):
        (folder / series.file.name).unlink(missing_ok=True)
        os.link(series.file, folder / series.file.name)
    dealt = np.random.default_rng(seed).permutation(len(patients))
    return [
        replace(patient, verdict=patients[int(other)].verdict) for patient, other in zip(patients, dealt, strict=True)
    ]


def _cut_all(patients: Sequence[LabelledPatient], folder: Path, cut: Cut, *, seed: int) -> list[LabelledPatient]:
    """Patients of whom every series can be cut."""
    writer, kept = DataSetWriter(folder), []
    for number, patient in enumerate(patients):
        rng = np.random.default_rng((seed, number))
        cuts = [cut(series, rng) for series in patient.series]
        shown = [images for images in cuts if images is not None]
        if len(shown) == len(cuts):
            kept.append(_with_images(writer, patient, shown))
    return kept


def _with_images(
    writer: DataSetWriter, patient: LabelledPatient, shown: Sequence[NDArray[np.uint8]]
) -> LabelledPatient:
    series = tuple(
        writer.add_series(patient.patient_id, number, one.kind, images, _everywhere(images))
        for number, (one, images) in enumerate(zip(patient.series, shown, strict=True))
    )
    return replace(patient, series=series)


def _everywhere(images: NDArray[np.uint8]) -> list[tuple[Box, ...]]:
    """The whole image as the box of every slice."""
    slices, rows, columns = images.shape
    return [(Box(x0=0.0, y0=0.0, x1=float(columns), y1=float(rows)),)] * slices


def _row(value: float, rows: int) -> int:
    return int(np.clip(round(value), 0, rows))
