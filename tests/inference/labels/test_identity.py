"""Patients that are mixed under one number, and persons that are there under two."""

import json
from typing import Any

import pytest
from pydicom import dcmread

from inference.labels.faults import Fault, FaultCode, PatientKey, Severity
from inference.labels.person_names import can_be_one, name_words
from tests.inference.labels.hospital_folder import HospitalFolder

A, B = PatientKey("A"), PatientKey("B")
JANE = {"PatientName": "Doe^Jane", "PatientBirthDate": "19620304"}


def identity_faults(hospital: HospitalFolder) -> list[Fault]:
    return list(
        hospital.faults(
            FaultCode.ONE_PERSON_TWO_IDS,
            FaultCode.PERHAPS_ONE_PERSON,
            FaultCode.TWO_PERSONS_ONE_ID,
            FaultCode.PATIENT_ID_MISSING,
        )
    )


@pytest.mark.parametrize(
    ("shared", "evidence"),
    [
        (JANE, "name and birth date"),
        ({"StudyInstanceUID": "1.2.826.0.3.8"}, "1 StudyInstanceUID"),
        ({"FrameOfReferenceUID": "1.2.826.0.4.8"}, "1 FrameOfReferenceUID"),
    ],
)
def test_one_person_under_two_numbers_is_an_error_of_both(
    hospital: HospitalFolder, shared: dict[str, Any], evidence: str
) -> None:
    hospital.patient("A", **shared)
    hospital.patient("B", **shared)

    [fault] = identity_faults(hospital)

    assert (fault.code, fault.severity, fault.patients) == (FaultCode.ONE_PERSON_TWO_IDS, Severity.ERROR, (A, B))
    assert evidence in fault.what


def test_images_with_the_same_pixels_under_two_numbers_are_an_error(hospital: HospitalFolder) -> None:
    for image in hospital.patient("A"):
        again = dcmread(image)
        again.PatientID, again.PatientName, again.StudyInstanceUID = "B", "Else^Someone", "1.2.826.0.3.8"
        again.FrameOfReferenceUID, again.SeriesInstanceUID = "1.2.826.0.4.8", "1.2.826.0.2.88"
        again.SOPInstanceUID += ".9"
        again.save_as(image.with_name(f"b-{image.name}"))

    [fault] = identity_faults(hospital)

    assert (fault.code, fault.patients) == (FaultCode.ONE_PERSON_TWO_IDS, (A, B))
    assert "the pixels of 6 images" in fault.what


def test_images_of_air_alone_are_alike_and_prove_nothing(hospital: HospitalFolder) -> None:
    hospital.patient("A", PixelData=bytes(2 * 24 * 30))
    hospital.patient("B", PixelData=bytes(2 * 24 * 30))

    assert identity_faults(hospital) == []


@pytest.mark.parametrize(
    "shared",
    [
        {"PatientName": "Doe^Jane", "PatientBirthDate": "19000101"},  # a de-identifier's date
        {"PatientName": "ANONYMOUS^", "PatientBirthDate": "19620304"},
        {"PatientName": "Doe^Jane", "PatientBirthDate": ""},
    ],
)
def test_what_de_identifiers_write_for_everybody_proves_nothing(
    hospital: HospitalFolder, shared: dict[str, str]
) -> None:
    hospital.patient("A", **shared)
    hospital.patient("B", **shared)

    assert identity_faults(hospital) == []


def test_the_same_name_in_de_identified_images_is_a_warning(hospital: HospitalFolder) -> None:
    hospital.patient("A", PatientIdentityRemoved="YES", **JANE)
    hospital.patient("B", PatientIdentityRemoved="YES", **JANE)

    [fault] = identity_faults(hospital)

    assert (fault.code, fault.severity) == (FaultCode.PERHAPS_ONE_PERSON, Severity.WARNING)


@pytest.mark.parametrize(
    ("other", "attribute"),
    [({"PatientName": "Doe^John"}, "PatientName"), ({"PatientBirthDate": "19630304"}, "PatientBirthDate")],
)
def test_two_persons_under_one_number_are_an_error_that_names_the_files(
    hospital: HospitalFolder, other: dict[str, str], attribute: str
) -> None:
    hospital.patient("A", **JANE)
    hospital.patient("A", **{**JANE, **other})

    [fault] = identity_faults(hospital)

    assert (fault.code, fault.patients) == (FaultCode.TWO_PERSONS_ONE_ID, (A,))
    assert attribute in fault.what
    assert "A/series1-" in fault.what
    assert fault.place.file.startswith("A/series2-")


def test_images_without_a_number_are_an_error(hospital: HospitalFolder) -> None:
    hospital.patient("")

    [fault] = identity_faults(hospital)

    assert (fault.code, fault.patients) == (FaultCode.PATIENT_ID_MISSING, (PatientKey(""),))


def test_the_same_number_of_two_issuers_is_two_patients(hospital: HospitalFolder) -> None:
    hospital.patient("A", IssuerOfPatientID="North", **JANE)
    hospital.patient(
        "A",
        IssuerOfPatientID="South",
        PatientName="Roe^Rob",
        StudyInstanceUID="1.2.826.0.3.8",
        FrameOfReferenceUID="1.2.826.0.4.8",
    )

    checked = hospital.check()

    assert [str(one.key) for one in checked.patients] == ["A of North", "A of South"]
    assert checked.faults == ()


def test_no_fault_tells_a_name_or_a_birth_date(hospital: HospitalFolder) -> None:
    hospital.patient("A", **JANE)
    hospital.patient("A", PatientName="Roe^Rob", PatientBirthDate="19500607")
    hospital.patient("B", **JANE)

    said = json.dumps([repr(fault) for fault in hospital.faults()])

    assert "birth date" in said
    for secret in ("Doe", "Jane", "Roe", "Rob", "19620304", "19500607"):
        assert secret.lower() not in said.lower()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("DOE^JANE", "Doe^Jane^^Dr", True),
        ("Doe Jane", "Doe^Jane", True),
        ("Müller^Änne", "MULLER^ANNE", True),
        ("Doe^Jane^Mary", "Doe^Jane", True),
        ("Doe^Jane", "Doe^John", False),
        ("Yamada^Tarou=山田^太郎", "Yamada^Tarou", True),
        ("山田^太郎", "Yamada^Tarou", True),  # two scripts cannot be compared
        ("", "Doe^Jane", True),
    ],
)
def test_names_are_compared_as_people_write_them(one: str, other: str, same: bool) -> None:
    assert can_be_one(name_words(one), name_words(other)) is same
    assert can_be_one(name_words(other), name_words(one)) is same
