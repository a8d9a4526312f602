"""Where in the spine a finding lies: the region, where the images say it and nothing speaks against it.

The coded body part is the claim. It is believed when every other attribute that names a region names the same one, the
image is of a size that such an examination has, and the finding lies so near to the middle of the image that it lies
within the region when the examination was centred on it; else the site is the spine. The level of a single vertebra is
never told: nothing in this node counts vertebrae.
"""

import re
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from config import codes
from inference.findings import Box
from node.report.patient_study import UNREADABLE, decoded_text


@dataclass(frozen=True, slots=True)
class _Region:
    code: codes.Code
    body_part: str  # BodyPartExamined, PS3.16 Table L-1
    largest_field_mm: float  # of one image along its longer side; larger ones show more than the region
    half_length_mm: float  # from its middle towards head and feet, in a small adult


# Cervical examinations have fields of 200 to 260 mm, thoracic and lumbar ones of 260 to 400 mm, and show vertebrae of
# the next regions at both ends
_REGIONS: Final = (
    _Region(codes.CERVICAL_SPINE, "CSPINE", 320.0, 55.0),
    _Region(codes.THORACIC_SPINE, "TSPINE", 450.0, 110.0),
    _Region(codes.LUMBAR_SPINE, "LSPINE", 450.0, 75.0),
    _Region(codes.SACRUM, "SSPINE", 450.0, 45.0),
    _Region(codes.CERVICO_THORACIC_SPINE, "CTSPINE", 600.0, 150.0),
    _Region(codes.THORACO_LUMBAR_SPINE, "TLSPINE", 600.0, 180.0),
    _Region(codes.LUMBO_SACRAL_SPINE, "LSSPINE", 450.0, 110.0),
)
# What a free text says about a region, in the languages of most scanners' protocols
_WORDS: Final = {
    "C": re.compile(r"CERV|ZERVIK|\bHWS|\bC[ -]?SPINE|ШЕЙН|頸椎|颈椎|경추"),
    "T": re.compile(r"THORA|TORAC|DORSAL|\bBWS|\bT[ -]?SPINE|ГРУДН|胸椎|흉추"),
    "L": re.compile(r"LUMB|LOMB|\bLWS|\bL[ -]?SPINE|ПОЯСНИЧ|腰椎|요추"),
    "S": re.compile(r"SACR|SAKR|\bS[ -]?SPINE|КРЕСТЦ|仙骨|骶"),
}
# A protocol of the whole spine, whatever part of it is examined
_WHOLE: Final = re.compile(r"WHOLE|TOTAL|ENTIRE|FULL[ -]?SPINE|GANZ|GESAMT|COMPLET|全脊")
_TEXTS: Final = ("StudyDescription", "SeriesDescription", "ProtocolName", "RequestedProcedureDescription")


def finding_site(header: Dataset, box: Box) -> codes.Code:
    """The region that a box lies in, in CID 4031's codes; the spine where attributes, size or place leave doubt."""
    try:
        return _site(header, box)
    except UNREADABLE:  # a damaged attribute says nothing about the place
        return codes.SPINE


def _site(header: Dataset, box: Box) -> codes.Code:
    named = {region for region in _REGIONS if _is_named(region, header)}
    if len(named) != 1:
        return codes.SPINE
    region = named.pop()
    field_mm, offset_mm = _field_mm(header), _offset_mm(header, box)
    if field_mm is None or field_mm > region.largest_field_mm or _is_contradicted(region, header):
        return codes.SPINE
    if offset_mm is None or offset_mm > region.half_length_mm:
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
    others = any(words.search(said) for letter, words in _WORDS.items() if letter not in parts)
    return others or _WHOLE.search(said) is not None


def _field_mm(header: Dataset) -> float | None:
    """Longer side of one image; None where its size is not told."""
    spacing = _numbers(header, "PixelMeasuresSequence", "PixelSpacing", 2)
    return None if spacing is None else max(int(header.Rows) * spacing[0], int(header.Columns) * spacing[1])


def _offset_mm(header: Dataset, box: Box) -> float | None:
    """From the middle of the image to that of the box, towards head or feet; None where the plane is not told."""
    spacing = _numbers(header, "PixelMeasuresSequence", "PixelSpacing", 2)
    orientation = _numbers(header, "PlaneOrientationSequence", "ImageOrientationPatient", 6)
    if spacing is None or orientation is None:
        return None
    along = ((box.x0 + box.x1) / 2 - int(header.Columns) / 2) * spacing[1]
    down = ((box.y0 + box.y1) / 2 - int(header.Rows) / 2) * spacing[0]
    return abs(along * orientation[2] + down * orientation[5])  # z points to the head, PS3.3 C.7.6.2.1.1


def _numbers(header: Dataset, macro: str, keyword: str, count: int) -> list[float] | None:
    """Of the image, else of its functional groups: those of all frames, or of its first."""
    groups = [header.get(f"{which}FunctionalGroupsSequence") or () for which in ("Shared", "PerFrame")]
    macros = [item for group in groups for frame in group[:1] for item in frame.get(macro) or ()]
    for source in (header, *macros):
        try:
            numbers = [float(value) for value in source.get(keyword) or ()]
        except (ValueError, TypeError, AttributeError):
            continue
        if len(numbers) == count:
            return numbers
    return None
