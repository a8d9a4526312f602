"""How a patient is written, and the study that the patient is then."""

from dataclasses import dataclass

from inference.findings import SequenceKind
from inference.phantom.dicom.habits import PLAIN, Habits
from inference.phantom.dicom.identifiers import phantom_uid
from inference.phantom.patient import PhantomPatient


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyForm:
    """How a patient is written; the patient stays the same."""

    kinds: tuple[SequenceKind, ...] = tuple(SequenceKind)
    enhanced: bool = False  # sagittal series as one Enhanced MR instance each, else as one classic instance per slice
    distractors: bool = False  # add an axial T2 series and a three-plane localizer, classic ones
    habits: Habits = PLAIN


@dataclass(frozen=True, eq=False, kw_only=True)
class PhantomStudy:
    """A patient in one form."""

    patient: PhantomPatient
    form: StudyForm

    def uid(self, *names: object) -> str:
        """Of the study or something in it: in another form it has other content, so it is another one."""
        return phantom_uid(self.patient, self.form, *names)
