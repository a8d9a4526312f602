"""`pathology.csv`: the class of each patient, and what parts the patients in an evaluation.

Columns: patient_id, label (benign, malignant or none); optional issuer, age_years, regions (separated by ";"), site,
lesion_type. The file may use commas or, as some spreadsheets do, semicolons.
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inference.age import OLDEST_YEARS
from inference.datasets import SpineRegion
from inference.errors import LabelsError
from inference.findings import Verdict
from inference.labels.annotation import verdict_of_label
from inference.labels.faults import Fault, FaultCode, PatientKey, Place

PATHOLOGY_FILE: Final = "pathology.csv"
_LESION_FREE: Final = "none"
_REQUIRED: Final = ("patient_id", "label")
_OPTIONAL: Final = ("issuer", "age_years", "regions", "site", "lesion_type")
_ALSO: Final = {"region": "regions", "region(s)": "regions", "age": "age_years"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PathologyRow:
    patient: PatientKey  # the issuer is empty where the row names none
    line: int
    verdict: Verdict | None  # None: lesion-free
    age_years: float | None = None
    regions: tuple[SpineRegion, ...] = ()
    site: str = ""
    lesion_type: str = ""


@dataclass(frozen=True, slots=True)
class Pathology:
    rows: tuple[PathologyRow, ...]  # of patients with one row, without a fault
    faults: tuple[Fault, ...]
    faulty: frozenset[PatientKey] = frozenset()  # patients with a faulty row or several, as the rows name them


def read_pathology(folder: Path) -> Pathology | None:
    """The rows of the folder's `pathology.csv`; None when there is no such file.

    Raises
    ------
    LabelsError
        the file is no UTF-8 text, or lacks a required column.
    """
    path = folder / PATHOLOGY_FILE
    if not path.is_file():
        return None
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelsError(f"{path} is no UTF-8 text: save it again as CSV UTF-8") from error
    columns, lines, unreadable = _table(content, path)
    unknown = [name for name in columns if name and name not in (*_REQUIRED, *_OPTIONAL)]
    faults = [_fault(FaultCode.PATHOLOGY_COLUMN, f"The column {name!r} is not read.", 1) for name in unknown]
    faults += unreadable
    rows: dict[PatientKey, PathologyRow] = {}
    faulty: set[PatientKey] = set()
    for line, cells in lines:
        patient = PatientKey(cells["patient_id"], cells.get("issuer", ""))
        if patient in rows or patient in faulty:
            faults.append(_fault(FaultCode.PATHOLOGY_TWICE, "The patient has a row before this one.", line, patient))
            rows.pop(patient, None)  # which of them is right, nobody knows
            faulty.add(patient)
            continue
        try:
            rows[patient] = _row(patient, line, cells)
        except _WrongValue as wrong:
            faults.append(_fault(FaultCode.PATHOLOGY_VALUE, str(wrong), line, patient))
            faulty.add(patient)
    return Pathology(tuple(rows.values()), tuple(faults), frozenset(faulty))


class _WrongValue(Exception):
    """A sentence about a cell."""


def _table(content: str, path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]], list[Fault]]:
    """Column names, each row that is not empty with its line, and the lines that are no row."""
    columns: list[str] = []
    lines: list[tuple[int, dict[str, str]]] = []
    faults: list[Fault] = []
    for number, cells in _cells(content, faults):
        values = [cell.strip() for cell in cells]
        if not any(values):
            continue
        if not columns:
            columns = [_ALSO.get(name.lower(), name.lower()) for name in values]
            continue
        # a row may be shorter than the header, as spreadsheets write it; cells beyond it have no name
        lines.append((number, dict(zip(columns, values + [""] * len(columns), strict=False))))
    missing = [name for name in _REQUIRED if name not in columns]
    if missing:
        raise LabelsError(f"{path} has no column {' and no column '.join(missing)}: its first line names the columns")
    return columns, lines, faults


def _cells(content: str, faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
    """Each row with its line; one that cannot be read becomes a fault, and what follows it is read."""
    header = content.partition("\n")[0]
    reader = csv.reader(io.StringIO(content), delimiter=";" if ";" in header and "," not in header else ",")
    while True:
        try:
            cells = next(reader)
            yield reader.line_num, cells
        except StopIteration:
            return
        except csv.Error as error:
            what = f"The row cannot be read: {error}."
            faults.append(_fault(FaultCode.PATHOLOGY_VALUE, what, reader.line_num))


def _row(patient: PatientKey, line: int, cells: Mapping[str, str]) -> PathologyRow:
    return PathologyRow(
        patient=patient,
        line=line,
        verdict=_verdict(cells["label"]),
        age_years=_age(cells.get("age_years", "")),
        regions=_regions(cells.get("regions", "")),
        site=cells.get("site", ""),
        lesion_type=cells.get("lesion_type", ""),
    )


def _verdict(label: str) -> Verdict | None:
    verdict = verdict_of_label(label)
    if verdict is None and label.casefold() != _LESION_FREE:
        raise _WrongValue(f"The label is {label!r}; it may be benign, malignant or none.")
    return verdict


def _age(text: str) -> float | None:
    if not text:
        return None
    try:
        years = float(text.replace(",", "."))
    except ValueError:
        years = math.nan
    if not 0 <= years <= OLDEST_YEARS:
        raise _WrongValue(f"age_years is {text!r}; it may be a number from 0 to {OLDEST_YEARS:g}.")
    return years


def _regions(text: str) -> tuple[SpineRegion, ...]:
    names = [name.strip().lower() for name in text.split(";") if name.strip()]
    unknown = [name for name in names if name not in set(SpineRegion)]
    if unknown:
        raise _WrongValue(f"The region is {unknown[0]!r}; it may be {', '.join(SpineRegion)}.")
    return tuple(region for region in SpineRegion if region in names)


def _fault(code: FaultCode, what: str, line: int, patient: PatientKey | None = None) -> Fault:
    place = Place(file=PATHOLOGY_FILE, line=line)
    return Fault(code=code, what=what, place=place, patients=() if patient is None else (patient,))
