"""What all objects about one patient share: patient, study, frame of reference, equipment.

Source: PS3.3 C.7.1, C.7.2, C.7.4.1, C.7.5.1.
"""

from datetime import date, timedelta
from typing import Final

from pydicom.dataset import Dataset

from inference.phantom.dicom.form import PhantomStudy
from inference.phantom.dicom.habits import AgeSaid, Habits
from inference.phantom.dicom.identifiers import MANUFACTURER, MODEL_NAME, NOTICE, phantom_uid
from inference.phantom.dicom.wording import Wording, study_description
from inference.phantom.identity import software_version
from inference.phantom.patient import PhantomPatient

STUDY_DATE: Final = date(2024, 1, 1)  # no clock: reruns must give the same bytes
_STUDY_TIME: Final = "120000"
_LATIN_1: Final = "ISO_IR 100"
_UTF_8: Final = "ISO_IR 192"
_COUNTRY_SETS: Final[dict[Wording, str | list[str]]] = {Wording.JAPANESE: ["", "ISO 2022 IR 87"]}


def add_patient_and_study(dataset: Dataset, study: PhantomStudy, habits: Habits) -> None:
    dataset.SpecificCharacterSet = _UTF_8 if habits.utf_8 else _COUNTRY_SETS.get(habits.wording, _LATIN_1)
    _add_patient(dataset, study.patient, habits)
    dataset.StudyInstanceUID = study.uid("study")
    dataset.StudyDate = f"{STUDY_DATE:%Y%m%d}"
    dataset.StudyTime = "" if habits.empty_type_2 else _STUDY_TIME
    dataset.StudyID = "" if habits.empty_type_2 else f"{study.patient.index % 10**10}"
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = study_description(habits.wording)


def _add_patient(dataset: Dataset, patient: PhantomPatient, habits: Habits) -> None:
    dataset.PatientName = f"Phantom^{patient.index:06d}"
    dataset.PatientID = patient.patient_id
    dataset.PatientSex = "" if habits.empty_type_2 else patient.sex
    dataset.PatientBirthDate = "" if habits.age is AgeSaid.AGE else f"{birth_date(patient):%Y%m%d}"
    if habits.age is not AgeSaid.BIRTH_DATE:
        dataset.PatientAge = "000Y" if habits.age is AgeSaid.ZERO else f"{patient.age_years:03d}Y"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "SYNTHETIC PHANTOM"
    dataset.QualityControlSubject = "YES"


def birth_date(patient: PhantomPatient) -> date:
    """A day on which the patient's age in whole years is the drawn one; another for each patient."""
    last_birthday = STUDY_DATE - timedelta(days=1 + (patient.index * 37) % 364)
    return date(last_birthday.year - patient.age_years, last_birthday.month, min(last_birthday.day, 28))


def add_equipment(dataset: Dataset, patient: PhantomPatient) -> None:
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MODEL_NAME
    dataset.SoftwareVersions = software_version()
    dataset.DeviceSerialNumber = "0"
    dataset.InstitutionName = f"PHANTOM SITE {patient.site}"[:64]


def add_frame_of_reference(dataset: Dataset, patient: PhantomPatient) -> None:
    """All series of a patient lie in one frame, in whatever form."""
    dataset.FrameOfReferenceUID = phantom_uid(patient, "frame")
    dataset.PositionReferenceIndicator = ""


def add_series(dataset: Dataset, *, uid: str, number: int, description: str, modality: str, habits: Habits) -> None:
    dataset.Modality = modality
    dataset.SeriesInstanceUID = uid
    dataset.SeriesNumber = None if habits.empty_type_2 else number
    if description:
        dataset.SeriesDescription = description
    dataset.SeriesDate = f"{STUDY_DATE:%Y%m%d}"
    dataset.SeriesTime = clock_time(number)


def clock_time(number: int) -> str:
    """Series and objects follow each other by the minute."""
    return f"12{number % 60:02d}00"


def add_quality_control(dataset: Dataset) -> None:
    dataset.QualityControlImage = "YES"
    dataset.BurnedInAnnotation = "NO"
    dataset.ImageComments = NOTICE
