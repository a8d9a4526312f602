"""The files of one study: names, order and pixels."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage

from inference.phantom.dicom.classic import classic_instance
from inference.phantom.dicom.enhanced import enhanced_instance, stored_order
from inference.phantom.dicom.form import PhantomStudy, StudyForm
from inference.phantom.dicom.stacks import ImageStack, distractor_stacks, sagittal_stacks
from inference.phantom.patient import PhantomPatient


@dataclass(frozen=True, eq=False, kw_only=True)
class StudyFile:
    """One file to be, without pixels; `slices` are the places in the stack of its images, in the order of the file."""

    name: str
    header: Dataset
    stack: ImageStack
    slices: tuple[int, ...]

    def frame_of(self, position: int) -> int | None:
        """Frame number, from 1, of a slice; None in a classic instance."""
        return self.slices.index(position) + 1 if self.header.SOPClassUID == EnhancedMRImageStorage else None


def write_study(
    patient: PhantomPatient, folder: Path, *, distractors: bool = False, form: StudyForm | None = None
) -> tuple[Path, ...]:
    """Write every image of the patient as a Part 10 file under `folder`; returns the files in spatial order.

    `distractors` is short for a form with them: series that no pipeline should use. A `form` that is given says that
    itself. Same patient and form, same bytes. Raises OSError when the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return tuple(write_file(file, folder) for file in study_files(patient, form or StudyForm(distractors=distractors)))


def write_file(file: StudyFile, folder: Path) -> Path:
    file.header.PixelData = file.stack.pixels[list(file.slices)].astype("<u2").tobytes()
    path = folder / file.name
    file.header.save_as(path, enforce_file_format=True)
    del file.header.PixelData
    return path


def study_files(patient: PhantomPatient, form: StudyForm) -> Iterator[StudyFile]:
    study = PhantomStudy(patient=patient, form=form)
    sagittal = sagittal_stacks(patient, form.kinds)
    if form.enhanced:
        yield from (_enhanced(study, stack) for stack in sagittal)
        sagittal = []
    yield from _classic(study, sagittal + (distractor_stacks(patient) if form.distractors else []))


def _enhanced(study: PhantomStudy, stack: ImageStack) -> StudyFile:
    return StudyFile(
        name=f"series{stack.number:02d}.dcm",
        header=enhanced_instance(study, stack, study.form.habits),
        stack=stack,
        slices=tuple(stored_order(stack, study.form.habits)),
    )


def _classic(study: PhantomStudy, stacks: list[ImageStack]) -> Iterator[StudyFile]:
    """One file per slice; stacks of one number are one series, numbered through."""
    counts = Counter[int]()
    for stack in stacks:
        counts[stack.number] += stack.slices
    done = Counter[int]()
    for stack in stacks:
        for position in range(stack.slices):
            done[stack.number] += 1
            place = (done[stack.number], counts[stack.number])
            yield StudyFile(
                name=f"series{stack.number:02d}-{place[0]:03d}.dcm",
                header=classic_instance(study, stack, position, place=place, habits=study.form.habits),
                stack=stack,
                slices=(position,),
            )
