"""DICOM SR: the regions of measurement groups (TID 1500; 1410, 1411 and what viewers make of them).

A 2-D region is a polyline in coordinates whose origin is the outer corner of the first pixel (PS3.3 C.18.6.1.1): the
frame of `inference.findings.Box`. The tree is walked by value types, because viewers hang their regions at
different depths of a group, and leave out names that highdicom's typed readers insist on.
"""

from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset

from inference.dicom_attributes import AttributeSource, items
from inference.findings import Box, Verdict
from inference.labels.annotation import (
    Annotations,
    LabelledBox,
    box_around,
    joined,
    verdict_in_words,
    verdict_of_code,
)
from inference.labels.faults import Fault, FaultCode, Place
from inference.labels.image_index import ImageIndex

SR_CLASSES: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.88.22",  # Enhanced SR
        "1.2.840.10008.5.1.4.1.1.88.33",  # Comprehensive SR
        "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR
    }
)
_GROUP: Final = "125007"  # DCM, Measurement Group
_CLASS_NAMES: Final = frozenset({"111005", "121071"})  # DCM, Assessment Category and Finding: before all other codes
_OBSERVER_TYPE: Final = "121005"  # DCM
_DEVICE: Final = "121007"  # DCM
_ALGORITHM_NAME: Final = "111001"  # DCM
_FEWEST_CORNERS: Final = 3  # of a region; two points are a length


def read_structured_report(dataset: Dataset, file: str, images: ImageIndex) -> Annotations:
    """Boxes around the 2-D regions of one SR; `file` is its name relative to the folder."""
    groups = [item for item in _below(dataset) if _name(item) == _GROUP]
    parts = [_group(group, nth, file, images) for nth, group in enumerate(groups, start=1)]
    found = joined(parts)
    if found.boxes and _by_algorithm(dataset):
        place = Place(file=file, sop_instance_uid=found.boxes[0].image.sop_instance_uid)
        said = f"An algorithm made this structured report of {len(found.boxes)} boxes."
        fault = Fault(code=FaultCode.ANNOTATION_BY_ALGORITHM, what=said, place=place)
        return Annotations(found.boxes, (*found.faults, fault))
    return found


def _below(item: Dataset) -> Iterator[Dataset]:
    """All content items of the tree, in the order of the document."""
    for child in items(item, "ContentSequence"):
        yield child
        yield from _below(child)


def _name(item: Dataset) -> str:
    return _code(items(item, "ConceptNameCodeSequence"))[0]


def _value(item: Dataset) -> tuple[str, str, str]:
    return _code(items(item, "ConceptCodeSequence"))


def _code(sequence: list[Dataset]) -> tuple[str, str, str]:
    """Value, scheme and meaning of the first code; empty texts when there is none."""
    source = AttributeSource(sequence[:1])
    return source.text("CodeValue"), source.text("CodingSchemeDesignator"), source.text("CodeMeaning")


def _kind(item: Dataset) -> str:
    return AttributeSource((item,)).code("ValueType")


def _by_algorithm(dataset: Dataset) -> bool:
    return any(
        _name(item) == _ALGORITHM_NAME or (_name(item) == _OBSERVER_TYPE and _value(item)[0] == _DEVICE)
        for item in _below(dataset)
    )


def _group(group: Dataset, nth: int, file: str, images: ImageIndex) -> Annotations:
    tree = list(_below(group))
    regions = [item for item in tree if _kind(item) == "SCOORD"]
    if not regions and any(_kind(item) == "SCOORD3D" for item in tree):
        said = f"Measurement group {nth} has a region in 3-D coordinates alone."
        return Annotations(faults=(Fault(code=FaultCode.SHAPE_NOT_A_BOX, what=said, place=Place(file=file)),))
    verdict = _verdict(tree)
    parts = [_region(region, nth, verdict, file, images) for region in regions]
    # A group may say one region twice: as what it is about, and as what its values were taken from
    return Annotations(
        tuple(dict.fromkeys(box for part in parts for box in part.boxes)),
        tuple(dict.fromkeys(fault for part in parts for fault in part.faults)),
    )


def _verdict(tree: list[Dataset]) -> Verdict | None:
    """The class that the codes of a group name, else its texts; its category and finding come before other codes."""
    codes = [(_name(item), verdict_of_code(*_value(item))) for item in tree if _kind(item) == "CODE"]
    first = {verdict for name, verdict in codes if name in _CLASS_NAMES} - {None}
    others = {verdict for _, verdict in codes} - {None}
    texts = {verdict_in_words(AttributeSource((i,)).text("TextValue")) for i in tree if _kind(i) == "TEXT"} - {None}
    said = first or others or texts
    return said.pop() if len(said) == 1 else None


def _region(region: Dataset, nth: int, verdict: Verdict | None, file: str, images: ImageIndex) -> Annotations:
    box = _box(region)
    shown = [reference for item in _below(region) for reference in items(item, "ReferencedSOPSequence")]
    if box is None:
        said = f"Measurement group {nth} has a {_graphic(region).lower() or 'shape'} that is no box."
        return _fault(FaultCode.SHAPE_NOT_A_BOX, said, Place(file=file))
    if not shown:
        said = f"A region of measurement group {nth} names no image."
        return _fault(FaultCode.ANNOTATION_WITHOUT_IMAGE, said, Place(file=file))
    reference = AttributeSource(shown[:1])
    key = images.key(reference.uid("ReferencedSOPInstanceUID"), reference.integer("ReferencedFrameNumber"))
    place = Place(file=file, sop_instance_uid=key.sop_instance_uid, frame=key.frame)
    if images.by_uid(key) is None:
        said = f"A region of measurement group {nth} is on an image that is not in the folder."
        return _fault(FaultCode.ANNOTATION_WITHOUT_IMAGE, said, place)
    return Annotations((LabelledBox(image=key, box=box, verdict=verdict, place=place),))


def _graphic(region: Dataset) -> str:
    return AttributeSource((region,)).code("GraphicType")


def _box(region: Dataset) -> Box | None:
    values = [float(value) for value in region.get("GraphicData") or ()]
    points = list(zip(values[::2], values[1::2], strict=False))
    if _graphic(region) != "POLYLINE" or len(set(points)) < _FEWEST_CORNERS:
        return None
    return box_around(points)


def _fault(code: FaultCode, what: str, place: Place) -> Annotations:
    return Annotations(faults=(Fault(code=code, what=what, place=place),))
