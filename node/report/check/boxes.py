"""Boxes: closed rectangles inside an image that exists, and what a structured report says about each."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from pydicom.uid import Comprehensive3DSRStorage

from node.report.check.reading import NOTHING, ReadDataset, items, name, named, number, numbers, text
from node.report.check.received import ReceivedReport
from node.report.check.references import frame_numbers, reference_items

MEASUREMENT_GROUP: Final = ("125007", "DCM")
TRACKING_IDENTIFIER: Final = ("112039", "DCM")
TRACKING_UID: Final = ("112040", "DCM")
IMAGE_REGION: Final = ("111030", "DCM")
ROUNDING_PX: Final = 0.01  # coordinates are 32 bit floats
_CORNERS: Final = 5  # of a closed rectangle

Corners = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels, (0, 0) the outer corner of the first pixel


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidBox:
    """One measurement group, as a receiver reads it. `frame` is 1 for an image with one frame."""

    sop_instance_uid: str
    frame: int
    corners: Corners
    tracking_uid: str
    tracking_identifier: str
    group: ReadDataset


def said_boxes(report: ReceivedReport) -> Iterator[SaidBox]:
    """The readable boxes of the structured reports."""
    for _, dataset in report.objects:
        if text(dataset, "SOPClassUID") == Comprehensive3DSRStorage:
            for group in named(dataset, MEASUREMENT_GROUP):
                yield from _said(group)


def same_corners(one: Corners, other: Corners) -> bool:
    return all(abs(a - b) <= ROUNDING_PX for a, b in zip(one, other, strict=True))


def rectangle(graphic_data: list[float]) -> Corners | None:
    """The corners of a closed rectangle with sides along rows and columns; None when it is none."""
    points = list(zip(graphic_data[0::2], graphic_data[1::2], strict=False))
    if len(graphic_data) != 2 * _CORNERS or points[0] != points[-1]:
        return None
    columns, rows = [x for x, _ in points], [y for _, y in points]
    corners = min(columns), min(rows), max(columns), max(rows)
    expected = {(x, y) for x in (corners[0], corners[2]) for y in (corners[1], corners[3])}
    neighbours = pairwise(points)
    along = all(a == c or b == d for (a, b), (c, d) in neighbours)
    return corners if set(points) == expected and along else None


def is_inside(image: ReadDataset, values: list[float]) -> bool:
    """Whether points (column, row, column, row ...) lie within the image."""
    width, height = number(image, "Columns"), number(image, "Rows")
    return all(
        -ROUNDING_PX <= one <= limit + ROUNDING_PX
        for limit, axis in ((width, values[0::2]), (height, values[1::2]))
        for one in axis
    )


def box_faults(region: ReadDataset, images: Mapping[str, ReadDataset]) -> Iterable[str]:
    data = numbers(region, "GraphicData")
    corners = rectangle(data)
    if text(region, "GraphicType") != "POLYLINE" or corners is None:
        yield f"is not a closed rectangle: {text(region, 'GraphicType')} of {len(data) // 2} points"
        return
    if corners[0] >= corners[2] or corners[1] >= corners[3]:
        yield "has no area"
    references = [item for _, item in reference_items(region)]
    if len(references) != 1 or len(frame_numbers(references[0])) > 1:
        yield f"lies on {len(references)} images or on several frames"
        return
    image = images.get(text(references[0], "ReferencedSOPInstanceUID"), NOTHING)
    if not is_inside(image, data):
        width, height = number(image, "Columns"), number(image, "Rows")
        yield f"lies outside its image of {width} x {height} pixels: {data}"


def _said(group: ReadDataset) -> Iterator[SaidBox]:
    said = group.by_name
    uid = text(next(iter(said.get(TRACKING_UID, [])), NOTHING), "UID")
    identifier = text(next(iter(said.get(TRACKING_IDENTIFIER, [])), NOTHING), "TextValue")
    for region in items(group, "ContentSequence"):
        corners = rectangle(numbers(region, "GraphicData")) if name(region) == IMAGE_REGION else None
        reference = next((item for _, item in reference_items(region)), None)
        if corners is not None and reference is not None:
            yield SaidBox(
                sop_instance_uid=text(reference, "ReferencedSOPInstanceUID"),
                frame=next(iter(frame_numbers(reference)), 1),
                corners=corners,
                tracking_uid=uid,
                tracking_identifier=identifier,
                group=group,
            )
