"""The characters of an object: what was meant is what its receiver reads."""

from collections.abc import Iterable, Iterator

from pydicom.charset import python_encoding

from node.report.check.reading import ReadDataset, nested, text, texts, value


def character_faults(meant: ReadDataset, received: ReadDataset) -> Iterable[str]:
    """`meant` is the object in memory, `received` the same object read back from its bytes."""
    declared = texts(received, "SpecificCharacterSet")
    if not declared and not all(map(str.isascii, _all_texts(received))):  # PS3.3 C.12.1: Type 1C
        yield "SpecificCharacterSet is missing"
    elif any(one not in python_encoding for one in declared):
        yield "SpecificCharacterSet names an unknown character set"
    for keyword in dict.fromkeys(_changed(meant, received)):
        yield f"{keyword} is not read back as it was meant: its characters do not fit SpecificCharacterSet"


def _all_texts(received: ReadDataset) -> Iterator[str]:
    for _, item in [("", received), *nested(received)]:
        for keyword in item.text_keywords:
            yield from texts(item, keyword)


def _changed(meant: ReadDataset, received: ReadDataset) -> Iterator[str]:
    for keyword in received.text_keywords:
        if value(received, keyword) is not None and text(meant, keyword) != text(received, keyword):
            yield keyword
    for keyword, children in received.sequences:
        for one, other in zip(meant.items(keyword), children, strict=False):
            yield from _changed(one, other)
