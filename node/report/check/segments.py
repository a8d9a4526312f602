"""Segments of a segmentation: each says of its lesion what the structured report says."""

from collections.abc import Iterable
from typing import Final

from config import codes
from node.report.check.boxes import SaidBox
from node.report.check.content import answers, as_number, key
from node.report.check.reading import NOTHING, ReadDataset, code, items, text
from node.report.check.sites import said_site
from node.report.check.verdict import said_class
from node.report.check.words import PROBABILITY, classes_named, tells

_NEVER_MISSING: Final = (
    "AnatomicRegionSequence",
    "SegmentAlgorithmName",
    "SegmentLabel",
    "SegmentationAlgorithmIdentificationSequence",
    "SegmentedPropertyCategoryCodeSequence",
    "SegmentedPropertyTypeCodeSequence",
)


def segment_faults(segment: ReadDataset, box: SaidBox | None) -> Iterable[str]:
    """`box` is that of the segment's tracking UID in the structured report."""
    if box is None:
        yield "its tracking UID is none of the structured report"
    else:
        yield from _contradictions(segment, box)
    for keyword in _NEVER_MISSING:
        if not items(segment, keyword) and not text(segment, keyword):
            yield f"{keyword} is missing"
    if text(segment, "SegmentAlgorithmType") != "AUTOMATIC":
        yield "does not say that an algorithm made it"


def _contradictions(segment: ReadDataset, box: SaidBox) -> Iterable[str]:
    if text(segment, "TrackingID") != box.tracking_identifier:
        yield "its tracking identifier is not that of the structured report"
    if code(segment, "AnatomicRegionSequence")[:2] != said_site(box.group):
        yield "its anatomic region is not the finding site of the structured report"
    called, description = said_class(box.group, codes.ASSESSMENT_CATEGORY), text(segment, "SegmentDescription")
    if classes_named(text(segment, "SegmentLabel")) != [called]:
        yield "its label names another class than the structured report"
    if not {*classes_named(description)} <= {called}:
        yield "its description names another class than the structured report"
    probability = as_number(answers(box.group).get(key(codes.PROBABILITY_OF_CANCER), NOTHING))
    if probability is not None and not tells(description, PROBABILITY, probability):
        yield "its description names another probability than the structured report"
