"""Class and age of a patient: from pathology.csv, from the labels of the boxes, from the images."""

import pytest

from inference.findings import Verdict
from inference.labels.faults import FaultCode, PatientKey, Severity
from inference.labels.patient_class import UNKNOWN
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

    checked = hospital.check()

    assert checked.faulty == {A}
    assert checked.patients[0].verdict is UNKNOWN
    assert only(checked.faults).code is FaultCode.PATHOLOGY_MISSING


def test_labels_of_one_patient_must_agree(hospital: HospitalFolder) -> None:
    images = hospital.patient("A", "benign")
    hospital.labelme(images[3], label="malignant")

    checked = hospital.check()

    fault = only(checked.faults)
    assert fault.code is FaultCode.LABELS_DISAGREE
    assert fault.patients == (A,)
    assert checked.patients[0].verdict is UNKNOWN


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


WITH_ALL = "patient_id,issuer,label,age_years,regions"


@pytest.mark.parametrize("row", ["A,,malignent,,", "A,,malignant,old,", "A,,malignant,,knee"])
@pytest.mark.parametrize("issuer", ["", "North"])
def test_a_faulty_row_that_names_no_issuer_is_the_fault_of_its_patient_and_leaves_the_class_unknown(
    hospital: HospitalFolder, issuer: str, row: str
) -> None:
    hospital.patient("A", "malignant", IssuerOfPatientID=issuer)
    hospital.patient("B", IssuerOfPatientID=issuer)
    hospital.pathology(row, "B,,benign,,", header=WITH_ALL)

    checked = hospital.check()

    fault = only(checked.faults)
    assert (fault.code, fault.patients) == (FaultCode.PATHOLOGY_VALUE, (PatientKey("A", issuer),))
    assert [one.verdict for one in checked.patients] == [UNKNOWN, Verdict.BENIGN]


def test_a_faulty_row_that_names_an_issuer_is_the_fault_of_the_patient_whose_images_name_none(
    hospital: HospitalFolder,
) -> None:
    hospital.patient("A")
    hospital.pathology("A,North,bening,,", header=WITH_ALL)

    checked = hospital.check()

    assert {patient for fault in checked.faults for patient in fault.patients} == {A}
    assert checked.patients[0].verdict is UNKNOWN


@pytest.mark.parametrize("boxes", ["malignant", None])
@pytest.mark.parametrize(
    "rows",
    [
        ("A,,benign,,", "A,,malignant,,"),
        ("A,,none,,", "A,,malignant,,"),
        ("A,North,none,,", "A,,malignant,,"),
        ("A,,none,,", "A,North,malignant,,"),
        ("A,,none,,", "A,,malignent,,"),
    ],
)
def test_two_rows_for_one_patient_leave_the_class_unknown(
    hospital: HospitalFolder, rows: tuple[str, ...], boxes: str | None
) -> None:
    hospital.patient("A", boxes, IssuerOfPatientID="North")
    hospital.pathology(*rows, header=WITH_ALL)

    checked = hospital.check()

    fault = only(checked.faults)
    assert (fault.code, fault.patients, fault.place.line) == (FaultCode.PATHOLOGY_TWICE, (PatientKey("A", "North"),), 3)
    assert checked.patients[0].verdict is UNKNOWN


def test_the_faulty_row_of_one_issuer_does_not_hide_that_another_issuers_patient_has_none(
    hospital: HospitalFolder,
) -> None:
    hospital.patient("A", IssuerOfPatientID="North")
    hospital.patient("A", IssuerOfPatientID="South", StudyInstanceUID="1.2.9.1", FrameOfReferenceUID="1.2.9.2")
    hospital.pathology("A,North,bening,,", header=WITH_ALL)

    faults = hospital.faults(FaultCode.PATHOLOGY_MISSING, FaultCode.PATHOLOGY_VALUE)

    assert {(fault.code, fault.patients) for fault in faults} == {
        (FaultCode.PATHOLOGY_VALUE, (PatientKey("A", "North"),)),
        (FaultCode.PATHOLOGY_MISSING, (PatientKey("A", "South"),)),
    }


def test_boxes_of_a_patient_listed_as_none_leave_the_class_unknown(hospital: HospitalFolder) -> None:
    hospital.patient("A", "benign")
    hospital.pathology("A,none")

    assert hospital.check().patients[0].verdict is UNKNOWN


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
