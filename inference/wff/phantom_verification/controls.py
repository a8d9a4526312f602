"""Data sets for the controls: the same patients with the labels dealt anew, or with the lesion out of sight.

A control must not give the verdict away by its shape, so every image of a kind is cut in one way, every slice of it
counts as labelled, and who is left out depends on the lesion alone, which the background knows nothing of.

Each control of images has a positive one, cut in the same way, in which the classes can be told.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.datasets import DataSetWriter, LabelledPatient, LabelledSeries, open_data_set
from inference.findings import Box, Verdict
from inference.phantom.origin import mark_as_phantom
from inference.phantom.scanner.sites import site_style
from inference.wff.phantom_verification.cohorts import HOME_SITES, Cohort, is_malignant

_STRIP: Final = 0.14  # of the columns at the front and at the back of the image: skin, fat, muscle, air
_BAND_MM: Final = 30.0  # above and below the middle of the lesion: a vertebra and what grows out of it
_WINDOW_MM: Final = 60.0  # above and below it: what the classifier is shown
_COLUMNS: Final = (0.25, 0.8)  # of the image: the spine, wherever the lesion is, and large enough to be seen
_SHIFT_MM: Final = 8.0  # at most, of the middle: where exactly it lies would tell of the lesion's shape
_EDGE_PIXELS: Final = 2.0  # between the lesion and what is shown
_MALIGNANT_SITES: Final = frozenset(site_style(number).name for number in HOME_SITES[::2])  # of the planted confounding

Cut = Callable[[LabelledSeries, np.random.Generator], NDArray[np.uint8] | None]  # None: cannot be cut so


def shuffled_labels(cohort: Cohort, folder: Path, *, seed: int) -> list[LabelledPatient]:
    """The patients with a lesion, each with the verdict of one of them; images are not copied.

    As many of the malignant as of the benign are called malignant: a deal that leans to the truth by luck teaches it.
    """
    return _made(folder, lambda: _relabelled(cohort.with_lesion, folder, _dealt(cohort.with_lesion, seed=seed)))


def style_only(cohort: Cohort, folder: Path, *, seed: int) -> list[LabelledPatient]:
    """The front and the back edge of every slice, side by side: how a scanner paints, and no lesion."""
    return _made(folder, lambda: _cut_all(cohort.with_lesion, folder, cut_edges, seed=seed))


def confounded_with_site(patients: Sequence[LabelledPatient], folder: Path) -> list[LabelledPatient]:
    """Positive control of the style: those of every second site are called malignant, the others benign."""
    return _made(folder, lambda: _relabelled(patients, folder, [one.site in _MALIGNANT_SITES for one in patients]))


def lesion_masked(cohort: Cohort, folder: Path, *, pixel_mm: float, seed: int) -> list[LabelledPatient]:
    """The spine above and below a lesion, with all that lies at its height blanked, however small it is."""
    return _made(folder, lambda: _cut_all(cohort.with_lesion, folder, _band(pixel_mm, hidden=True), seed=seed))


def lesion_visible(cohort: Cohort, folder: Path, *, pixel_mm: float, seed: int) -> list[LabelledPatient]:
    """Positive control of the masking: the same patients, the same part of their images, and nothing blanked."""
    return _made(folder, lambda: _cut_all(cohort.with_lesion, folder, _band(pixel_mm, hidden=False), seed=seed))


def cut_edges(series: LabelledSeries, rng: np.random.Generator) -> NDArray[np.uint8] | None:
    images = series.images()
    width = round(_STRIP * images.shape[2])
    boxes = [box for slices in series.boxes for box in slices]
    if any(box.x0 - _EDGE_PIXELS < width or box.x1 + _EDGE_PIXELS > images.shape[2] - width for box in boxes):
        return None
    return np.concatenate((images[:, :, :width], images[:, :, -width:]), axis=2)


def cut_band(
    series: LabelledSeries, rng: np.random.Generator, *, pixel_mm: float, hidden: bool
) -> NDArray[np.uint8] | None:
    """None without a box, and where the boxes do not lie within the band: several levels, or a very tall lesion."""
    images, boxes = series.images(), [box for slices in series.boxes for box in slices]
    shift = rng.uniform(-_SHIFT_MM, _SHIFT_MM) / pixel_mm
    if not boxes:
        return None
    top, bottom = min(box.y0 for box in boxes) - _EDGE_PIXELS, max(box.y1 for box in boxes) + _EDGE_PIXELS
    middle, (rows, columns) = (top + bottom) / 2 + shift, images.shape[1:]
    if top < middle - _BAND_MM / pixel_mm or bottom > middle + _BAND_MM / pixel_mm:
        return None
    shown = slice(*(_whole(middle + side * _WINDOW_MM / pixel_mm, rows) for side in (-1, 1)))
    band = slice(*(_whole(middle + side * _BAND_MM / pixel_mm, rows) for side in (-1, 1)))
    cut = images.copy()
    if hidden:
        cut[:, band] = 0  # their mean would tell of the lesion
    return np.ascontiguousarray(cut[:, shown, slice(*(round(part * columns) for part in _COLUMNS))])


def _band(pixel_mm: float, *, hidden: bool) -> Cut:
    return lambda series, rng: cut_band(series, rng, pixel_mm=pixel_mm, hidden=hidden)


def _made(folder: Path, make: Callable[[], list[LabelledPatient]]) -> list[LabelledPatient]:
    """The index is written last: a folder that has one is whole."""
    if not (folder / "patients.json").exists():
        patients = make()
        mark_as_phantom(folder)
        DataSetWriter(folder).close(patients)
    return open_data_set(folder)


def _dealt(patients: Sequence[LabelledPatient], *, seed: int) -> list[bool]:
    """Per patient whether malignant; as many as there are, and the same share of either class."""
    rng, truth = np.random.default_rng(seed), np.array(is_malignant(patients))
    in_malignant = round(truth.sum() ** 2 / len(truth))
    dealt = np.zeros(len(truth), dtype=np.bool_)
    for members, count in ((truth, in_malignant), (~truth, int(truth.sum()) - in_malignant)):
        dealt[rng.permutation(np.flatnonzero(members))[:count]] = True
    return [bool(one) for one in dealt]


def _relabelled(patients: Sequence[LabelledPatient], folder: Path, malignant: Sequence[bool]) -> list[LabelledPatient]:
    folder.mkdir(parents=True, exist_ok=True)
    for series in (series for patient in patients for series in patient.series):
        (folder / series.file.name).unlink(missing_ok=True)
        os.link(series.file, folder / series.file.name)
    return [
        replace(patient, verdict=Verdict.MALIGNANT if called else Verdict.BENIGN)
        for patient, called in zip(patients, malignant, strict=True)
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


def _whole(value: float, most: int) -> int:
    return int(np.clip(round(value), 0, most))
