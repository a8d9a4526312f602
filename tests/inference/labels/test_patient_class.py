"""Class and age of a patient: from pathology.csv, from the labels of the boxes, from the images."""

import pytest

from inference.findings import Verdict
from inference.labels.faults import FaultCode, PatientKey, Severity
from tests.inference.labels.hospital_folder import HospitalFolder, only

A, B = PatientKey("A"), PatientKey("B")


def test_without_pathology_file_the_labels_give_the_class(hospital: HospitalFolder) -> None:
    hospital.patient("A", "benign")
    hospital.patient("B", "malignant")

    checked = hospital.check()

    assert [one.verdict for one in checked.patients] == [Verdict.BENIGN, Verdict.MALIGNANT]
    assert checked.faults == ()


def test_without_pathology_file_nobody_is_taken_for_lesion_free(hospital: HospitalFolder) -> None:
    hospital.patient("A", None)

    assert hospital.check().faulty == {A}
    assert only(hospital.faults()).code is FaultCode.PATHOLOGY_MISSING


def test_labels_of_one_patient_must_agree(hospital: HospitalFolder) -> None:
    images = hospital.patient("A", "benign")
    hospital.labelme(images[3], label="malignant")

    fault = only(hospital.faults())

    assert fault.code is FaultCode.LABELS_DISAGREE
    assert fault.patients == (A,)


def test_a_patient_without_pathology_is_an_error(hospital: HospitalFolder) -> None:
    hospital.patient("A")
    hospital.patient("B")
    hospital.pathology("A,benign")

    fault = only(hospital.faults())

    assert (fault.code, fault.patients, fault.severity) == (FaultCode.PATHOLOGY_MISSING, (B,), Severity.ERROR)


def test_a_row_without_images_is_a_warning_with_its_line(hospital: HospitalFolder) -> None:
    hospital.patient("A")
    hospital.pathology("A,benign", "0B,malignant")

    fault = only(hospital.faults())

    assert (fault.code, fault.severity) == (FaultCode.PATHOLOGY_WITHOUT_IMAGES, Severity.WARNING)
    assert (fault.place.file, fault.place.line) == ("pathology.csv", 3)


def test_a_row_that_does_not_say_whose_number_it_is_helps_neither_of_two_issuers(hospital: HospitalFolder) -> None:
    hospital.patient("A", IssuerOfPatientID="North")
    hospital.series("A", IssuerOfPatientID="South", StudyInstanceUID="1.2.9.1", FrameOfReferenceUID="1.2.9.2")
    hospital.pathology("A,benign")

    faults = hospital.faults(FaultCode.PATHOLOGY_MISSING)

    assert {patient.issuer for fault in faults for patient in fault.patients} == {"North", "South"}
    assert all("issuer" in fault.what for fault in faults)


def test_a_patient_listed_as_none_is_lesion_free(hospital: HospitalFolder) -> None:
    hospital.patient("A", None)
    hospital.pathology("A,none")

    checked = hospital.check()

    assert checked.faults == ()
    assert checked.patients[0].verdict is None


@pytest.mark.parametrize("row", ["A,malignant", "A,none"])
def test_a_label_against_the_pathology_names_the_file(hospital: HospitalFolder, row: str) -> None:
    hospital.patient("A", "benign")
    hospital.pathology(row)

    faults = hospital.faults()

    assert {fault.code for fault in faults} == {FaultCode.LABEL_AGAINST_PATHOLOGY}
    assert [fault.place.file for fault in faults] == ["A/series1-3.json", "A/series1-4.json"]


def test_an_unknown_age_is_a_warning_and_the_pathology_file_mends_it(hospital: HospitalFolder) -> None:
    hospital.patient("A", PatientAge=None, PatientBirthDate=None)
    hospital.pathology("A,benign")
    before = hospital.check()
    hospital.pathology("A,benign,44", header="patient_id,label,age_years")
    after = hospital.check()

    assert [fault.code for fault in before.faults] == [FaultCode.AGE_UNKNOWN]
    assert before.patients[0].age_years is None
    assert (after.faults, after.patients[0].age_years) == ((), 44.0)


def test_the_age_of_the_pathology_file_comes_before_that_of_the_images(hospital: HospitalFolder) -> None:
    hospital.patient("A", PatientAge="050Y")
    hospital.pathology("A,benign,44", header="patient_id,label,age_years")

    assert hospital.check().patients[0].age_years == 44.0


def test_several_study_dates_of_a_patient_are_a_warning(hospital: HospitalFolder) -> None:
    hospital.patient("A")
    hospital.patient("A", StudyDate="20200601", StudyInstanceUID="1.2.826.0.3.99")

    assert only(hospital.faults()).code is FaultCode.SEVERAL_STUDY_DATES
