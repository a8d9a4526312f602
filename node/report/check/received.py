"""A report as its receiver reads it, and what it is compared with."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Final

from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from inference.findings import Findings
from node.report.check.reading import UNREADABLE, text
from node.report.context import ReportKind

# What writing a damaged object to memory and reading it back raises; pydicom makes many errors an OSError
UNWRITABLE: Final = (*UNREADABLE, struct.error, OSError, InvalidDicomError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedReport:
    """All objects of a report, read back from the bytes that would be sent, and what they were made from.

    `images` are the source headers by their SOP Instance UID; `source` is the one whose patient and study the report
    took. `one_patient`: no image of another PatientID may be referred to. `findings`: None where only the form is
    judged.
    """

    images: Mapping[str, Dataset]
    source: Dataset
    findings: Findings | None
    one_patient: bool
    objects: list[tuple[ReportKind, Dataset]] = field(default_factory=list)

    def kind_of(self, dataset: Dataset) -> ReportKind:
        return next(kind for kind, one in self.objects if one is dataset)

    def target(self, sop_instance_uid: str) -> Dataset | None:
        """The image of the case or the object of this report with this UID."""
        own = {text(dataset, "SOPInstanceUID"): dataset for _, dataset in self.objects}
        return self.images.get(sop_instance_uid, own.get(sop_instance_uid))


def as_received(dataset: Dataset) -> Dataset:
    """Written as it would be sent, and read back. Raises one of UNWRITABLE when it is too damaged for that."""
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    buffer.seek(0)
    return dcmread(buffer)
