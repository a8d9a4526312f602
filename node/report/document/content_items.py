"""Small makers of SR content items, in our codes, all contained in their parent."""

from collections.abc import Iterable

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
    UIDRefContentItem,
)

from config import codes
from node.report.coding import concept

CONTAINS = RelationshipTypeValues.CONTAINS
_PERCENT_DECIMALS = 2  # finer is noise, and it keeps the values readable in viewers


def container(name: codes.Code, items: Iterable[ContentItem]) -> ContainerContentItem:
    made = ContainerContentItem(name=concept(name), is_content_continuous=False, relationship_type=CONTAINS)
    made.ContentSequence = ContentSequence(list(items))
    return made


def code(name: codes.Code, value: codes.Code) -> CodeContentItem:
    return CodeContentItem(concept(name), concept(value), CONTAINS)


def text(name: codes.Code, value: str) -> TextContentItem:
    return TextContentItem(concept(name), value.strip() or "Not stated.", CONTAINS)  # Type 1: never empty


def uid(name: codes.Code, value: str) -> UIDRefContentItem:
    return UIDRefContentItem(concept(name), value, CONTAINS)


def number(name: codes.Code, value: float, unit: codes.Code) -> NumContentItem:
    return NumContentItem(concept(name), value, concept(unit), relationship_type=CONTAINS)


def count(name: codes.Code, value: int) -> NumContentItem:
    item = number(name, value, codes.NO_UNITS)
    item.MeasuredValueSequence[0].NumericValue = str(value)  # highdicom writes 11 as "11.0"
    return item


def percentage(name: codes.Code, fraction: float) -> NumContentItem:
    return number(name, in_percent(fraction), codes.PERCENT)


def in_percent(fraction: float) -> float:
    return round(100.0 * fraction, _PERCENT_DECIMALS)
