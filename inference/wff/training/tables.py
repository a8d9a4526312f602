"""Settings as frozen dataclasses: keys with a comment and limits, built over a default, every fault told by its key."""

import math
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import Field, field, fields, is_dataclass, replace
from enum import StrEnum
from typing import Any, Final, TypeVar

from inference.errors import SettingsError

_T = TypeVar("_T")
_COMMENT: Final = "comment"
_LEAST: Final = "least"
_MOST: Final = "most"


def key(default: Any, comment: str, *, least: float | None = None, most: float | None = None) -> Any:
    """A field with its comment for people and, for a number, its least and largest value."""
    return field(default=default, metadata={_COMMENT: comment, _LEAST: least, _MOST: most})


def comment_of(one: "Field[Any]") -> str:
    comment: str = one.metadata.get(_COMMENT, "")
    return comment


def keys_of(settings: Any) -> "Iterator[tuple[Field[Any], Any]]":
    """Fields and values of a settings dataclass, single values first and tables after, as TOML wants them."""
    pairs = [(one, getattr(settings, one.name)) for one in fields(settings)]
    yield from (pair for pair in pairs if not is_dataclass(pair[1]))
    yield from (pair for pair in pairs if is_dataclass(pair[1]))


def overridden(base: _T, table: Mapping[str, Any], where: str) -> _T:
    """`base` with the values that `table` names; tables inside tables go on in the same way.

    `where` begins each message, e.g. the name of the file. Raises SettingsError naming the key.
    """
    made: _T = _overridden(base, table, where, ())
    return made


def _overridden(base: Any, table: Mapping[str, Any], where: str, path: tuple[str, ...]) -> Any:
    known = {one.name: one for one in fields(base)}
    values = {}
    for name, value in table.items():
        here = (*path, name)
        if name not in known:
            raise SettingsError(f"{where}: unknown key {_dotted(here)!r}; {_known(path, known)}")
        values[name] = _value(known[name], getattr(base, name), value, where, here)
    try:
        return replace(base, **values)
    except ValueError as error:
        raise SettingsError(f"{where}: {_dotted(path) or 'settings'}: {error}") from error


def _value(one: "Field[Any]", default: Any, value: Any, where: str, path: tuple[str, ...]) -> Any:
    if is_dataclass(default):
        if not isinstance(value, Mapping):
            raise SettingsError(f"{where}: {_dotted(path)} is {value!r}, expected a table [{_dotted(path)}]")
        return _overridden(default, value, where, path)
    read = _like(default, value, f"{where}: {_dotted(path)}")
    _require_limits(one, read, f"{where}: {_dotted(path)}")
    return read


def _like(default: Any, value: Any, what: str) -> Any:
    """`value` as TOML gives it, in the type of `default`."""
    if isinstance(default, tuple):
        return _tuple_like(default, value, what)
    if isinstance(default, StrEnum):
        allowed = [str(choice) for choice in type(default)]
        if value not in allowed:
            raise SettingsError(f"{what} is {value!r}, expected one of {', '.join(allowed)}")
        return type(default)(value)
    if isinstance(default, float) and isinstance(value, int | float) and not isinstance(value, bool):
        return _finite(value, what)
    if type(value) is not type(default):
        raise SettingsError(f"{what} is {value!r}, expected {_KINDS[type(default)]}")
    if isinstance(value, str) and any(unicodedata.category(letter) == "Cc" for letter in value):
        raise SettingsError(f"{what} is {value!r}, expected a text without control characters")
    return value


def _finite(value: float, what: str) -> float:
    try:
        converted = float(value)
    except OverflowError:  # a whole number of more than 308 digits
        converted = math.inf
    if not math.isfinite(converted):
        raise SettingsError(f"{what} is {converted}, expected a finite number")
    return converted


def _tuple_like(default: tuple[Any, ...], value: Any, what: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise SettingsError(f"{what} is {value!r}, expected a list")
    like = default[0] if default else ""  # lists that are empty by default are of texts
    return tuple(_like(like, one, f"{what}, value {number}") for number, one in enumerate(value, 1))


def _require_limits(one: "Field[Any]", value: Any, what: str) -> None:
    least, most = one.metadata.get(_LEAST), one.metadata.get(_MOST)
    for number in value if isinstance(value, tuple) else (value,):
        if least is not None and not number >= least:
            raise SettingsError(f"{what} is {number}, expected at least {least}")
        if most is not None and not number <= most:
            raise SettingsError(f"{what} is {number}, expected at most {most}")


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(path)


def _known(path: tuple[str, ...], known: Mapping[str, object]) -> str:
    return f"{f'[{_dotted(path)}]' if path else 'the file'} knows {', '.join(known)}"


_KINDS: Final = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
