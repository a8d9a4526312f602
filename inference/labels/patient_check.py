"""One patient: which series are read, as the node would, what lies on them, and what is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from inference.datasets import SpineRegion
from inference.errors import PixelError
from inference.findings import Box, Reason, SeriesLeftOut, Verdict
from inference.labels.annotation import ImageKey
from inference.labels.box_faults import PlacedBox, box_faults, gaps_between_boxes
from inference.labels.dicom_folder import FoundInstance
from inference.labels.faults import Fault, FaultCode, PatientKey, Place
from inference.labels.image_faults import PixelMemory, repeated_instances
from inference.labels.pathology import PathologyRow
from inference.labels.pathology_rows import NoRow
from inference.labels.patient_class import UNKNOWN, PatientClass, class_by_labels, class_by_pathology
from inference.selection import EligibleSeries, patient_age_years, select_series
from inference.volume import load_volume

_NO_IMAGES: Final = frozenset({Reason.NOT_AN_IMAGE})  # presentation states and the like: nobody misses them


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledStack:
    """A series that is read, and the boxes of each slice, in image pixels."""

    series: EligibleSeries
    boxes: tuple[tuple[Box, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPatient:
    """What goes into the data set, unless a fault forbids it."""

    key: PatientKey
    verdict: PatientClass
    age_years: float | None
    stacks: tuple[LabelledStack, ...]
    regions: tuple[SpineRegion, ...] = ()
    site: str = ""
    lesion_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientMaterial:
    """What the folder holds of one patient."""

    key: PatientKey
    instances: tuple[FoundInstance, ...]
    boxes: Mapping[ImageKey, Sequence[PlacedBox]]
    row: PathologyRow | None
    no_row: NoRow | None  # why `row` is None


def check_patient(material: PatientMaterial, memory: PixelMemory) -> tuple[CheckedPatient, list[Fault]]:
    """Decodes every series that is read, one at a time; `memory` gets their pixels' hashes."""
    checker = _Checker(material)
    verdict = checker.verdict()
    series = checker.read_series(memory)
    stacks = tuple(LabelledStack(series=one, boxes=checker.boxes_of(one)) for one in series)
    checker.judge_boxes(stacks, verdict)
    row = material.row
    patient = CheckedPatient(
        key=material.key,
        verdict=verdict,
        age_years=checker.age(),
        stacks=stacks,
        regions=row.regions if row else (),
        site=row.site if row else "",
        lesion_type=row.lesion_type if row else "",
    )
    return patient, checker.faults


class _Checker:
    """Collects the faults of one patient."""

    def __init__(self, material: PatientMaterial) -> None:
        self._material = material
        self._places = {one.head.series_instance_uid: one.place for one in reversed(material.instances)}
        self.faults: list[Fault] = list(repeated_instances(material.instances))

    def _add(self, code: FaultCode, what: str, place: Place | None = None) -> None:
        self.faults.append(Fault(code=code, what=what, place=place or Place(), patients=(self._material.key,)))

    def verdict(self) -> PatientClass:
        key, row, no_row = self._material.key, self._material.row, self._material.no_row
        boxes = [one.labelled for placed in self._material.boxes.values() for one in placed]
        if row is None and no_row is not NoRow.NO_FILE:
            if no_row is not NoRow.FAULTY:
                self._add(FaultCode.PATHOLOGY_MISSING, f"The class is unknown: {no_row}.")
            return UNKNOWN
        verdict, faults = class_by_labels(key, boxes) if row is None else class_by_pathology(key, row, boxes)
        self.faults += faults
        return verdict

    def age(self) -> float | None:
        """As the node finds it; pathology.csv overrides."""
        heads = [one.head for one in self._material.instances]
        dates = {head.study_date for head in heads if head.study_date}
        if len(dates) > 1:
            said = f"The images are of {len(dates)} study dates; the node answers for each date by itself."
            self._add(FaultCode.SEVERAL_STUDY_DATES, said)
        if self._material.row is not None and self._material.row.age_years is not None:
            return self._material.row.age_years
        age = patient_age_years(heads)
        if age is None:
            self._add(FaultCode.AGE_UNKNOWN, "The images do not say the age, or contradict each other.")
        return age

    def read_series(self, memory: PixelMemory) -> list[EligibleSeries]:
        selection = select_series([one.head for one in self._material.instances])
        for left in selection.left_out:
            self._left_out(left)
        read = [one for one in selection.eligible if self._can_be_read(one, memory)]
        if not read:
            reasons = sorted({left.reason for left in selection.left_out} - _NO_IMAGES)
            said = f"No series can be read{': ' if reasons else ''}{', '.join(reasons)}."
            self._add(FaultCode.NO_ELIGIBLE_SERIES, said)
        return read

    def _left_out(self, left: SeriesLeftOut) -> None:
        if left.reason in _NO_IMAGES:
            return
        mixed = left.reason is Reason.MIXED_ORIENTATION
        code = FaultCode.MIXED_ORIENTATION if mixed else FaultCode.SERIES_NOT_ELIGIBLE
        said = f"The series is not read ({left.reason}): {left.detail}."
        self._add(code, said, self._series_place(left.series_instance_uid))

    def _can_be_read(self, series: EligibleSeries, memory: PixelMemory) -> bool:
        place = self._series_place(series.series_instance_uid)
        try:
            volume = load_volume(series)
        except PixelError as error:
            self._add(FaultCode.PIXELS_BROKEN, f"The series is not read: {error}.", place)
            return False
        memory.add(self._material.key, series, volume.pixels, place)
        windows = {one.window for one in series.slices}
        if None in windows:
            self._add(FaultCode.WINDOW_MISSING, "Images of the series have no window that can be used.", place)
        elif len(windows) > 1:
            self._add(FaultCode.WINDOW_MISSING, f"The images of the series have {len(windows)} windows.", place)
        return True

    def _series_place(self, series_uid: str) -> Place:
        """The series as a whole; its first file says where it is."""
        return replace(self._places[series_uid], sop_instance_uid="")

    def boxes_of(self, series: EligibleSeries) -> tuple[tuple[Box, ...], ...]:
        keys = [ImageKey(one.image.sop_instance_uid, one.image.frame_number) for one in series.slices]
        return tuple(tuple(one.clipped for one in self._material.boxes.get(key, ())) for key in keys)

    def judge_boxes(self, stacks: Sequence[LabelledStack], verdict: PatientClass) -> None:
        slices = {
            ImageKey(image.image.sop_instance_uid, image.image.frame_number): position
            for stack in stacks
            for position, image in enumerate(stack.series.slices)
        }
        self.faults += box_faults(self._material.boxes, slices)
        if not isinstance(verdict, Verdict) or not stacks:
            return
        if not any(boxes for stack in stacks for boxes in stack.boxes):
            self._add(FaultCode.NO_BOX, f"The patient is {verdict} and has no box on any slice that is read.")
            return
        for stack in stacks:
            place = self._series_place(stack.series.series_instance_uid)
            if not any(stack.boxes):
                said = f"The patient is {verdict}, and other series have boxes; this one has none."
                self._add(FaultCode.SERIES_WITHOUT_BOX, said, place)
            for first, last in gaps_between_boxes(stack.boxes):
                which = f"Slice {first} has" if first == last else f"Slices {first} to {last} have"
                said = f"{which} no box; the slices before and after have one."
                self._add(FaultCode.BOX_GAP, said, replace(place, slice=first))
