"""The objects of one report together: one study, one series of each kind, every object once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from node.report.check.reading import ReadDataset, text
from node.report.check.received import ReceivedReport
from node.report.check.verdict import contradicts, verdict_word
from node.report.context import ReportKind


@dataclass(frozen=True, slots=True)
class _Form:
    sop_class: str
    modality: str


_FORM: Final[Mapping[ReportKind, _Form]] = {
    "sr": _Form(Comprehensive3DSRStorage, "SR"),
    "summary": _Form(SecondaryCaptureImageStorage, "OT"),
    "overlay": _Form(SecondaryCaptureImageStorage, "OT"),
    "overlay_frames": _Form(MultiFrameTrueColorSecondaryCaptureImageStorage, "OT"),
    "presentation_state": _Form(GrayscaleSoftcopyPresentationStateStorage, "PR"),
    "key_objects": _Form(KeyObjectSelectionDocumentStorage, "KO"),
    "segmentation": _Form(SegmentationStorage, "SEG"),
    "pdf": _Form(EncapsulatedPDFStorage, "DOC"),
}
_A_SERIES_EACH: Final = frozenset({"segmentation"})  # viewers open one object of such a series alone
# The same in all objects: archives compare them, and rules of a PACS match on them
_OF_THE_REPORT: Final = (
    "StudyInstanceUID",
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
    "Manufacturer",
    "ManufacturerModelName",
    "SoftwareVersions",
    "DeviceUID",
    "ContentDate",
    "ContentTime",
    "ProtocolName",
    "InstitutionalDepartmentName",
    "PerformedProcedureStepDescription",
    "PerformedProcedureStepID",
    "StationName",
)


def kind_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    """Of one object: it is of the SOP class and modality of its kind, and has its place in the series."""
    form = _FORM[report.kind_of(dataset)]
    if text(dataset, "SOPClassUID") != form.sop_class:
        yield "is of another SOP Class than its kind"
    if text(dataset, "Modality") != form.modality:
        yield f"Modality is not {form.modality}"
    for keyword in ("SeriesNumber", "InstanceNumber", "SeriesDescription", "ContentDate", "ContentTime"):
        if not text(dataset, keyword):
            yield f"{keyword} is missing"


def series_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    """Of one object among the others of its report."""
    uid, place = text(dataset, "SOPInstanceUID"), _place(dataset)
    others = [(kind, one) for kind, one in report.objects if one is not dataset]
    if uid in report.images or any(text(one, "SOPInstanceUID") == uid for _, one in others):
        yield "another object has the same SOP Instance UID"
    if any(_place(one) == place for _, one in others):
        yield "another object of its series has the same Instance Number"
    if any(text(image, "SeriesInstanceUID") == place[0] for image in report.images.values()):
        yield "stands in a series of the source images"
    yield from _series(dataset, report.kind_of(dataset), others)
    for keyword in _OF_THE_REPORT:
        if text(dataset, keyword) != text(report.objects[0][1], keyword):
            yield f"{keyword} differs from the first object's"
    word = next((verdict_word(one) for kind, one in report.objects if kind == "sr"), "")
    if word and contradicts(text(dataset, "SeriesDescription"), word):
        yield f"its series description names another verdict than the report: {word}"


def _series(dataset: ReadDataset, own: ReportKind, others: Sequence[tuple[ReportKind, ReadDataset]]) -> Iterable[str]:
    for kind, one in others:
        is_one_series = kind == own and kind not in _A_SERIES_EACH
        if (text(dataset, "SeriesInstanceUID") == text(one, "SeriesInstanceUID")) is not is_one_series:
            wanted = "one series of each kind" if kind not in _A_SERIES_EACH else "a series of its own"
            yield f"its SeriesInstanceUID and that of the {kind}: {wanted} is wanted"
        if (text(dataset, "SeriesNumber") == text(one, "SeriesNumber")) is not (kind == own):
            yield f"its SeriesNumber and that of the {kind}: one number for each kind is wanted"


def _place(dataset: ReadDataset) -> tuple[str, str]:
    return text(dataset, "SeriesInstanceUID"), text(dataset, "InstanceNumber")
