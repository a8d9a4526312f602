"""UIDs that we give: of valid form (PS3.5 Section 9.1)."""

import re
from collections.abc import Iterable
from typing import Final

from node.report.check.reading import ReadDataset, items, text
from node.report.check.received import ReceivedReport

_FORM: Final = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_LONGEST: Final = 64


def is_valid_uid(uid: str) -> bool:
    return len(uid) <= _LONGEST and _FORM.fullmatch(uid) is not None


def uid_faults(dataset: ReadDataset, _report: ReceivedReport) -> Iterable[str]:
    """Of the object itself. A UID of the source is written as it came, whatever its form."""
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "DeviceUID"):
        if not is_valid_uid(text(dataset, keyword)):
            yield f"{keyword} is missing or no valid UID"
    for item in items(dataset, "ContributingEquipmentSequence"):
        if not is_valid_uid(text(item, "DeviceUID")):
            yield "DeviceUID of a contributing equipment is missing or no valid UID"
