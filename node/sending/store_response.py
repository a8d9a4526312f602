"""The Store Instances Response of a DICOMweb service, as JSON or XML, in answer to a request of one object.

Source: PS3.18 10.5.3.2 and Annex I (its attributes), Annex F (JSON); PS3.19 A.1 (XML).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree

_RETRIEVE_URL: Final = "00081190"
_WARNING_REASON: Final = "00081196"
_FAILURE_REASON: Final = "00081197"
_FAILED_SOP_SEQUENCE: Final = "00081198"
_REFERENCED_SOP_SEQUENCE: Final = "00081199"
_OTHER_FAILURES_SEQUENCE: Final = "0008119A"
_REFERENCED_SOP_INSTANCE_UID: Final = "00081155"
_SEQUENCES: Final = (_FAILED_SOP_SEQUENCE, _REFERENCED_SOP_SEQUENCE, _OTHER_FAILURES_SEQUENCE)
_PROCESSING_FAILURE: Final = 0x0110

_Attributes = dict[str, Any]  # by tag, as in DICOM JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreResponse:
    failure: int | None = None  # the reason
    warning: int | None = None


def read_response(content: bytes, sop_instance_uid: str) -> StoreResponse | None:
    """None when it is no Store Instances Response, or one about other objects."""
    try:
        datasets = list(_datasets(content))
    except (ValueError, RecursionError, ElementTree.ParseError):  # a page for people, the beginning of an answer
        return None
    if not datasets or not all(_is_response(dataset) for dataset in datasets):
        return None
    failed = [item for one in datasets for tag in _SEQUENCES[::2] for item in one.get(tag, {}).get("Value", ())]
    if failed:  # whatever it names: there was only this object
        return StoreResponse(failure=_number(failed[0], _FAILURE_REASON) or _PROCESSING_FAILURE)
    stored = [item for one in datasets for item in one.get(_REFERENCED_SOP_SEQUENCE, {}).get("Value", ())]
    ours = [item for item in stored if _first(item, _REFERENCED_SOP_INSTANCE_UID) in (None, sop_instance_uid)]
    if stored and not ours:
        return None
    return StoreResponse(warning=_number(ours[0], _WARNING_REASON) if ours else None)


def _datasets(content: bytes) -> Iterator[Any]:
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        root = ElementTree.fromstring(content, ElementTree.XMLParser(target=_WithoutEntities()))  # noqa: S314 - as it says
        if _name(root) == "NativeDicomModel":
            yield _attributes(root)
        return
    answer = json.loads(content)
    yield from answer if isinstance(answer, list) else [answer]


def _is_response(dataset: Any) -> bool:
    if not isinstance(dataset, dict):
        return False
    sequences = [dataset[tag] for tag in _SEQUENCES if tag in dataset]
    return all(_is_sequence(element) for element in sequences) and bool(sequences or _RETRIEVE_URL in dataset)


def _is_sequence(element: Any) -> bool:
    values = element.get("Value", []) if isinstance(element, dict) else None
    return isinstance(values, list) and all(isinstance(item, dict) for item in values)


class _WithoutEntities(ElementTree.TreeBuilder):
    """Entities, with which few bytes become many, need a document type."""

    def doctype(self, *_: str | None) -> None:
        raise ValueError("a document type, which no DICOM XML has")


def _attributes(parent: ElementTree.Element) -> _Attributes:
    """The attributes of the response or of an item in it; what is deeper is of no use."""
    found: _Attributes = {}
    for attribute in parent:
        values = [
            {one.get("tag", ""): {"Value": [value.text or "" for value in one]} for one in child}
            if _name(child) == "Item"
            else (child.text or "")
            for child in attribute
        ]
        found[attribute.get("tag", "")] = {"Value": values}
    return found


def _name(element: ElementTree.Element) -> str:
    """Without its namespace."""
    return element.tag.rpartition("}")[2]


def _number(item: _Attributes, tag: str) -> int | None:
    """A reason; None when there is none that can be one."""
    value = _first(item, tag)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len("65535"):
        value = int(value)
    return value if isinstance(value, int) and 0 < value <= 0xFFFF else None


def _first(item: _Attributes, tag: str) -> Any:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None
