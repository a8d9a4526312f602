"""Values of a data set for people; what is absent is empty."""

from collections.abc import Iterable
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue


def elements(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none where it is absent."""
    return list(dataset.get(keyword) or ())


def codes(dataset: Dataset, keyword: str) -> Iterable[Dataset]:
    return elements(dataset, keyword)


def values(dataset: Dataset, keyword: str) -> list[Any]:
    """All values of an attribute, of whatever multiplicity."""
    value = dataset.get(keyword)
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, MultiValue | list | tuple) else [value]


def date(value: object) -> str:
    """A DA value, e.g. "2026-03-04"; anything else as it is."""
    digits = str(value)
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if len(digits) == 8 and digits.isdecimal() else digits


def time(value: object) -> str:
    """A TM value to the second, e.g. "10:11:12"; anything else as it is."""
    digits = str(value).split(".")[0]
    if not digits.isdecimal() or len(digits) not in (2, 4, 6):
        return str(value)
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))


def date_time(value: object) -> str:
    """A DT value, e.g. "2026-03-04 10:11:12 +0100"; anything else as it is."""
    whole = str(value)
    moment, zone = (whole[:-5], whole[-5:]) if whole[-5:-4] in ("+", "-") else (whole, "")
    return " ".join(part for part in (date(moment[:8]), time(moment[8:]) if moment[8:] else "", zone) if part)
