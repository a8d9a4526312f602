"""Opens a data set and checks all that training and evaluation rely on, before hours of either."""

from collections.abc import Sequence
from math import inf
from pathlib import Path
from tokenize import TokenError
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.datasets import INDEX, LabelledPatient, LabelledSeries, whole_data_set
from inference.errors import LabelsError
from inference.findings import Box

_AXES: Final = 3


def checked_data_set(folder: Path) -> list[LabelledPatient]:
    """The patients; every series can be opened and has the slices that its boxes are of. Reads no pixels.

    Raises
    ------
    LabelsError
        the index is damaged; an age, a box or a file cannot be; a lesion-free patient has boxes: the message names
        the patient and the file.
    OSError
        the index cannot be read.
    """
    patients = whole_data_set(folder)
    if not patients:
        raise LabelsError(f"{folder / INDEX} names no patients; make the data set again")
    owners: dict[Path, str] = {}
    for patient in patients:
        _check_age(folder, patient)
        for series in patient.series:
            _check_place(folder, patient, series, owners)
            _check_boxes(patient, series, _shape(patient, series))
            _check_class(folder, patient, series)
    return patients


def _check_age(folder: Path, patient: LabelledPatient) -> None:
    age = patient.age_years
    if age is not None and (not _are_numbers([age]) or age < 0):
        raise LabelsError(
            f"patient {patient.patient_id}: age_years is {age!r} in {folder / INDEX}, expected years from 0 on, "
            "or null; mend the age and make the data set again"
        )


def _check_place(folder: Path, patient: LabelledPatient, series: LabelledSeries, owners: dict[Path, str]) -> None:
    """A file lies in the data set and is that of one series: else a patient could be in two parts of a split."""
    if series.file.parent != folder or series.file.name == "..":
        raise LabelsError(
            f"patient {patient.patient_id}: {series.file} lies outside the data set; make the data set again"
        )
    if series.file in owners:
        raise LabelsError(
            f"patient {patient.patient_id}: the series {series.file} is also that of patient {owners[series.file]}; "
            "make the data set again"
        )
    owners[series.file] = patient.patient_id


def _shape(patient: LabelledPatient, series: LabelledSeries) -> tuple[int, int, int]:
    """Slices, rows, columns; as many slices as lists of boxes."""
    where = f"patient {patient.patient_id}: {series.file}"
    try:
        images: NDArray[np.uint8] = series.images()
    except OSError as error:
        raise LabelsError(f"{where} cannot be read ({error.strerror}); make the data set again") from error
    except (ValueError, EOFError, SyntaxError, TokenError) as error:  # whatever numpy meets in the head of a file
        raise LabelsError(f"{where} is damaged ({error}); make the data set again") from error
    if not isinstance(images, np.ndarray):
        raise LabelsError(f"{where} is damaged (an archive, not an array); make the data set again")
    if images.dtype != np.uint8 or images.ndim != _AXES or 0 in images.shape:
        raise LabelsError(
            f"{where} holds {images.dtype} {images.shape}, expected uint8 (slices, rows, columns); "
            "make the data set again"
        )
    slices, rows, columns = images.shape
    if slices != len(series.boxes):
        raise LabelsError(
            f"{where} has {slices} slices and {len(series.boxes)} lists of boxes; make the data set again"
        )
    return slices, rows, columns


def _check_boxes(patient: LabelledPatient, series: LabelledSeries, shape: tuple[int, int, int]) -> None:
    _, rows, columns = shape
    for number, boxes in enumerate(series.boxes):
        for box in boxes:
            if not _is_inside(box, rows, columns):
                raise LabelsError(
                    f"patient {patient.patient_id}: {series.file}: box {[box.x0, box.y0, box.x1, box.y1]} of slice "
                    f"{number} is no x0 < x1, y0 < y1 inside {columns} columns and {rows} rows; "
                    "mend the label and make the data set again"
                )


def _check_class(folder: Path, patient: LabelledPatient, series: LabelledSeries) -> None:
    """Boxes are of lesions: a patient who has some and no class would be learnt, and counted, as one without."""
    if patient.verdict is None and any(series.boxes):
        raise LabelsError(
            f"patient {patient.patient_id}: {series.file} has boxes, and the verdict is null, which is lesion-free, "
            f"in {folder / INDEX}; mend the label and make the data set again"
        )


def _is_inside(box: Box, rows: int, columns: int) -> bool:
    if not _are_numbers([box.x0, box.y0, box.x1, box.y1]):
        return False
    return 0 <= box.x0 < box.x1 <= columns and 0 <= box.y0 < box.y1 <= rows


def _are_numbers(values: Sequence[object]) -> bool:
    return all(isinstance(one, int | float) and not isinstance(one, bool) and -inf < one < inf for one in values)
