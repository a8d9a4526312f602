"""Settings of the objects that go back into the study."""

import re
from typing import Annotated, Final, Literal, get_args

from pydantic import AfterValidator, Field

from config.values import Part, Seconds

ObjectName = Literal[
    "overlays", "overlay_frames", "summary", "presentation_states", "key_objects", "segmentations", "pdf"
]
OBJECT_NAMES: Final[tuple[ObjectName, ...]] = get_args(ObjectName)
# Attributes of a series that a rule of a PACS may match on, and that no patient or study depends on
RuleAttribute = Literal[
    "ProtocolName",
    "PerformedProcedureStepDescription",
    "PerformedProcedureStepID",
    "InstitutionalDepartmentName",
    "StationName",
]
_LONGEST_OF: Final[dict[str, int]] = {"PerformedProcedureStepID": 16, "StationName": 16}  # VR SH; the others LO
_LONGEST: Final = 64
_VERDICTS: Final = ("benign", "malignant", "no lesion", "not analysed")
_PLACES: Final = ("{model}", "{object}", "{verdict}")


def _check_objects(objects: tuple[ObjectName, ...]) -> tuple[ObjectName, ...]:
    if twice := sorted({name for name in objects if objects.count(name) > 1}):
        raise ValueError(f"named twice: {', '.join(twice)}")
    return objects


def _check_description(description: str) -> str:
    rest = description
    for place in _PLACES:
        rest = rest.replace(place, "")
    if "{" in rest or "}" in rest:
        raise ValueError(f"only {', '.join(_PLACES)} may stand in braces")
    if any(re.search(rf"\b{word}\b", rest, re.IGNORECASE) for word in _VERDICTS):
        raise ValueError(
            f"a verdict ({', '.join(_VERDICTS)}) may stand there as {{verdict}} alone: it would be in all reports"
        )
    if not description.isprintable() or "\\" in description or not description.strip():
        raise ValueError("printable characters without a backslash are needed")
    return description


def _check_note(note: str) -> str:
    if not note.isprintable():
        raise ValueError("one line of printable characters is needed")
    return note.strip()


def _check_attributes(attributes: dict[RuleAttribute, str]) -> dict[RuleAttribute, str]:
    for keyword, value in attributes.items():
        longest = _LONGEST_OF.get(keyword, _LONGEST)
        if not value.strip() or len(value) > longest or not value.isprintable() or "\\" in value:
            raise ValueError(f"{keyword}: 1 to {longest} printable characters without a backslash")
    return attributes


ReportObjects = Annotated[tuple[ObjectName, ...], AfterValidator(_check_objects)]
RuleAttributes = Annotated[dict[RuleAttribute, str], AfterValidator(_check_attributes)]


class RuleSettings(Part):
    """Attributes of every object of a report, by its verdict, for the rules of a PACS."""

    malignant: RuleAttributes = {"ProtocolName": "SPINENODE MALIGNANT"}  # noqa: RUF012 - pydantic copies defaults
    benign: RuleAttributes = {"ProtocolName": "SPINENODE BENIGN"}  # noqa: RUF012
    no_lesion: RuleAttributes = {"ProtocolName": "SPINENODE NO LESION"}  # noqa: RUF012
    not_analysed: RuleAttributes = {"ProtocolName": "SPINENODE NOT ANALYSED"}  # noqa: RUF012


class ReportSettings(Part):
    """The structured report is always made; everything else by choice."""

    objects: ReportObjects = Field(default=("overlays", "summary"), description="made beside the structured report")
    series_number_base: Annotated[int, Field(ge=1, le=99_000)] = 9000
    series_description: Annotated[str, Field(max_length=_LONGEST), AfterValidator(_check_description)] = Field(
        default="{model} {object} - {verdict}", description="of every series; what stands in braces is filled in"
    )
    rules: RuleSettings = RuleSettings()
    character_set: Literal["utf-8", "source"] = Field(
        default="utf-8", description="source: as the images, for archives that read no UTF-8"
    )
    palette: Literal["paper", "colour_blind_safe"] = Field(
        default="paper", description="paper: benign green, malignant red; words stand beside every colour"
    )
    late_after_s: Seconds = Field(default=3600.0, description="an answer later than this says that it is late")
    institution_note: Annotated[str, AfterValidator(_check_note)] = Field(
        default="", max_length=200, description="one line of the site added to each report"
    )
