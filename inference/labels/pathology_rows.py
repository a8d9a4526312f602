"""Which row of pathology.csv means which patient of the folder, and why a patient has none."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from inference.labels.faults import Fault, FaultCode, PatientKey, Place, those_meant
from inference.labels.pathology import PATHOLOGY_FILE, Pathology, PathologyRow


class NoRow(StrEnum):
    """Why a patient has no row; the values are the second half of a sentence."""

    NO_FILE = "there is no pathology.csv"
    FAULTY = "a row that may mean the patient has a fault, which is told"
    MISSING = "pathology.csv has no row for the patient"
    AMBIGUOUS = "several issuers use this PatientID, and the row names none of them (column issuer)"


@dataclass(frozen=True, slots=True)
class MatchedRows:
    rows: Mapping[PatientKey, PathologyRow]
    no_row: Mapping[PatientKey, NoRow]  # all other patients
    faults: tuple[Fault, ...] = ()


def match_rows(pathology: Pathology | None, patients: Collection[PatientKey]) -> MatchedRows:
    """The one row of each patient. A row without issuer means the one patient of that PatientID, whoever issued it."""
    if pathology is None:
        return MatchedRows({}, dict.fromkeys(patients, NoRow.NO_FILE))
    meant = _rows_meant(pathology, patients)
    twice = {patient: found for patient, found in meant.items() if len(found) > 1}
    faulty = {*twice}.union(*(those_meant(key, patients) for key in pathology.faulty))
    rows = {patient: found[0] for patient, found in meant.items() if found and patient not in faulty}
    no_row = {patient: _why(patient, pathology, faulty) for patient in patients if patient not in rows}
    second_rows = (_second_row(patient, found) for patient, found in twice.items())
    return MatchedRows(rows, no_row, (*second_rows, *_without_images(pathology, meant)))


def _rows_meant(pathology: Pathology, patients: Collection[PatientKey]) -> dict[PatientKey, list[PathologyRow]]:
    """Two where one row names the issuer and another one does not."""
    rows = {row.patient: row for row in pathology.rows}
    owners = Counter(patient.patient_id for patient in patients)
    meant = {}
    for patient in patients:
        of_any_issuer = [PatientKey(patient.patient_id)] if owners[patient.patient_id] == 1 else []
        meant[patient] = [rows[key] for key in dict.fromkeys([patient, *of_any_issuer]) if key in rows]
    return meant


def _why(patient: PatientKey, pathology: Pathology, faulty: Collection[PatientKey]) -> NoRow:
    if patient in faulty:
        return NoRow.FAULTY
    named = any(row.patient == PatientKey(patient.patient_id) for row in pathology.rows)
    return NoRow.AMBIGUOUS if named else NoRow.MISSING


def _second_row(patient: PatientKey, rows: Sequence[PathologyRow]) -> Fault:
    place = Place(file=PATHOLOGY_FILE, line=max(row.line for row in rows))
    said = "The patient has a row before this one: one of them names the issuer, the other does not."
    return Fault(code=FaultCode.PATHOLOGY_TWICE, what=said, place=place, patients=(patient,))


def _without_images(pathology: Pathology, meant: Mapping[PatientKey, Sequence[PathologyRow]]) -> Iterator[Fault]:
    there = {patient.patient_id for patient in meant}
    used = {row.line for found in meant.values() for row in found}
    for row in pathology.rows:
        if row.line not in used:
            other_issuer = row.patient.patient_id in there
            said = "There are no images of the patient" + (" from this issuer." if other_issuer else ".")
            place = Place(file=PATHOLOGY_FILE, line=row.line)
            yield Fault(code=FaultCode.PATHOLOGY_WITHOUT_IMAGES, what=said, place=place, patients=(row.patient,))
