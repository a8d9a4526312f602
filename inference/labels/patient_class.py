"""The class of a patient: from pathology.csv, or, where there is no such file, from the labels of the boxes."""

from collections import defaultdict
from collections.abc import Sequence
from enum import Enum
from typing import Final

from inference.findings import Verdict
from inference.labels.annotation import LabelledBox
from inference.labels.faults import Fault, FaultCode, PatientKey
from inference.labels.pathology import PathologyRow


class ClassUnknown(Enum):
    """Nobody says what the patient has, or two say different things. A patient without a lesion has None instead."""

    UNKNOWN = "unknown"


UNKNOWN: Final = ClassUnknown.UNKNOWN
PatientClass = Verdict | None | ClassUnknown  # None: lesion-free


def class_by_pathology(
    patient: PatientKey, row: PathologyRow, boxes: Sequence[LabelledBox]
) -> tuple[PatientClass, list[Fault]]:
    """The verdict of the row, and one fault for each annotation file that says something else.

    Boxes of a patient whom the row calls lesion-free leave the class unknown.
    """
    against: dict[str, list[LabelledBox]] = defaultdict(list)
    for box in boxes:
        if row.verdict is None or box.verdict not in (None, row.verdict):
            against[box.place.file].append(box)
    faults = []
    for same_file in against.values():
        labels = sorted({box.verdict or "a lesion" for box in same_file})
        said = f"{_boxes_say(same_file)} {' and '.join(labels)}, pathology.csv says {row.verdict or 'none'}."
        faults.append(_fault(FaultCode.LABEL_AGAINST_PATHOLOGY, said, patient, same_file[0]))
    return UNKNOWN if row.verdict is None and faults else row.verdict, faults


def class_by_labels(patient: PatientKey, boxes: Sequence[LabelledBox]) -> tuple[PatientClass, list[Fault]]:
    """The verdict that all boxes agree on. Without a labelled box it is unknown: nobody said lesion-free."""
    first: dict[Verdict, LabelledBox] = {}
    for box in boxes:
        if box.verdict is not None:
            first.setdefault(box.verdict, box)
    if len(first) == 1:
        return next(iter(first)), []
    if first:
        other = list(first.values())[1]
        said = f"Boxes are benign ({first[Verdict.BENIGN].place.file}) and malignant."
        return UNKNOWN, [_fault(FaultCode.LABELS_DISAGREE, said, patient, other)]
    said = "There is no pathology.csv, and no box of the patient names a class."
    return UNKNOWN, [Fault(code=FaultCode.PATHOLOGY_MISSING, what=said, patients=(patient,))]


def _fault(code: FaultCode, what: str, patient: PatientKey, box: LabelledBox) -> Fault:
    return Fault(code=code, what=what, place=box.place, patients=(patient,))


def _boxes_say(boxes: Sequence[LabelledBox]) -> str:
    return "1 box says" if len(boxes) == 1 else f"{len(boxes)} boxes say"
