"""Coded answers and numbers of a structured report against what the findings say."""

from collections.abc import Iterable, Mapping
from typing import Final

from config import codes
from inference.findings import Reason, SequenceKind, Verdict
from node.report.check.content import as_number, key
from node.report.check.reading import Name, ReadDataset, code

CLASS: Final = {Verdict.BENIGN: codes.BENIGN, Verdict.MALIGNANT: codes.MALIGNANT}
WEIGHTING: Final = {
    SequenceKind.T1: codes.T1_WEIGHTED,
    SequenceKind.T2: codes.T2_WEIGHTED,
    SequenceKind.T2FS: codes.T2_FAT_SUPPRESSED,
}
REASON: Final = {
    Reason.NOT_MR: codes.NOT_MR,
    Reason.NOT_AN_IMAGE: codes.OBJECT_TYPES_NOT_SUPPORTED,
    Reason.LOCALIZER: codes.LOCALIZER,
    Reason.MISSING_GEOMETRY: codes.MISSING_GEOMETRY,
    Reason.WRONG_PLANE: codes.WRONG_PLANE,
    Reason.MIXED_ORIENTATION: codes.MIXED_ORIENTATION,
    Reason.NOT_SPINE: codes.NOT_SPINE,
    Reason.UNKNOWN_KIND: codes.UNKNOWN_KIND,
    Reason.TOO_FEW_SLICES: codes.OBJECT_SET_INCOMPLETE,
    Reason.BROKEN_PIXELS: codes.OBJECTS_INCORRECTLY_FORMATTED,
    Reason.UNSUPPORTED_PIXELS: codes.OBJECT_TYPES_NOT_SUPPORTED,
    Reason.UNREADABLE: codes.OBJECTS_INCORRECTLY_FORMATTED,
    Reason.NO_ELIGIBLE_SERIES: codes.NO_ELIGIBLE_SERIES,
    Reason.IDENTITY_CONFLICT: codes.IDENTITY_CONFLICT,
    Reason.MODEL_FAILURE: codes.SOFTWARE_FAILURE,
}
_ROUNDING: Final = 0.006  # numbers have two decimals

Answer = codes.Code | float | None  # None: the findings do not say it, so the report may not either


def answer_faults(said: Mapping[Name, ReadDataset], expected: Iterable[tuple[codes.Code, Answer]]) -> Iterable[str]:
    """`said` are the content items of one container by concept name; `expected` is what they should say."""
    for concept, answer in expected:
        if not _is_answer(said.get(key(concept)), answer):
            yield f"has another value of: {concept.meaning}"


def outcome(*, tie: bool) -> codes.Code:
    return codes.TIE if tie else codes.MAJORITY


def _is_answer(item: ReadDataset | None, answer: Answer) -> bool:
    if answer is None or item is None:
        return answer is None and item is None
    if isinstance(answer, codes.Code):
        return code(item, "ConceptCodeSequence")[:2] == key(answer)
    number = as_number(item)
    return number is not None and abs(number - answer) <= _ROUNDING
