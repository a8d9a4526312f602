"""Reading of objects that may be damaged: what is missing, or is not what it should be, reads as empty.

Every rule looks at the same attributes again and again: each is decoded once.
"""

import struct
from collections.abc import Iterator
from functools import cache
from typing import Final

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.values import convert_value

# What pydicom and conversions raise on values that are not what they should be; OSError: a sequence cut short in memory
UNREADABLE: Final = (
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    NotImplementedError,
    RecursionError,
    OSError,
    EOFError,
    struct.error,
)

Code = tuple[str, str, str]  # value, scheme, meaning
Name = tuple[str, str]  # value, scheme of a concept
PADDING: Final = "\0 \t\r\n"
_UNSURE: Final = (None, "UN")  # the data dictionary may know more
_TEXT: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})  # VRs that follow Specific Character Set


class ReadDataset:
    """One data set, or item of a sequence, as a reader sees it. What it is read from must not change any more."""

    __slots__ = ("_by_name", "_dataset", "_elements", "_items", "_sequences", "_texts", "_values")

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._elements: dict[BaseTag, RawDataElement | DataElement] = dict(dataset.items())  # not decoded by this
        self._values: dict[str, object] = {}
        self._texts: dict[str, list[str]] = {}
        self._items: dict[str, list[ReadDataset]] = {}
        self._sequences: list[tuple[str, list[ReadDataset]]] | None = None
        self._by_name: dict[Name, list[ReadDataset]] | None = None

    def __contains__(self, keyword: str) -> bool:
        return _tag(keyword) in self._elements

    def value(self, keyword: str) -> object:
        if keyword not in self._values:
            self._values[keyword] = self._decoded(keyword)
        return self._values[keyword]

    def texts(self, keyword: str) -> list[str]:
        if keyword not in self._texts:
            self._texts[keyword] = _as_texts(self.value(keyword))
        return self._texts[keyword]

    def items(self, keyword: str) -> "list[ReadDataset]":
        if keyword not in self._items:
            found = self.value(keyword)
            self._items[keyword] = [ReadDataset(item) for item in found] if isinstance(found, Sequence) else []
        return self._items[keyword]

    @property
    def sequences(self) -> "list[tuple[str, list[ReadDataset]]]":
        """Keyword and items of every sequence."""
        if self._sequences is None:
            keywords = filter(None, map(_sequence_name, self._elements))
            self._sequences = [(keyword, self.items(keyword)) for keyword in keywords]
        return self._sequences

    @property
    def text_keywords(self) -> list[str]:
        """Of all attributes whose letters Specific Character Set says, private ones excepted."""
        tags = (tag for tag, element in self._elements.items() if element.VR in _TEXT)
        return [keyword for tag in tags if (keyword := keyword_for_tag(tag))]

    @property
    def by_name(self) -> "dict[Name, list[ReadDataset]]":
        """All content items below this one by their concept name, in the order of the document."""
        if self._by_name is None:
            self._by_name = {}
            for child in walk(self):
                self._by_name.setdefault(name(child), []).append(child)
        return self._by_name

    def _decoded(self, keyword: str) -> object:
        tag = _tag(keyword)
        element = None if tag is None else self._elements.get(tag)
        if element is None:
            return None
        if isinstance(element, DataElement):
            return element.value
        try:
            if element.VR not in _UNSURE and element.value is not None:
                # as pydicom does, but for its element around the value: a quarter of the time (measured)
                return convert_value(element.VR, element, self._dataset.original_character_set)
        except UNREADABLE:  # of the wrong length, perhaps, which pydicom reads as bytes
            pass
        try:
            return self._dataset[element.tag].value
        except UNREADABLE:
            return None


NOTHING: Final = ReadDataset(Dataset())  # stands for what is not there


@cache
def _tag(keyword: str) -> BaseTag | None:
    tag = tag_for_keyword(keyword)
    return None if tag is None else Tag(tag)


@cache
def _sequence_name(tag: BaseTag) -> str:
    """The keyword of a sequence; empty for all other attributes."""
    is_sequence = dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ"
    return keyword_for_tag(tag) if is_sequence else ""


def _as_texts(found: object) -> list[str]:
    if found is None or found == "" or isinstance(found, Sequence):
        return []
    return [str(part).strip(PADDING) for part in (found if isinstance(found, list | MultiValue) else [found])]


def value(dataset: ReadDataset, keyword: str) -> object:
    """The value of an attribute; None when it is absent, empty or cannot be read."""
    return dataset.value(keyword)


def texts(dataset: ReadDataset, keyword: str) -> list[str]:
    """Each value as text without padding; an empty list when absent or empty."""
    return dataset.texts(keyword)


def text(dataset: ReadDataset, keyword: str) -> str:
    """The value as text; empty when absent. Several values are joined by a backslash."""
    found = dataset.texts(keyword)
    return found[0] if len(found) == 1 else "\\".join(found)


def number(dataset: ReadDataset, keyword: str) -> int:
    """A single whole number; 0 when absent or when it is none."""
    try:
        return int(text(dataset, keyword))
    except ValueError:
        return 0


def numbers(dataset: ReadDataset, keyword: str) -> list[float]:
    """All values as floats; an empty list when one of them is no number."""
    try:
        return [float(one) for one in texts(dataset, keyword)]
    except ValueError:
        return []


def data(dataset: ReadDataset, keyword: str) -> bytes:
    """The value of a binary attribute; empty when absent."""
    found = dataset.value(keyword)
    return found if isinstance(found, bytes) else b""


def items(dataset: ReadDataset, *keywords: str) -> list[ReadDataset]:
    """The items of one or more sequences, in order; empty when absent."""
    return [item for keyword in keywords for item in dataset.items(keyword)]


def first(dataset: ReadDataset, keyword: str) -> ReadDataset:
    """The first item of a sequence, or an empty data set."""
    found = dataset.items(keyword)
    return found[0] if found else NOTHING


def code(dataset: ReadDataset, keyword: str) -> Code:
    """Value, scheme and meaning of the first item of a code sequence."""
    item = first(dataset, keyword)
    return text(item, "CodeValue"), text(item, "CodingSchemeDesignator"), text(item, "CodeMeaning")


def name(item: ReadDataset) -> Name:
    """The concept name of a content item."""
    concept = first(item, "ConceptNameCodeSequence")
    return text(concept, "CodeValue"), text(concept, "CodingSchemeDesignator")


def walk(item: ReadDataset) -> Iterator[ReadDataset]:
    """All content items below one, in the order of the document."""
    for child in item.items("ContentSequence"):
        yield child
        yield from walk(child)


def named(item: ReadDataset, concept: Name) -> list[ReadDataset]:
    """All content items below one that have this concept name."""
    return item.by_name.get(concept, [])


def nested(dataset: ReadDataset, without: frozenset[str] = frozenset()) -> Iterator[tuple[str, ReadDataset]]:
    """Every sequence item at any depth, with the keyword of its sequence; those in `without` are not entered."""
    for keyword, children in dataset.sequences:
        if keyword not in without:
            for item in children:
                yield keyword, item
                yield from nested(item, without)
