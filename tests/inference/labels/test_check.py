"""`check_folder`: what a clean folder gives, and in which order faults are told."""

from pathlib import Path

import pytest

from inference.errors import LabelsError
from inference.findings import Verdict
from inference.labels.check import check_folder
from inference.labels.faults import RULES, FaultCode, PatientKey, Severity
from inference.phantom import generate_patient
from tests.inference.labels.hospital_folder import HospitalFolder, silent
from tests.inference.labels.phantom_folder import SEED, TINY, write_labelled_folder

A, B = PatientKey("A"), PatientKey("B")


def test_every_code_has_a_severity_and_a_remedy() -> None:
    assert set(RULES) == set(FaultCode)


def test_a_clean_folder_has_no_faults_and_gives_class_age_and_boxes(hospital: HospitalFolder) -> None:
    hospital.patient("A", "benign")
    hospital.patient("B", "malignant", PatientAge="061Y")
    hospital.pathology("A,benign", "B,malignant")

    checked = hospital.check()

    assert checked.faults == ()
    assert [(one.key, one.verdict, one.age_years) for one in checked.patients] == [
        (A, Verdict.BENIGN, 50.0),
        (B, Verdict.MALIGNANT, 61.0),
    ]
    assert [[len(boxes) for boxes in stack.boxes] for stack in checked.patients[0].stacks] == [[0, 0, 1, 1, 0, 0]]


def test_a_folder_of_labelled_phantoms_is_clean_and_keeps_every_box_on_its_slice(tmp_path: Path) -> None:
    """The phantom's truth against what is read back, slice by slice."""
    written = write_labelled_folder(tmp_path, [Verdict.BENIGN, Verdict.MALIGNANT, None])

    checked = check_folder(tmp_path, silent)

    assert checked.faults == ()
    phantoms = {one.patient_id: one for one in written}
    for patient in checked.patients:
        phantom = phantoms[patient.key.patient_id]
        assert patient.verdict is phantom.truth.label
        assert [stack.series.kind for stack in patient.stacks] == [series.kind for series in phantom.series]
        assert [stack.boxes for stack in patient.stacks] == [series.boxes for series in phantom.series]


def test_the_phantoms_of_a_folder_are_the_same_every_time(tmp_path: Path) -> None:
    [patient] = write_labelled_folder(tmp_path, [Verdict.MALIGNANT])

    assert patient.truth == generate_patient(patient.index, seed=SEED, config=TINY).truth


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="holds no DICOM image"):
        check_folder(tmp_path, silent)
    with pytest.raises(LabelsError, match="is no folder"):
        check_folder(tmp_path / "nowhere", silent)


def test_errors_come_first_then_warnings_then_infos(hospital: HospitalFolder) -> None:
    hospital.patient("A", None, WindowCenter=None)
    hospital.patient("B", PatientAge=None, PatientBirthDate=None)
    hospital.pathology("A,benign", "B,benign")

    severities = [fault.severity for fault in hospital.faults()]

    assert severities == [Severity.ERROR, Severity.WARNING, Severity.INFO]
