"""Where in the spine a finding lies: the region, where the images say it and nothing speaks against it.

The coded body part is the claim. It is believed when every other attribute that names a region names the same one and
the image is of a size that such an examination has; else the site is the spine. The level of a single vertebra is
never told: nothing in this node counts vertebrae.
"""

import re
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from config import codes
from node.report.patient_study import decoded_text


@dataclass(frozen=True, slots=True)
class _Region:
    code: codes.Code
    body_part: str  # BodyPartExamined, PS3.16 Table L-1
    largest_field_mm: float  # of one image along its longer side; larger ones show more than the region


# Cervical examinations have fields of 200 to 260 mm, thoracic and lumbar ones of 260 to 400 mm
_REGIONS: Final = (
    _Region(codes.CERVICAL_SPINE, "CSPINE", 320.0),
    _Region(codes.THORACIC_SPINE, "TSPINE", 450.0),
    _Region(codes.LUMBAR_SPINE, "LSPINE", 450.0),
    _Region(codes.SACRUM, "SSPINE", 450.0),
    _Region(codes.CERVICO_THORACIC_SPINE, "CTSPINE", 600.0),
    _Region(codes.THORACO_LUMBAR_SPINE, "TLSPINE", 600.0),
    _Region(codes.LUMBO_SACRAL_SPINE, "LSSPINE", 450.0),
)
# What a free text says about a region, in the languages of most scanners' protocols
_WORDS: Final = {
    "C": re.compile(r"CERV|ZERVIK|\bHWS|\bC[ -]?SPINE|ШЕЙН|頸椎|颈椎|경추"),
    "T": re.compile(r"THORA|TORAC|DORSAL|\bBWS|\bT[ -]?SPINE|ГРУДН|胸椎|흉추"),
    "L": re.compile(r"LUMB|LOMB|\bLWS|\bL[ -]?SPINE|ПОЯСНИЧ|腰椎|요추"),
    "S": re.compile(r"SACR|SAKR|\bS[ -]?SPINE|КРЕСТЦ|仙骨|骶"),
}
_TEXTS: Final = ("StudyDescription", "SeriesDescription", "ProtocolName", "RequestedProcedureDescription")


def finding_site(header: Dataset) -> codes.Code:
    """The region that an image shows, in CID 4031's codes; the spine where its attributes or its size leave doubt."""
    named = {region for region in _REGIONS if _is_named(region, header)}
    if len(named) != 1:
        return codes.SPINE
    region = named.pop()
    field_mm = _field_mm(header)
    if field_mm is None or field_mm > region.largest_field_mm or _is_contradicted(region, header):
        return codes.SPINE
    return region.code


def _is_named(region: _Region, header: Dataset) -> bool:
    coded = header.get("AnatomicRegionSequence") or ()
    values = {(str(item.get("CodeValue", "")), str(item.get("CodingSchemeDesignator", ""))) for item in coded}
    part = decoded_text(header, "BodyPartExamined").strip().upper().replace(" ", "")
    return (region.code.value, region.code.scheme) in values or part == region.body_part


def _is_contradicted(region: _Region, header: Dataset) -> bool:
    """Whether a text names a region that is no part of this one, e.g. a lumbar protocol on a cervical body part."""
    parts = region.body_part.removesuffix("SPINE") or region.body_part[0]
    said = " ".join(decoded_text(header, keyword) for keyword in _TEXTS).upper()
    return any(words.search(said) for letter, words in _WORDS.items() if letter not in parts)


def _field_mm(header: Dataset) -> float | None:
    """Longer side of one image; None where its size is not told."""
    for source in (header, *_shared_measures(header)):
        try:
            between_rows, between_columns = (float(value) for value in source.get("PixelSpacing") or ())
            return max(int(header.Rows) * between_rows, int(header.Columns) * between_columns)
        except (ValueError, TypeError, AttributeError):
            continue
    return None


def _shared_measures(header: Dataset) -> list[Dataset]:
    groups = header.get("SharedFunctionalGroupsSequence") or ()
    return [measures for group in groups for measures in group.get("PixelMeasuresSequence") or ()]
