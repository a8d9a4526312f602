"""What validators find wrong that is no fault of the object, each with its reason. Everything else is ours."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Validator = Literal["dciodvfy", "dcentvfy", "dcmtk", "pixelmed", "dcmqi", "attribute types"]


@dataclass(frozen=True, slots=True)
class Explained:
    validator: Validator
    pattern: str  # found somewhere in the line
    reason: str


EXPLAINED: Final = (
    Explained(
        "dcentvfy",
        "Different information entities for attribute - Element=<AccessionNumber>",
        "In an SR the number stands in the Referenced Request Sequence or nowhere but the study: it counts both.",
    ),
    Explained(
        "dciodvfy",
        "invalid for character repertoire.*; declared: GBK$",
        "This release of 2022 does not know the term GBK of PS3.3 C.12.1.1.2 (CP 1234).",
    ),
    Explained(
        "dcmtk",
        "VR checker does not support this Specific Character Set|Reading unknown/unsupported SpecificCharacterSet",
        "3.6.7 checks values in ASCII and Latin-1 alone, and says so.",
    ),
    Explained(
        "dcmtk",
        r"'ISO 2022 IR \d+' is not supported by the utilized|Cannot open character encoding",
        "Debian's DCMTK converts with glibc, which has no Japanese set under a name that DCMTK knows.",
    ),
    Explained(
        "dcmtk",
        r"dcmpschk: Attribute value does not conform to data type definition.*value *: \[.*[^\x00-\x7f].*\]",
        "dcmpschk compares the bytes of names and descriptions with patterns for single-byte sets.",
    ),
    Explained("dcmtk", "Check for template constraints not yet supported", "3.6.7 knows no TID 2010."),
    Explained(
        "pixelmed",
        r"99SPINENODE.*: Content Item not in template",
        "A private concept, or an item inside one: no template can list it, and TID 1500 is extensible.",
    ),
    Explained(
        "pixelmed",
        r"Qualitative Evaluations\"\)/NUM \((111047|121033),DCM,[^/]*: Content Item not in template",
        "Probability and age of the patient: OHIF fails on measurement groups without coordinates, so they stand here.",
    ),
    Explained(
        "pixelmed",
        r"Measurement Group\"\)/\w+ \((276214006|122405|130400|111005),[^/]*: Content Item not in template",
        "Rows that TIDs 1410 and 4019 gained after this release of 2022, and the open $QualType.",
    ),
)


class Explanations:
    """Filters what validators say and remembers which explanations it took."""

    def __init__(self) -> None:
        self.used: set[Explained] = set()

    def unexplained(self, validator: Validator, lines: Iterable[str]) -> list[str]:
        return [line for line in lines if not self._explains(validator, line)]

    def _explains(self, validator: Validator, line: str) -> bool:
        known = [one for one in EXPLAINED if one.validator == validator and re.search(one.pattern, line)]
        self.used.update(known)
        return bool(known)


explanations: Final = Explanations()
unexplained: Final = explanations.unexplained
