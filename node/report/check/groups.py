"""Measurement groups of planar regions, TID 1410 (PS3.16): each complete, each tracked, each with one box."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from config import codes
from node.report.check.boxes import IMAGE_REGION, MEASUREMENT_GROUP, TRACKING_IDENTIFIER, TRACKING_UID, box_faults
from node.report.check.content import key
from node.report.check.reading import ReadDataset, first, items, name, named, numbers, text
from node.report.check.received import ReceivedReport
from node.report.check.references import frame_numbers, reference_items
from node.report.check.uids import is_valid_uid

# What a group says exactly once, and how a person would call it
_ONCE: Final = {
    TRACKING_IDENTIFIER: "tracking identifier",
    TRACKING_UID: "tracking UID",
    IMAGE_REGION: "region",
    ("130400", "DCM"): "geometric purpose",
    ("276214006", "SCT"): "finding category",
    ("121071", "DCM"): "finding",
    ("363698007", "SCT"): "finding site",
    ("111001", "DCM"): "algorithm name",
    ("111003", "DCM"): "algorithm version",
    key(codes.PROBABILITY_OF_CANCER): "probability of cancer",
    key(codes.CERTAINTY_OF_FINDING): "certainty",
    key(codes.ASSESSMENT_CATEGORY): "assessment",
}


def group_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    groups = named(dataset, MEASUREMENT_GROUP)
    for number, group in enumerate(groups, start=1):
        for fault in _faults(group, report):
            yield f"measurement group {number}: {fault}"
    for concept, attribute in ((TRACKING_IDENTIFIER, "TextValue"), (TRACKING_UID, "UID")):
        said = Counter(text(item, attribute) for group in groups for item in named(group, concept))
        if any(count > 1 for count in said.values()):
            yield f"{_ONCE[concept]} stands in more than one measurement group"


def _faults(group: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    template = first(group, "ContentTemplateSequence")
    if (text(template, "TemplateIdentifier"), text(template, "MappingResource")) != ("1410", "DCMR"):
        yield "TemplateIdentifier is not 1410 of DCMR"
    children = items(group, "ContentSequence")
    counts = Counter(name(item) for item in children)
    for concept, words in _ONCE.items():
        if counts[concept] != 1:
            yield f"has {counts[concept]} of: {words}"
    for item in children:
        if name(item) == TRACKING_UID and not is_valid_uid(text(item, "UID")):
            yield "tracking UID is no valid UID"
        if name(item) == TRACKING_IDENTIFIER and not text(item, "TextValue"):
            yield "tracking identifier is empty"
        if name(item) == IMAGE_REGION:
            yield from box_faults(item, report.images)
    yield from _inferred_faults(children)


def _inferred_faults(children: list[ReadDataset]) -> Iterable[str]:
    """A value of the group comes from its region, and says so in the same coordinates."""
    regions = [_place(item) for item in children if name(item) == IMAGE_REGION]
    for item in children:
        for source in items(item, "ContentSequence"):
            if text(source, "RelationshipType") == "INFERRED FROM" and _place(source) not in regions:
                yield f"content item ({', '.join(name(item))}) is inferred from something else than the region"


def _place(region: ReadDataset) -> tuple[list[float], list[tuple[str, list[int]]]]:
    """Coordinates, and the images and frames that they lie on."""
    references = [item for _, item in reference_items(region)]
    images = [(text(item, "ReferencedSOPInstanceUID"), frame_numbers(item)) for item in references]
    return numbers(region, "GraphicData"), images
