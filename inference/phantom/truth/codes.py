"""Coded concepts of the truth objects; SNOMED codes as the standard's context groups print them."""

from typing import Final

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept

from inference.findings import Verdict


def _code(value: str, scheme: str, meaning: str) -> CodedConcept:
    return CodedConcept(value=value, scheme_designator=scheme, meaning=meaning)


PRIVATE_SCHEME: Final = "99PHANTOM"  # PS3.3 Section 8.2: a private designator starts with 99
PRIVATE_SCHEME_ITEM: Final = CodingSchemeIdentificationItem(
    designator=PRIVATE_SCHEME, name="Codes of the synthetic spine phantom"
)
PLANTED: Final = _code("PLANTED", PRIVATE_SCHEME, "Planted by the generator of the phantom")
ABNORMAL_STRUCTURE: Final = _code("49755003", "SCT", "Morphologically Abnormal Structure")
LESION: Final = _code("52988006", "SCT", "Lesion")
BOUNDED_BY: Final = _code("75958009", "SCT", "Bounded by")  # CID 219: a box, not an outline
MRI: Final = _code("25056-3", "LN", "MRI unspecified body region")  # CID 100
IMAGING_MEASUREMENT_REPORT: Final = _code("126000", "DCM", "Imaging Measurement Report")
ONCOLOGY_MEASUREMENT_REPORT: Final = _code("126001", "DCM", "Oncology Measurement Report")
IMAGING_MEASUREMENTS: Final = _code("126010", "DCM", "Imaging Measurements")
QUALITATIVE_EVALUATIONS: Final = _code("C0034375", "UMLS", "Qualitative Evaluations")  # TID 1500, row 12
PROCEDURE_REPORTED: Final = _code("121058", "DCM", "Procedure reported")
ENGLISH: Final = _code("en", "RFC5646", "English")
COMMENT: Final = _code("121106", "DCM", "Comment")
ASSESSMENT_CATEGORY: Final = _code("111005", "DCM", "Assessment Category")
OVERALL_ASSESSMENT: Final = _code("111413", "DCM", "Overall Assessment")
NO_LESION: Final = _code("NO_LESION", PRIVATE_SCHEME, "No lesion planted")
AREA: Final = _code("42798000", "SCT", "Area")
SQUARE_MM: Final = _code("mm2", "UCUM", "square millimeter")
VERDICTS: Final = {  # CID 6063
    Verdict.BENIGN: _code("30807003", "SCT", "Benign"),
    Verdict.MALIGNANT: _code("21594007", "SCT", "Malignant"),
}
# By the first letter of a vertebra's name
SITES: Final = {
    "C": _code("122494005", "SCT", "Cervical spine"),
    "T": _code("122495006", "SCT", "Thoracic spine"),
    "L": _code("122496007", "SCT", "Lumbar spine"),
    "S": _code("54735007", "SCT", "Sacrum"),
}
SPINE: Final = _code("421060004", "SCT", "Spine")
