"""What a report is built with besides the findings, and what comes out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Literal, Protocol

from pydicom.dataset import Dataset

from config.settings import ReportSettings

ReportKind = Literal[
    "sr", "summary", "overlay", "overlay_frames", "presentation_state", "key_objects", "segmentation", "pdf"
]


class PreviousReport(Protocol):
    """The SR of an earlier revision; a stored report object's row has these attributes."""

    @property
    def sop_class_uid(self) -> str: ...
    @property
    def sop_instance_uid(self) -> str: ...
    @property
    def series_instance_uid(self) -> str: ...
    @property
    def study_instance_uid(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContext:
    """All inputs that are no findings and no headers. The same context and findings give the same bytes.

    `created_at` is a stored, time-zone aware time, never the clock, so that a retried job writes the same objects.
    It is written in the time zone of the source images (TimezoneOffsetFromUTC), else of `zone`, else of this host.
    """

    group_key: str
    revision: int
    created_at: datetime
    settings: ReportSettings
    files: Mapping[str, Path]  # by SOP Instance UID; pixels of the overlays are read from here
    predecessor: PreviousReport | None = None
    identity: Dataset | None = None  # patient and study attributes, for a case without one readable header
    zone: tzinfo | None = None
    released: bool = False  # a person decided that images under several PatientIDs are of one patient
    waited_s: float = 0.0  # from the last image's arrival to the analysis

    @property
    def late_s(self) -> float | None:
        """How long the answer took, where the site calls that late."""
        return self.waited_s if self.waited_s > self.settings.late_after_s else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportObject:
    """One finished DICOM object with its File Meta Information, ready to be written."""

    kind: ReportKind
    dataset: Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedObject(ReportObject):
    """One that passed the self-check. `content` is the Part 10 file that was judged: what is sent is this."""

    content: bytes
