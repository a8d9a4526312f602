"""Content items of a structured report: the value has the type, the range and the meaning that its name asks for."""

from collections.abc import Iterable
from math import isfinite
from typing import Final

from config import codes
from node.report.check.reading import Name, ReadDataset, code, first, items, name, number, text, texts, walk
from node.report.check.received import ReceivedReport


def key(concept: codes.Code) -> Name:
    return concept.value, concept.scheme


_CLASSES: Final = frozenset({key(codes.BENIGN), key(codes.MALIGNANT)})
_REASONS: Final = frozenset(
    key(reason)
    for reason in (
        codes.OBJECTS_INCORRECTLY_FORMATTED,
        codes.OBJECT_TYPES_NOT_SUPPORTED,
        codes.OBJECT_SET_INCOMPLETE,
        codes.SOFTWARE_FAILURE,
        codes.NOT_MR,
        codes.LOCALIZER,
        codes.MISSING_GEOMETRY,
        codes.WRONG_PLANE,
        codes.MIXED_ORIENTATION,
        codes.NOT_SPINE,
        codes.UNKNOWN_KIND,
        codes.NO_ELIGIBLE_SERIES,
        codes.IDENTITY_CONFLICT,
    )
)
_SITES: Final = frozenset(
    key(site)
    for site in (
        codes.SPINE,
        codes.CERVICAL_SPINE,
        codes.THORACIC_SPINE,
        codes.LUMBAR_SPINE,
        codes.SACRUM,
        codes.CERVICO_THORACIC_SPINE,
        codes.THORACO_LUMBAR_SPINE,
        codes.LUMBO_SACRAL_SPINE,
    )
)
_MAY_SAY: Final[dict[Name, frozenset[Name]]] = {
    ("121049", "DCM"): frozenset({key(codes.ENGLISH)}),
    ("121005", "DCM"): frozenset({("121007", "DCM")}),  # the observer is a device
    key(codes.PROCEDURE_REPORTED): frozenset({key(codes.MRI_UNSPECIFIED_BODY_REGION)}),
    ("276214006", "SCT"): frozenset({key(codes.MORPHOLOGICALLY_ABNORMAL_STRUCTURE)}),
    ("121071", "DCM"): frozenset({key(codes.LESION)}),
    ("363698007", "SCT"): _SITES,
    ("111000", "DCM"): frozenset({key(codes.ARTIFICIAL_INTELLIGENCE)}),
    ("130400", "DCM"): frozenset({key(codes.BOUNDED_BY)}),
    key(codes.ASSESSMENT_CATEGORY): _CLASSES | {key(codes.INDETERMINATE)},
    key(codes.DETECTOR_CLASS): _CLASSES,
    key(codes.OVERALL_ASSESSMENT): _CLASSES | {key(codes.NO_LESION_DETECTED), key(codes.NOT_ANALYSED)},
    key(codes.INTENDED_USE): frozenset({key(codes.RESEARCH_USE_ONLY)}),
    key(codes.REASON_LEFT_OUT): _REASONS,
    key(codes.REASON_NOT_ANALYSED): _REASONS,
    key(codes.VOTE_OUTCOME): frozenset({key(codes.MAJORITY), key(codes.TIE), key(codes.ABSTAINED)}),
    key(codes.WEIGHTING): frozenset({key(codes.T1_WEIGHTED), key(codes.T2_WEIGHTED), key(codes.T2_FAT_SUPPRESSED)}),
    key(codes.RUN_SUMMARY): frozenset(
        key(summary)
        for summary in (
            codes.ALL_SUCCEEDED_WITH_FINDINGS,
            codes.ALL_SUCCEEDED_WITHOUT_FINDINGS,
            codes.NOT_ALL_SUCCEEDED_WITH_FINDINGS,
            codes.NOT_ALL_SUCCEEDED_WITHOUT_FINDINGS,
            codes.NONE_SUCCEEDED,
        )
    ),
}
_UNIT: Final[dict[Name, codes.Code]] = {
    key(codes.PROBABILITY_OF_CANCER): codes.PERCENT,
    key(codes.CERTAINTY_OF_FINDING): codes.PERCENT,
    key(codes.MALIGNANT_VOTE_FRACTION): codes.PERCENT,
    key(codes.CLASSIFIER_PROBABILITY): codes.PERCENT,
    key(codes.AGE_PROBABILITY): codes.PERCENT,
    key(codes.SUBJECT_AGE): codes.YEARS,
    key(codes.ANSWER_DELAY): codes.MINUTES,
    key(codes.IMAGE_COUNT): codes.NO_UNITS,
    key(codes.VOTING_IMAGE_COUNT): codes.NO_UNITS,
    key(codes.MALIGNANT_VOTE_COUNT): codes.NO_UNITS,
    key(codes.INSTANCE_COUNT): codes.NO_UNITS,
}
_CONTINUITY: Final = ("SEPARATE", "CONTINUOUS")
_MAY_BE_NAMELESS: Final = ("COMPOSITE", "IMAGE")  # PS3.3 Table C.17-5: the parent says what it is for
_RELATIONSHIPS: Final = ("CONTAINS", "HAS CONCEPT MOD", "HAS OBS CONTEXT", "INFERRED FROM", "SELECTED FROM")
# Where the value of an item stands
_VALUE_OF_TYPE: Final = {
    "CODE": "ConceptCodeSequence",
    "COMPOSITE": "ReferencedSOPSequence",
    "IMAGE": "ReferencedSOPSequence",
    "NUM": "MeasuredValueSequence",
    "SCOORD": "GraphicData",
    "TEXT": "TextValue",
    "UIDREF": "UID",
}


def content_faults(dataset: ReadDataset, _report: ReceivedReport) -> Iterable[str]:
    if text(dataset, "ValueType") != "CONTAINER" or text(dataset, "ContinuityOfContent") not in _CONTINUITY:
        yield "its root is no container"
    for item in walk(dataset):
        for fault in _faults(item):
            yield f"content item ({', '.join(name(item))}) {fault}"


def _faults(item: ReadDataset) -> Iterable[str]:
    value_type = text(item, "ValueType")
    if text(item, "RelationshipType") not in _RELATIONSHIPS:
        yield "has no relationship to its parent"
    if not all(name(item)) and value_type not in _MAY_BE_NAMELESS:
        yield f"of type {value_type} has no name"
    if value_type == "CONTAINER":
        if not items(item, "ContentSequence") or text(item, "ContinuityOfContent") not in _CONTINUITY:
            yield "is an empty container or one of unknown continuity"
    elif not _has_value(item, _VALUE_OF_TYPE.get(value_type, "")):
        yield f"has no value of type {value_type or 'unknown'}"
    elif value_type == "CODE":
        if code(item, "ConceptCodeSequence")[:2] not in _MAY_SAY.get(
            name(item), {code(item, "ConceptCodeSequence")[:2]}
        ):
            yield "has a value that does not answer it"
    elif value_type == "NUM":
        yield from _number_faults(item)


def _has_value(item: ReadDataset, keyword: str) -> bool:
    return bool(keyword) and bool(items(item, keyword) or text(item, keyword))


def _number_faults(item: ReadDataset) -> Iterable[str]:
    measured = first(item, "MeasuredValueSequence")
    value = as_number(item)
    if value is None or not isfinite(value):
        yield "holds no number"
        return
    unit = _UNIT.get(name(item))
    if unit is None:
        yield "is no measurement of this report"
        return
    if code(measured, "MeasurementUnitsCodeSequence")[:2] != key(unit):
        yield f"is not in the unit {unit.value}"
    floating = texts(measured, "FloatingPointValue")
    if floating and abs(float(floating[0]) - value) > 1e-3:
        yield "says one number as text and another as floating point"
    if value < 0 or (unit is codes.PERCENT and value > 100):
        yield "is outside its range"
    if unit is codes.NO_UNITS and value != number(measured, "NumericValue"):
        yield "counts no whole number"


def answers(parent: ReadDataset) -> dict[Name, ReadDataset]:
    """The content items right below one, by their concept name; the first where several have one name."""
    return {name(item): item for item in reversed(items(parent, "ContentSequence"))}


def as_number(item: ReadDataset) -> float | None:
    """Numeric Value of a NUM item."""
    try:
        return float(text(first(item, "MeasuredValueSequence"), "NumericValue"))
    except ValueError:
        return None
