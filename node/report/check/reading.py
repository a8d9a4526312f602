"""Reading of objects that may be damaged: what is missing, or is not what it should be, reads as empty."""

from collections.abc import Iterator
from functools import cache
from typing import Final

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

# What pydicom and conversions raise on values that are not what they should be; OSError: a sequence cut short in memory
UNREADABLE: Final = (
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    NotImplementedError,
    OSError,
    EOFError,
)

Code = tuple[str, str, str]  # value, scheme, meaning
Name = tuple[str, str]  # value, scheme of a concept
NOTHING: Final = Dataset()  # stands for what is not there; never changed
_PADDING: Final = "\0 \t\r\n"


@cache
def _tag(keyword: str) -> BaseTag | None:
    tag = tag_for_keyword(keyword)
    return None if tag is None else Tag(tag)


@cache
def _sequence_name(tag: BaseTag) -> str:
    """The keyword of a sequence; empty for all other attributes."""
    is_sequence = dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ"
    return keyword_for_tag(tag) if is_sequence else ""


def value(dataset: Dataset, keyword: str) -> object:
    """The value of an attribute; None when it is absent, empty or cannot be read."""
    tag = _tag(keyword)
    if tag is None:
        return None
    try:
        element = dataset.get(tag)
    except UNREADABLE:
        return None
    return None if element is None else element.value


def texts(dataset: Dataset, keyword: str) -> list[str]:
    """Each value as text without padding; an empty list when absent or empty."""
    found = value(dataset, keyword)
    if found is None or found == "" or isinstance(found, Sequence):
        return []
    return [str(part).strip(_PADDING) for part in (found if isinstance(found, list | MultiValue) else [found])]


def text(dataset: Dataset, keyword: str) -> str:
    """The value as text; empty when absent. Several values are joined by a backslash."""
    return "\\".join(texts(dataset, keyword))


def number(dataset: Dataset, keyword: str) -> int:
    """A single whole number; 0 when absent or when it is none."""
    try:
        return int(text(dataset, keyword))
    except ValueError:
        return 0


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """All values as floats; an empty list when one of them is no number."""
    try:
        return [float(one) for one in texts(dataset, keyword)]
    except ValueError:
        return []


def data(dataset: Dataset, keyword: str) -> bytes:
    """The value of a binary attribute; empty when absent."""
    found = value(dataset, keyword)
    return found if isinstance(found, bytes) else b""


def items(dataset: Dataset, *keywords: str) -> list[Dataset]:
    """The items of one or more sequences, in order; empty when absent."""
    found: list[Dataset] = []
    for keyword in keywords:
        sequence = value(dataset, keyword)
        if isinstance(sequence, Sequence):
            found += sequence
    return found


def first(dataset: Dataset, keyword: str) -> Dataset:
    """The first item of a sequence, or an empty data set."""
    return next(iter(items(dataset, keyword)), NOTHING)


def code(dataset: Dataset, keyword: str) -> Code:
    """Value, scheme and meaning of the first item of a code sequence."""
    item = first(dataset, keyword)
    return text(item, "CodeValue"), text(item, "CodingSchemeDesignator"), text(item, "CodeMeaning")


def name(item: Dataset) -> Name:
    """The concept name of a content item."""
    concept = first(item, "ConceptNameCodeSequence")
    return text(concept, "CodeValue"), text(concept, "CodingSchemeDesignator")


def walk(item: Dataset) -> Iterator[Dataset]:
    """All content items below one, in the order of the document."""
    for child in items(item, "ContentSequence"):
        yield child
        yield from walk(child)


def by_name(item: Dataset) -> dict[Name, list[Dataset]]:
    """All content items below one, by their concept name."""
    found: dict[Name, list[Dataset]] = {}
    for child in walk(item):
        found.setdefault(name(child), []).append(child)
    return found


def named(item: Dataset, concept: Name) -> list[Dataset]:
    """All content items below one that have this concept name."""
    return [child for child in walk(item) if name(child) == concept]


def nested(dataset: Dataset, without: frozenset[str] = frozenset()) -> Iterator[tuple[str, Dataset]]:
    """Every sequence item at any depth, with the keyword of its sequence; those in `without` are not entered."""
    for tag in dataset.keys():  # noqa: SIM118 - iterating a data set decodes its values, which may fail
        keyword = _sequence_name(tag)
        if not keyword or keyword in without:
            continue
        for item in items(dataset, keyword):
            yield keyword, item
            yield from nested(item, without)
