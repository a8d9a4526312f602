"""The kinds of report objects: what each is called, and where it stands among the series of a report."""

from dataclasses import dataclass
from typing import Final

from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from config.reporting import ObjectName
from node.report.context import ReportKind

SERIES_NUMBERS_PER_REVISION: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class KindOfObject:
    setting: ObjectName | None  # its name in `reports.objects`; none: always made
    says: str  # what it is, for people
    word: str  # in the series description
    sop_class: UID
    modality: str
    series_offset: int  # its SeriesNumber beyond the base; in the order in which a reader wants the series
    a_series_each: bool = False  # else all objects of the kind are one series


KINDS: Final[dict[ReportKind, KindOfObject]] = {
    "summary": KindOfObject(
        setting="summary",
        says="one picture with the whole result",
        word="summary",
        sop_class=SecondaryCaptureImageStorage,
        modality="OT",
        series_offset=0,
    ),
    "overlay": KindOfObject(
        setting="overlays",
        says="one picture per slice with a finding, boxes burned in",
        word="overlay",
        sop_class=SecondaryCaptureImageStorage,
        modality="OT",
        series_offset=1,
    ),
    "sr": KindOfObject(
        setting=None,
        says="structured report, TID 1500",
        word="SR",
        sop_class=Comprehensive3DSRStorage,
        modality="SR",
        series_offset=2,
    ),
    "presentation_state": KindOfObject(
        setting="presentation_states",
        says="boxes as graphic layers, one object per series with a finding",
        word="boxes",
        sop_class=GrayscaleSoftcopyPresentationStateStorage,
        modality="PR",
        series_offset=3,
    ),
    "key_objects": KindOfObject(
        setting="key_objects",
        says="the slices with a finding, TID 2010",
        word="key images",
        sop_class=KeyObjectSelectionDocumentStorage,
        modality="KO",
        series_offset=4,
    ),
    "segmentation": KindOfObject(
        setting="segmentations",
        says="the boxes as segments, one object and series per series with a finding",
        word="segmentation",
        sop_class=SegmentationStorage,
        modality="SEG",
        series_offset=5,
        a_series_each=True,  # OHIF 3.13 opens one object of a series of segmentations alone
    ),
    "pdf": KindOfObject(
        setting="pdf",
        says="one page with the whole result",
        word="PDF",
        sop_class=EncapsulatedPDFStorage,
        modality="DOC",
        series_offset=6,
    ),
    "overlay_frames": KindOfObject(
        setting="overlay_frames",
        says="the overlay pictures as frames of one object",
        word="overlay",
        sop_class=MultiFrameTrueColorSecondaryCaptureImageStorage,
        modality="OT",
        series_offset=7,
    ),
}
