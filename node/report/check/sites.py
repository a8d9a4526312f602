"""Where findings lie: a region of the spine is told only where the image names it."""

from collections.abc import Iterable
from typing import Final

from config import codes
from node.report.check.boxes import said_boxes
from node.report.check.content import key
from node.report.check.reading import NOTHING, Name, ReadDataset, code, items, named, text, value
from node.report.check.received import ReceivedReport

FINDING_SITE: Final = ("363698007", "SCT")
_BODY_PART: Final[dict[Name, str]] = {  # PS3.16 Table L-1
    key(codes.CERVICAL_SPINE): "CSPINE",
    key(codes.THORACIC_SPINE): "TSPINE",
    key(codes.LUMBAR_SPINE): "LSPINE",
    key(codes.SACRUM): "SSPINE",
    key(codes.CERVICO_THORACIC_SPINE): "CTSPINE",
    key(codes.THORACO_LUMBAR_SPINE): "TLSPINE",
    key(codes.LUMBO_SACRAL_SPINE): "LSSPINE",
}


def said_site(group: ReadDataset) -> Name:
    """The finding site of a measurement group."""
    return next((code(item, "ConceptCodeSequence")[:2] for item in named(group, FINDING_SITE)), ("", ""))


def site_faults(_dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    for box in said_boxes(report):
        site = said_site(box.group)
        if site != key(codes.SPINE) and not _is_named(site, report.images.get(box.sop_instance_uid, NOTHING)):
            yield f"tells a region of the spine that {box.sop_instance_uid} does not name"


def _is_named(site: Name, image: ReadDataset) -> bool:
    if isinstance(value(image, "BodyPartExamined"), bytes):  # sent as UN: its letters are not known
        return True
    part = text(image, "BodyPartExamined").upper().replace(" ", "")
    regions = items(image, "AnatomicRegionSequence")
    coded = [(text(item, "CodeValue"), text(item, "CodingSchemeDesignator")) for item in regions]
    return site in coded or part == _BODY_PART.get(site)
