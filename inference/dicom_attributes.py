"""Reads attributes of data sets that may lie: a value that cannot be converted reads as absent."""

import math
import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.tag import BaseTag, Tag

_UID: Final = re.compile(r"[0-9.]{1,64}")
_CODE: Final = re.compile(r"[A-Z0-9_ ]{1,16}")

# What pydicom raises for one value that cannot be converted (found by fuzzing)
UNCONVERTIBLE: Final = (
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    NotImplementedError,
    BytesLengthException,
)

FUNCTIONAL_GROUPS: Final = (
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "FrameContentSequence",
    "FrameVOILUTSequence",
    "MRImageFrameTypeSequence",
    "MRTimingAndRelatedParametersSequence",
    "MREchoSequence",
    "MRModifierSequence",
    "MRImagingModifierSequence",
    "MRDiffusionSequence",
    "MRReceiveCoilSequence",
    "FrameAnatomySequence",
    "UnassignedSharedConvertedAttributesSequence",
    "UnassignedPerFrameConvertedAttributesSequence",
)


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none when it is absent."""
    value = _value(dataset, keyword)
    return list(value) if value else []


def _value(dataset: Dataset, keyword: str) -> Any:
    """None when absent, which most attributes are: pydicom takes ten times as long to find that out by a name."""
    tag = _tag(keyword)
    return dataset[tag].value if tag in dataset.keys() else None  # noqa: SIM118 - `in dataset` is slow, too


@cache
def _tag(keyword: str) -> BaseTag:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword} is no keyword of the data dictionary; repair the caller")
    return Tag(tag)


def flattened_groups(frames: Sequence[Dataset]) -> list[Dataset]:
    """The functional groups of one frame, flattened: each macro is a sequence of one item (PS3.3 C.7.6.16)."""
    return [group for frame in frames for keyword in FUNCTIONAL_GROUPS for group in items(frame, keyword)[:1]]


class AttributeSource:
    """Looks an attribute up in several data sets, the first that has it wins. What is no value reads as absent."""

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        self._datasets = datasets

    def _values(self, *keywords: str) -> list[object]:
        for keyword in keywords:
            for dataset in self._datasets:
                try:
                    value = _value(dataset, keyword)
                except UNCONVERTIBLE:
                    continue  # e.g. "***" where a number belongs: one bad attribute does not spoil the image
                if value is not None and value != "":
                    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        return []

    def text(self, keyword: str) -> str:
        return " ".join(str(value).strip() for value in self._values(keyword))

    def uid(self, keyword: str) -> str:
        """A UID as sent; empty when it is not made of digits and dots (PS3.5 9.1)."""
        text = self.text(keyword)
        return text if _UID.fullmatch(text) else ""

    def codes(self, keyword: str) -> tuple[str, ...]:
        """Code strings in capitals. What is none (PS3.5 6.2, VR CS) is left out: details quote codes to people."""
        values = (str(value).strip().upper() for value in self._values(keyword))
        return tuple(value for value in values if _CODE.fullmatch(value))

    def code(self, keyword: str) -> str:
        """A single code string; empty when absent or not valid."""
        return next(iter(self.codes(keyword)), "")

    def all_numbers(self, keyword: str) -> tuple[float, ...]:
        """As many as there are, finite or not; none when one of them is no number."""
        try:
            return tuple(float(str(value)) for value in self._values(keyword))
        except ValueError:
            return ()

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        numbers = self.all_numbers(keyword)
        return numbers if len(numbers) == count and all(math.isfinite(n) for n in numbers) else None

    def number(self, *keywords: str) -> float | None:
        """A single number; None when it is absent, multi-valued or not finite."""
        for keyword in keywords:
            if numbers := self.numbers(keyword, 1):
                return numbers[0]
        return None

    def integer(self, *keywords: str) -> int | None:
        number = self.number(*keywords)
        return int(number) if number is not None else None
