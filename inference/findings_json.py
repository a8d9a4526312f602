"""Findings as plain JSON data and back, without loss."""

import types
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from inference.findings import Findings


def to_json(findings: Findings) -> dict[str, Any]:
    """Plain dicts, lists, strings, numbers and None; keys are the field names of `inference.findings`."""
    plain: dict[str, Any] = _plain(findings)
    return plain


def from_json(data: dict[str, Any]) -> Findings:
    """The inverse of `to_json`. Raises ValueError or TypeError naming the place where the data does not fit."""
    findings = _typed(Findings, data, "findings")
    if not isinstance(findings, Findings):
        raise TypeError("findings expected")
    return findings


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _typed(kind: Any, value: Any, where: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return None if value is None else _typed(_not_none(kind), value, where)
    if origin is tuple:
        item = get_args(kind)[0]
        if not isinstance(value, list):
            raise TypeError(f"{where}: expected a list, got {type(value).__name__}")
        return tuple(_typed(item, v, f"{where}[{n}]") for n, v in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise TypeError(f"{where}: expected an object, got {type(value).__name__}")
        return {key: _typed(get_args(kind)[1], v, f"{where}.{key}") for key, v in value.items()}
    if is_dataclass(kind):
        return _record(kind, value, where)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return _scalar(kind, value, where)


def _record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"{where}: expected an object, got {type(value).__name__}")
    hints = get_type_hints(kind)
    unknown = sorted(set(value) - set(hints))
    if unknown:
        raise ValueError(f"{where}: unknown keys {unknown}")
    missing = sorted(f.name for f in fields(kind) if f.name not in value and not _has_default(f))
    if missing:
        raise ValueError(f"{where}: lacks {missing}")
    return kind(**{name: _typed(hints[name], v, f"{where}.{name}") for name, v in value.items()})


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)  # JSON writes 1.0 as 1 in other languages
    if type(value) is not kind:
        raise TypeError(f"{where}: expected {kind.__name__}, got {value!r}")
    return value


def _not_none(kind: Any) -> Any:
    (inner,) = (k for k in get_args(kind) if k is not type(None))
    return inner
