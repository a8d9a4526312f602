from pathlib import Path

import pytest

from inference.datasets import SpineRegion
from inference.errors import LabelsError
from inference.findings import Verdict
from inference.labels.faults import FaultCode, PatientKey
from inference.labels.pathology import Pathology, read_pathology
from inference.labels.pathology_rows import match_rows


def pathology(folder: Path, *lines: str) -> Pathology:
    (folder / "pathology.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = read_pathology(folder)
    assert found is not None
    return found


def test_a_folder_without_the_file_has_none(tmp_path: Path) -> None:
    assert read_pathology(tmp_path) is None


def test_every_column_is_read(tmp_path: Path) -> None:
    found = pathology(
        tmp_path,
        "patient_id,label,age_years,regions,site,lesion_type",
        "0012, Malignant ,61.5,lumbar; Thoracic,North,metastasis",
        "0013,none,,,,",
    )

    malignant, free = found.rows
    assert malignant.patient == PatientKey("0012")
    assert (malignant.verdict, malignant.age_years) == (Verdict.MALIGNANT, 61.5)
    assert malignant.regions == (SpineRegion.THORACIC, SpineRegion.LUMBAR)
    assert (malignant.site, malignant.lesion_type) == ("North", "metastasis")
    assert (free.verdict, free.age_years, free.regions) == (None, None, ())
    assert found.faults == ()


@pytest.mark.parametrize(
    "lines",
    [
        ("\ufeffPatient_ID,LABEL", "A,benign"),  # as Excel writes UTF-8
        ("patient_id;label;age_years", "A;benign;61,5"),  # as Excel writes it where the comma is decimal
        ("", "patient_id,label", "", "A,benign", ","),
        ("label,patient_id", "benign,A"),
    ],
)
def test_the_forms_that_spreadsheets_write_are_read(tmp_path: Path, lines: tuple[str, ...]) -> None:
    found = pathology(tmp_path, *lines)

    assert [(row.patient.patient_id, row.verdict) for row in found.rows] == [("A", Verdict.BENIGN)]
    assert found.faults == ()


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("A,bening,,", "'bening'"),
        ("A,,,", "''"),
        ("A,benign,old,", "'old'"),
        ("A,benign,999,", "'999'"),
        ("A,benign,,back", "'back'"),
    ],
)
def test_a_wrong_value_is_a_fault_with_its_line(tmp_path: Path, row: str, named: str) -> None:
    found = pathology(tmp_path, "patient_id,label,age_years,regions", "B,none,,", row)

    [fault] = found.faults
    assert (fault.code, fault.place.line, fault.patients) == (FaultCode.PATHOLOGY_VALUE, 3, (PatientKey("A"),))
    assert named in fault.what
    assert [row.patient.patient_id for row in found.rows] == ["B"]


def test_a_second_row_of_a_patient_is_a_fault(tmp_path: Path) -> None:
    found = pathology(tmp_path, "patient_id,label", "A,benign", "A,malignant")

    assert [(fault.code, fault.place.line) for fault in found.faults] == [(FaultCode.PATHOLOGY_TWICE, 3)]


def test_a_column_that_is_not_known_is_named(tmp_path: Path) -> None:
    found = pathology(tmp_path, "patient_id,label,sight", "A,benign,North")

    assert [fault.code for fault in found.faults] == [FaultCode.PATHOLOGY_COLUMN]
    assert "'sight'" in found.faults[0].what


def test_a_table_without_the_needed_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="no column patient_id"):
        pathology(tmp_path, "id,label", "A,benign")


def test_a_file_in_another_encoding_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "pathology.csv").write_bytes("patient_id,label,site\nA,benign,Köln\n".encode("latin-1"))

    with pytest.raises(LabelsError, match="UTF-8"):
        read_pathology(tmp_path)


def test_a_row_without_issuer_means_the_one_patient_of_that_number(tmp_path: Path) -> None:
    found = pathology(tmp_path, "patient_id,label", "A,benign", "B,malignant")
    a, b_north, b_south = PatientKey("A", "North"), PatientKey("B", "North"), PatientKey("B", "South")

    assert set(match_rows(found, [a, b_north, b_south]).rows) == {a}
    assert set(match_rows(found, [a, b_north]).rows) == {a, b_north}


def test_a_row_with_issuer_means_that_patient_alone(tmp_path: Path) -> None:
    found = pathology(tmp_path, "patient_id,issuer,label", "B,North,benign", "B,South,malignant")
    keys = [PatientKey("B", "North"), PatientKey("B", "South")]

    assert [match_rows(found, keys).rows[key].verdict for key in keys] == [Verdict.BENIGN, Verdict.MALIGNANT]
