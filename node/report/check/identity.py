"""Whose object it is: patient and study are those of the source images."""

import re
from collections.abc import Iterable
from typing import Final

from node.report.check.reading import PADDING, ReadDataset, text, value
from node.report.check.received import ReceivedReport

_SAME_AS_SOURCE: Final = (
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "AccessionNumber",
)
# PS3.5 6.1.2.5.3: which set the next letters are of, and none of the letters
_ESCAPE_SEQUENCE: Final = re.compile("\x1b[ -/]*[0-~]")
# PS3.3 C.7.1.1, C.7.2.1: Type 2, there even when empty
_NEVER_MISSING: Final = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)


def identity_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    for keyword in _SAME_AS_SOURCE:
        if isinstance(value(report.source, keyword), bytes):  # sent as UN: its letters are not known
            continue
        if plain_text(dataset, keyword) != plain_text(report.source, keyword):
            yield f"{keyword} differs from the source images'"
    for keyword in _NEVER_MISSING:
        if keyword not in dataset:
            yield f"{keyword} is missing"


def plain_text(dataset: ReadDataset, keyword: str) -> str:
    """Without escape sequences, which pydicom leaves in some texts, nor the padding before them."""
    return _ESCAPE_SEQUENCE.sub("", text(dataset, keyword)).strip(PADDING)
