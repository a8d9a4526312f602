"""Takes typed values out of JSON that a person or a program wrote; what is wrong is said as part of a sentence."""

import math
from collections.abc import Mapping
from typing import Any


class NotThat(Exception):
    """A value is absent or of a wrong kind; the text names it."""


def a_list(data: Any, key: str) -> list[Any]:
    value = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(value, list):
        raise NotThat(f"{key} is no list")
    return value


def text(data: Any, key: str, default: str | None = None) -> str:
    value = data.get(key, default) if isinstance(data, Mapping) else None
    if not isinstance(value, str):
        raise NotThat(f"{key} is no text")
    return value


def whole(data: Any, key: str) -> int:
    value = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(value, int) or isinstance(value, bool):
        raise NotThat(f"{key} is no whole number")
    return value


def size(data: Mapping[str, Any], key: str) -> int | None:
    """A number of pixels, which may be left out."""
    return None if data.get(key) is None else whole(data, key)


def number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotThat(f"{what} is no number")
    try:
        converted = float(value)
    except OverflowError:  # a whole number of more than 308 digits
        converted = math.inf
    if not math.isfinite(converted):
        raise NotThat(f"{what} is no finite number")
    return converted
