"""A report as its receiver reads it, and what it is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Final

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from config.reporting import RuleSettings
from inference.findings import Findings
from node.report.check.reading import UNREADABLE, ReadDataset, text
from node.report.context import PreviousReport, ReportKind

# What writing a damaged object to memory and reading it back raises; pydicom makes many errors an OSError
UNWRITABLE: Final = (*UNREADABLE, InvalidDicomError)


@dataclass(frozen=True, kw_only=True)
class ReceivedReport:
    """All objects of a report, read back from the bytes that would be sent, and what they were made from.

    `images` are the source headers by their SOP Instance UID; `source` is the one whose patient and study the report
    took. `one_patient`: no image of another patient may be referred to. `findings`: None where only the form is judged.
    `predecessor` is the document that the structured report replaces. `rules`: None where they are not judged.
    """

    images: Mapping[str, ReadDataset]
    source: ReadDataset
    findings: Findings | None
    one_patient: bool
    predecessor: PreviousReport | None
    rules: RuleSettings | None
    objects: Sequence[tuple[ReportKind, ReadDataset]]

    def kind_of(self, dataset: ReadDataset) -> ReportKind:
        return next(kind for kind, one in self.objects if one is dataset)

    def target(self, sop_instance_uid: str) -> ReadDataset | None:
        """The image of the case or the object of this report with this UID."""
        return self.images.get(sop_instance_uid, self._own.get(sop_instance_uid))

    @cached_property
    def _own(self) -> Mapping[str, ReadDataset]:
        return {text(dataset, "SOPInstanceUID"): dataset for _, dataset in self.objects}


def as_received(content: bytes) -> ReadDataset:
    """What a receiver reads from a Part 10 file. Raises one of UNWRITABLE when it is too damaged for that."""
    return ReadDataset(dcmread(BytesIO(content)))
