"""The content tree of an SR or key object selection document as HTML: nested as it is, every value type.

Source: PS3.3 C.17.3 (SR Document Content Module) and C.18 (Content Macros).
"""

from collections.abc import Callable
from typing import Final, Protocol

from pydicom.dataset import Dataset
from pydicom.uid import UID

from node.report_view.html_page import span
from node.report_view.values import codes, date, date_time, elements, time, values

_LEAST_SAID: Final = "CONTAINS"  # the usual relationship goes without saying
_NO_UNITS: Final = ("1", "UCUM")
_LONGEST_COORDINATES: Final = 40  # numbers that are written out


class ImageNames(Protocol):
    """Tells a person which image a reference means; empty where it is not known."""

    def name(self, sop_instance_uid: str) -> str: ...


class NoNames:
    def name(self, sop_instance_uid: str) -> str:
        return ""


def content_tree(document: Dataset, names: ImageNames | None = None) -> str:
    """The whole tree from its root, which is the document itself."""
    return _item(document, names or NoNames())


def _item(item: Dataset, names: ImageNames) -> str:
    children = "\n".join(_item(child, names) for child in elements(item, "ContentSequence"))
    value_type = str(item.get("ValueType", ""))
    kind = "container" if value_type == "CONTAINER" else "item"
    return f'<div class="{kind}">{_relationship(item)}{_name(item)}{_value(item, value_type, names)}\n{children}</div>'


def _relationship(item: Dataset) -> str:
    said = str(item.get("RelationshipType", ""))
    return "" if said in ("", _LEAST_SAID) else span("relationship", said.lower())


def _name(item: Dataset) -> str:
    return "".join(_code(code, "name") for code in codes(item, "ConceptNameCodeSequence"))


def _value(item: Dataset, value_type: str, names: ImageNames) -> str:
    if "ReferencedContentItemIdentifier" in item:
        path = ".".join(str(step) for step in values(item, "ReferencedContentItemIdentifier"))
        return span("value", f"see item {path} of the tree")
    write = _WRITERS.get(value_type)
    if write is None:
        return span("value", f"value type {value_type or 'missing'}, not shown")
    return write(item, names)


def _code(code: Dataset, css_class: str) -> str:
    value, scheme, meaning = code_parts(code)
    return span(css_class, meaning or value, hover=f"({value}, {scheme}, {meaning})")


def code_parts(code: Dataset) -> tuple[str, str, str]:
    """Value, scheme and meaning; the value may be a long or a URN one (PS3.3 8.1)."""
    value = next((str(code[k].value) for k in ("CodeValue", "LongCodeValue", "URNCodeValue") if k in code), "")
    return value, str(code.get("CodingSchemeDesignator", "")), str(code.get("CodeMeaning", ""))


def _plain(keyword: str) -> Callable[[Dataset, ImageNames], str]:
    return lambda item, _names: span("value", item.get(keyword, ""))


def _coded(item: Dataset, _names: ImageNames) -> str:
    return ", ".join(_code(code, "value") for code in codes(item, "ConceptCodeSequence"))


def _number(item: Dataset, _names: ImageNames) -> str:
    measured = list(elements(item, "MeasuredValueSequence"))
    said = [f"{span('value', value.get('NumericValue', ''))}{_unit(value)}" for value in measured]
    qualifiers = [_code(code, "value") for code in codes(item, "NumericValueQualifierCodeSequence")]
    return ", ".join([*said, *qualifiers]) or span("quiet", "no value")


def _unit(measured: Dataset) -> str:
    for code in codes(measured, "MeasurementUnitsCodeSequence"):
        value, scheme, meaning = code_parts(code)
        if (value, scheme) == _NO_UNITS:
            return ""
        shown = meaning if scheme != "UCUM" or value.startswith("{") else value  # {...}: a UCUM annotation, no unit
        return " " + span("unit", shown, hover=f"({value}, {scheme}, {meaning})")
    return ""


def _uid(item: Dataset, _names: ImageNames) -> str:
    return span("uid", item.get("UID", ""))


def _date(item: Dataset, _names: ImageNames) -> str:
    return span("value", date(item.get("Date", "")))


def _time(item: Dataset, _names: ImageNames) -> str:
    return span("value", time(item.get("Time", "")))


def _date_time(item: Dataset, _names: ImageNames) -> str:
    return span("value", date_time(item.get("DateTime", "")))


def _coordinates(item: Dataset, _names: ImageNames) -> str:
    numbers = values(item, "GraphicData")
    per_point = 3 if item.get("ValueType") == "SCOORD3D" else 2
    points = [numbers[i : i + per_point] for i in range(0, len(numbers), per_point)]
    shown = ", ".join(f"({'; '.join(f'{float(n):g}' for n in point)})" for point in points[:_LONGEST_COORDINATES])
    more = f" and {len(points) - _LONGEST_COORDINATES} more" if len(points) > _LONGEST_COORDINATES else ""
    frame = item.get("ReferencedFrameOfReferenceUID", "")
    where = f" {span('uid', frame)}" if frame else ""
    return f"{span('value', item.get('GraphicType', ''))} {span('quiet', shown + more)}{where}"


def _temporal(item: Dataset, _names: ImageNames) -> str:
    keywords = ("ReferencedSamplePositions", "ReferencedTimeOffsets", "ReferencedDateTime")
    points = next((values(item, keyword) for keyword in keywords if keyword in item), [])
    return f"{span('value', item.get('TemporalRangeType', ''))} {span('quiet', ', '.join(map(str, points)))}"


def _reference(item: Dataset, names: ImageNames) -> str:
    return ", ".join(_referenced(reference, names) for reference in elements(item, "ReferencedSOPSequence"))


def _referenced(reference: Dataset, names: ImageNames) -> str:
    uid = str(reference.get("ReferencedSOPInstanceUID", ""))
    frames = values(reference, "ReferencedFrameNumber")
    said = names.name(uid) or UID(str(reference.get("ReferencedSOPClassUID", ""))).name
    if frames:
        said += f", frame {', '.join(map(str, frames))}"
    return f"{span('value', said)} {span('uid', uid)}"


def _nothing(_item: Dataset, _names: ImageNames) -> str:
    return ""


_WRITERS: Final[dict[str, Callable[[Dataset, ImageNames], str]]] = {
    "CONTAINER": _nothing,
    "TEXT": _plain("TextValue"),
    "CODE": _coded,
    "NUM": _number,
    "DATETIME": _date_time,
    "DATE": _date,
    "TIME": _time,
    "UIDREF": _uid,
    "PNAME": _plain("PersonName"),
    "SCOORD": _coordinates,
    "SCOORD3D": _coordinates,
    "TCOORD": _temporal,
    "COMPOSITE": _reference,
    "IMAGE": _reference,
    "WAVEFORM": _reference,
}
