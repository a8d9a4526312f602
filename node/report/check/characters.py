"""The characters of an object: what was meant is what its receiver reads."""

from collections.abc import Iterable, Iterator
from typing import Final

from pydicom.charset import python_encoding
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from node.report.check.reading import items, nested, text, texts, value

_TEXT: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})  # VRs that follow Specific Character Set


def character_faults(meant: Dataset, received: Dataset) -> Iterable[str]:
    """`meant` is the object in memory, `received` the same object read back from its bytes."""
    declared = texts(received, "SpecificCharacterSet")
    if not declared and not all(map(str.isascii, _all_texts(received))):  # PS3.3 C.12.1: Type 1C
        yield "SpecificCharacterSet is missing"
    elif any(one not in python_encoding for one in declared):
        yield "SpecificCharacterSet names an unknown character set"
    for keyword in dict.fromkeys(_changed(meant, received)):
        yield f"{keyword} is not read back as it was meant: its characters do not fit SpecificCharacterSet"


def _all_texts(received: Dataset) -> Iterator[str]:
    for _, item in [("", received), *nested(received)]:
        for tag in item.keys():  # noqa: SIM118 - iterating a data set decodes its values, which may fail
            if value(item, keyword_for_tag(tag)) is not None and item[tag].VR in _TEXT:
                yield from texts(item, keyword_for_tag(tag))


def _changed(meant: Dataset, received: Dataset) -> Iterator[str]:
    for tag in received.keys():  # noqa: SIM118 - iterating a data set decodes its values, which may fail
        keyword = keyword_for_tag(tag)
        if value(received, keyword) is None:
            continue
        if received[tag].VR in _TEXT and text(meant, keyword) != text(received, keyword):
            yield keyword
        elif received[tag].VR == "SQ":
            for one, other in zip(items(meant, keyword), items(received, keyword), strict=False):
                yield from _changed(one, other)
