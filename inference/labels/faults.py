"""What can be wrong with a labelled folder: one table of codes, each with its severity and what to do.

An error would spoil the data set, or cannot be decided without a person. A warning may be meant so. An info is
the usual state of an archive.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class PatientKey:
    """Who a patient is: PatientID within the organisation that issued it. Never logged."""

    patient_id: str
    issuer: str = ""  # IssuerOfPatientID

    def __str__(self) -> str:
        return f"{self.patient_id or '(none)'}{f' of {self.issuer}' if self.issuer else ''}"


def those_meant(key: PatientKey, patients: Collection[PatientKey]) -> tuple[PatientKey, ...]:
    """The patients of a folder whom a row or an annotation may mean: the one of this key, where there is one.

    Else those of the PatientID where one side says no issuer: pathology.csv and viewers often leave it out.
    """
    if key in patients:
        return (key,)
    namesakes = (one for one in patients if one.patient_id == key.patient_id)
    return tuple(one for one in namesakes if not (one.issuer and key.issuer))


class FaultCode(StrEnum):
    # files
    FILE_UNREADABLE = "file-unreadable"
    IMAGE_TWICE = "image-twice"
    SAME_INSTANCE_TWO_IMAGES = "same-instance-two-images"
    # patients
    PATIENT_ID_MISSING = "patient-id-missing"
    TWO_PERSONS_ONE_ID = "two-persons-one-id"
    ONE_PERSON_TWO_IDS = "one-person-two-ids"
    PERHAPS_ONE_PERSON = "perhaps-one-person-two-ids"
    AGE_UNKNOWN = "age-unknown"
    SEVERAL_STUDY_DATES = "several-study-dates"
    # pathology
    PATHOLOGY_MISSING = "pathology-missing"
    PATHOLOGY_WITHOUT_IMAGES = "pathology-without-images"
    PATHOLOGY_VALUE = "pathology-value"
    PATHOLOGY_TWICE = "pathology-twice"
    PATHOLOGY_COLUMN = "pathology-column"
    # series
    NO_ELIGIBLE_SERIES = "no-eligible-series"
    SERIES_NOT_ELIGIBLE = "series-not-eligible"
    MIXED_ORIENTATION = "mixed-orientation"
    PIXELS_BROKEN = "pixels-broken"
    WINDOW_MISSING = "window-missing"
    # annotations
    ANNOTATION_UNREADABLE = "annotation-unreadable"
    ANNOTATION_WITHOUT_IMAGE = "annotation-without-image"
    ANNOTATION_IMAGE_DOUBTFUL = "annotation-image-doubtful"
    ANNOTATION_BY_ALGORITHM = "annotation-by-algorithm"
    IMAGE_SIZE_DIFFERS = "image-size-differs"
    LABEL_UNKNOWN = "label-unknown"
    SHAPE_NOT_A_BOX = "shape-not-a-box"
    BOX_OUTSIDE_IMAGE = "box-outside-image"
    BOX_WITHOUT_AREA = "box-without-area"
    BOX_NOT_USED = "box-not-used"
    NO_BOX = "no-box"
    SERIES_WITHOUT_BOX = "series-without-box"
    BOX_GAP = "box-gap"
    LABEL_AGAINST_PATHOLOGY = "label-against-pathology"
    LABELS_DISAGREE = "labels-disagree"


@dataclass(frozen=True, slots=True)
class Rule:
    severity: Severity
    remedy: str  # one sentence, an order


_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

RULES: Final[dict[FaultCode, Rule]] = {
    FaultCode.FILE_UNREADABLE: Rule(_W, "Export the image again, or remove the file."),
    FaultCode.IMAGE_TWICE: Rule(_W, "Keep one copy."),
    FaultCode.SAME_INSTANCE_TWO_IMAGES: Rule(_E, "Find out which file is right and remove the other."),
    FaultCode.PATIENT_ID_MISSING: Rule(_E, "Give each patient a PatientID: without one, patients would be mixed."),
    FaultCode.TWO_PERSONS_ONE_ID: Rule(_E, "Give each person a PatientID of their own, or leave the patient out."),
    FaultCode.ONE_PERSON_TWO_IDS: Rule(_E, "Give both one PatientID: else one person is in training and in test."),
    FaultCode.PERHAPS_ONE_PERSON: Rule(_W, "Look whether they are one person; if so, give both one PatientID."),
    FaultCode.AGE_UNKNOWN: Rule(_W, "Write age_years into pathology.csv; without it the age has no say."),
    FaultCode.SEVERAL_STUDY_DATES: Rule(_W, "Keep the study that the pathology belongs to, where that matters."),
    FaultCode.PATHOLOGY_MISSING: Rule(_E, "Add the patient to pathology.csv: benign, malignant or none."),
    FaultCode.PATHOLOGY_WITHOUT_IMAGES: Rule(_W, "Compare the spelling with PatientID: zeros in front count."),
    FaultCode.PATHOLOGY_VALUE: Rule(_E, "Correct the value in pathology.csv."),
    FaultCode.PATHOLOGY_TWICE: Rule(_E, "Keep one row for each patient."),
    FaultCode.PATHOLOGY_COLUMN: Rule(_W, "Rename the column, or remove it."),
    FaultCode.NO_ELIGIBLE_SERIES: Rule(
        _E, "Add a sagittal T1, T2 or fat-suppressed T2 series, or leave the patient out."
    ),
    FaultCode.SERIES_NOT_ELIGIBLE: Rule(_I, "Nothing, where the reason is right: the node leaves it out, too."),
    FaultCode.MIXED_ORIENTATION: Rule(_W, "Export the sagittal stack as a series of its own, if it is to be used."),
    FaultCode.PIXELS_BROKEN: Rule(_W, "Export the series again; without it the patient has one series less."),
    FaultCode.WINDOW_MISSING: Rule(_I, "Nothing: the gray values go by percentiles of the series, as in the node."),
    FaultCode.ANNOTATION_UNREADABLE: Rule(_E, "Mend or remove the annotation file."),
    FaultCode.ANNOTATION_WITHOUT_IMAGE: Rule(_E, "Add the image, correct its name in the annotation, or remove that."),
    FaultCode.ANNOTATION_IMAGE_DOUBTFUL: Rule(
        _E, "Find out which image was drawn on, and correct imagePath or the file's name; remove what is a mere copy."
    ),
    FaultCode.ANNOTATION_BY_ALGORITHM: Rule(
        _W, "Remove it unless a person has corrected it: a model learns its errors."
    ),
    FaultCode.IMAGE_SIZE_DIFFERS: Rule(_E, "Annotate the image at its own size."),
    FaultCode.LABEL_UNKNOWN: Rule(_E, "Use the labels benign and malignant."),
    FaultCode.SHAPE_NOT_A_BOX: Rule(_E, "Draw a rectangle."),
    FaultCode.BOX_OUTSIDE_IMAGE: Rule(_E, "Draw the box again, inside the image."),
    FaultCode.BOX_WITHOUT_AREA: Rule(_E, "Remove the box, or draw it again: 3 pixels is the least."),
    FaultCode.BOX_NOT_USED: Rule(_W, "Draw the box on the series that is read, too, if the lesion shows there."),
    FaultCode.NO_BOX: Rule(_E, "Draw the lesion on the slices that show it, or give the patient the label none."),
    FaultCode.SERIES_WITHOUT_BOX: Rule(_W, "Draw the lesion there, too: without a box the detector learns to miss it."),
    FaultCode.BOX_GAP: Rule(_W, "Draw the lesion on these slices, too, unless there are two with a gap between."),
    FaultCode.LABEL_AGAINST_PATHOLOGY: Rule(_E, "Find out which is right: pathology.csv or the label of the box."),
    FaultCode.LABELS_DISAGREE: Rule(_E, "Give all boxes of the patient one class, or write it into pathology.csv."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a fault is. What does not apply is empty."""

    file: str = ""  # relative to the folder
    line: int | None = None  # of a text file, from 1
    series_number: int | None = None
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    frame: int | None = None  # of a multi-frame instance, from 1
    slice: int | None = None  # in the stack as it is read, from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong: `what` is one sentence without names and PatientIDs; `patients` says whose it is."""

    code: FaultCode
    what: str
    place: Place = Place()
    patients: tuple[PatientKey, ...] = ()  # whose it is; empty: nobody knows

    @property
    def severity(self) -> Severity:
        return RULES[self.code].severity

    @property
    def remedy(self) -> str:
        return RULES[self.code].remedy
