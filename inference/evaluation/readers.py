"""Human readers of the same patients, beside the model.

`readers.csv` has the columns patient, reader, with_age (yes or no) and verdict (benign or malignant), one line per
patient and reading; a reader who read with and without the age has two lines per patient. A column data_sha256 says of
which data set the names are; without it only the names are checked. Commas or, as some spreadsheets save it,
semicolons.
"""

import csv
import io
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from inference.errors import EvaluationError
from inference.evaluation.comparison import mcnemar
from inference.evaluation.diagnosis import Diagnosis, undetected
from inference.evaluation.metrics import confusion
from inference.evaluation.results import ReaderRow
from inference.findings import Verdict

COLUMNS: Final = ("patient", "reader", "with_age", "verdict")
_DATA: Final = "data_sha256"
_YES_NO: Final = {"yes": True, "no": False}
_VERDICTS: Final = {verdict.value: verdict for verdict in Verdict}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ReaderVerdicts:
    reader: str
    with_age: bool
    verdicts: Mapping[str, Verdict]  # by patient identifier


def read_readers(file: Path, patient_ids: Container[str], *, data_sha256: str) -> list[ReaderVerdicts]:
    """In the order of the file. `patient_ids` are all patients of the data set, `data_sha256` is its hash.

    Raises EvaluationError naming the line that cannot be used.
    """
    readings: dict[tuple[str, bool], dict[str, Verdict]] = {}
    for number, line in _lines(file):
        where = f"{file} line {number}"
        _require_data_set(line, data_sha256, where)
        reader, with_age = _text(line, "reader", where), _one_of(line, "with_age", _YES_NO, where)
        patient, verdict = _text(line, "patient", where), _one_of(line, "verdict", _VERDICTS, where)
        if patient not in patient_ids:
            raise EvaluationError(f"{where}: patient {patient!r} is not in the data set; use its pseudonyms")
        verdicts = readings.setdefault((reader, with_age), {})
        if patient in verdicts:
            raise EvaluationError(f"{where}: reader {reader!r} has read patient {patient!r} before; keep one line")
        verdicts[patient] = verdict
    return [ReaderVerdicts(reader, with_age, verdicts) for (reader, with_age), verdicts in readings.items()]


def _require_data_set(line: Mapping[str, str | None], data_sha256: str, where: str) -> None:
    """Patients are numbered anew in each data set: there the same name is somebody else."""
    if _DATA not in line:
        return
    named = _text(line, _DATA, where).lower()
    if named != data_sha256:
        raise EvaluationError(
            f"{where}: the reading is of another data set (sha256 {named[:16]}, not {data_sha256[:16]}), whose names "
            "may mean other patients; take the data set that was read. Where you know that each name means the same "
            f"patient in both, take the column {_DATA} out"
        )


def _lines(file: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Lines that are not empty, with their numbers."""
    try:
        content = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{file} is no UTF-8 text: save it again as CSV UTF-8") from error
    header = content.partition("\n")[0]
    lines = csv.DictReader(io.StringIO(content), delimiter=";" if ";" in header and "," not in header else ",")
    try:
        yield from _rows(lines, file)
    except csv.Error as error:  # DictReader counts a line when its row is whole
        raise EvaluationError(f"{file} line {lines.reader.line_num}: {error}; correct the line") from error


def _rows(lines: "csv.DictReader[str]", file: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    missing = [column for column in COLUMNS if column not in (lines.fieldnames or ())]
    if missing:
        raise EvaluationError(f"{file} has no column {', '.join(missing)}; its first line must name all of {COLUMNS}")
    for line in lines:
        if any(line[column] for column in COLUMNS):
            yield lines.line_num, line


def reader_rows(readers: Sequence[ReaderVerdicts], model: Sequence[Diagnosis]) -> tuple[ReaderRow, ...]:
    """Each reading beside the model on the same patients.

    Raises EvaluationError when a reader has read no malignant or no benign one of the evaluated patients.
    """
    return tuple(_row(reading, [one for one in model if one.patient_id in reading.verdicts]) for reading in readers)


def _row(reading: ReaderVerdicts, model: Sequence[Diagnosis]) -> ReaderRow:
    truth = [one.is_malignant for one in model]
    if not 0 < sum(truth) < len(truth):
        raise EvaluationError(
            f"reader {reading.reader!r} has read {sum(truth)} malignant and {len(truth) - sum(truth)} benign ones of "
            "the evaluated patients; a row needs both classes"
        )
    said = [reading.verdicts[one.patient_id] is Verdict.MALIGNANT for one in model]
    reader_right = [malignant is true for malignant, true in zip(said, truth, strict=True)]
    return ReaderRow(
        reader=reading.reader,
        with_age=reading.with_age,
        readings=len(reading.verdicts),
        counts=confusion(said, truth),
        model_counts=confusion([one.said_malignant for one in model], truth),
        model_undetected=undetected(model),
        against_model=mcnemar([one.is_right for one in model], reader_right),
    )


def _text(line: Mapping[str, str | None], column: str, where: str) -> str:
    text = (line[column] or "").strip()
    if not text:
        raise EvaluationError(f"{where}: {column} is empty; every line needs one")
    return text


def _one_of(line: Mapping[str, str | None], column: str, allowed: Mapping[str, _T], where: str) -> _T:
    text = _text(line, column, where).lower()
    if text not in allowed:
        raise EvaluationError(f"{where}: {column} is {text!r}, expected one of {sorted(allowed)}")
    return allowed[text]
