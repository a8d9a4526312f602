"""What the DICOM objects of the truth have in common: identity, times, and the images that highdicom is shown."""

from dataclasses import dataclass, replace
from typing import Final

from pydicom.dataset import Dataset

from inference.phantom.dicom.classic import classic_instance
from inference.phantom.dicom.enhanced import enhanced_instance
from inference.phantom.dicom.form import PhantomStudy, StudyForm
from inference.phantom.dicom.habits import PLAIN
from inference.phantom.dicom.patient_study import (
    STUDY_DATE,
    add_equipment,
    add_patient_and_study,
    add_series,
    clock_time,
)
from inference.phantom.dicom.study import StudyFile, study_files
from inference.phantom.dicom.values import file_meta
from inference.phantom.patient import PhantomPatient

_OF_THE_IMAGES: Final = ("PatientAge", "ContributingEquipmentSequence")


@dataclass(frozen=True, eq=False, kw_only=True)
class WrittenStudy(PhantomStudy):
    """A patient as the files of the study show it."""

    files: tuple[StudyFile, ...]

    @classmethod
    def of(cls, patient: PhantomPatient, form: StudyForm) -> "WrittenStudy":
        return cls(patient=patient, form=form, files=tuple(study_files(patient, form)))

    @property
    def sagittal_numbers(self) -> list[int]:
        """SeriesNumber of each sagittal series."""
        return sorted({file.stack.number for file in self.files if file.stack.series is not None})

    def files_of(self, number: int) -> list[StudyFile]:
        return [file for file in self.files if file.stack.number == number]


def source_images(study: WrittenStudy, number: int) -> list[Dataset]:
    """The images of a series for highdicom, with all attributes that a site may leave out, in the order of the files.

    The habit stays that says where which slice is.
    """
    habits = replace(PLAIN, reversed_numbers=study.form.habits.reversed_numbers)
    files = study.files_of(number)
    if study.form.enhanced:
        return [enhanced_instance(study, files[0].stack, habits)]
    return [
        classic_instance(study, file.stack, file.slices[0], place=(place, len(files)), habits=habits)
        for place, file in enumerate(files, start=1)
    ]


def finish(dataset: Dataset, study: WrittenStudy, *, number: int, description: str) -> Dataset:
    """Patient and study as on the images, times without a clock; returns the same dataset.

    `number` is the SeriesNumber. The object needs its SOP Class, SOP Instance, Series and Modality.
    """
    habits = study.form.habits
    for keyword in _OF_THE_IMAGES:
        dataset.pop(keyword, None)
    add_patient_and_study(dataset, study, habits)
    uid, modality = str(dataset.SeriesInstanceUID), str(dataset.Modality)
    add_series(dataset, uid=uid, number=number, description=description, modality=modality, habits=PLAIN)
    add_equipment(dataset, study.patient)
    for what in ("InstanceCreation", "Content"):
        setattr(dataset, f"{what}Date", f"{STUDY_DATE:%Y%m%d}")
        setattr(dataset, f"{what}Time", clock_time(number))
    dataset.file_meta = file_meta(dataset.SOPClassUID, dataset.SOPInstanceUID, implicit_vr=habits.implicit_vr)
    return dataset
