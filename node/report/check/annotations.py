"""Graphic annotations of a presentation state (PS3.3 C.10.5): each on one image, inside it, on a layer that exists."""

from collections.abc import Iterable
from typing import Final

from node.report.check.boxes import is_inside
from node.report.check.reading import NOTHING, ReadDataset, items, number, numbers, text
from node.report.check.received import ReceivedReport
from node.report.check.references import frame_numbers, referenced_series

_ANCHOR: Final = ("AnchorPointAnnotationUnits", "AnchorPoint")
_BOUNDS: Final = ("BoundingBoxAnnotationUnits", "BoundingBoxTopLeftHandCorner", "BoundingBoxBottomRightHandCorner")


def annotation_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    layers = {text(layer, "GraphicLayer") for layer in items(dataset, "GraphicLayerSequence")}
    presented = {uid for _, uid in referenced_series(dataset)}
    for index, annotation in enumerate(items(dataset, "GraphicAnnotationSequence"), start=1):
        if text(annotation, "GraphicLayer") not in layers:
            yield f"graphic annotation {index} lies on a layer that does not exist"
        for fault in _annotation(annotation, presented, report):
            yield f"graphic annotation {index} {fault}"


def _annotation(annotation: ReadDataset, presented: set[str], report: ReceivedReport) -> Iterable[str]:
    graphics, words = items(annotation, "GraphicObjectSequence"), items(annotation, "TextObjectSequence")
    if not graphics and not words:
        yield "draws nothing"
    if not items(annotation, "ReferencedImageSequence"):
        yield "lies on every image"
    for reference in items(annotation, "ReferencedImageSequence"):
        uid = text(reference, "ReferencedSOPInstanceUID")
        image = report.images.get(uid, NOTHING)
        if uid not in presented:
            yield f"lies on {uid}, to which the presentation state does not refer"
        if number(image, "NumberOfFrames") > 1 and not frame_numbers(reference):
            yield f"lies on every frame of {uid}"
        for graphic in graphics:
            yield from _graphic(graphic, image)
        for one in words:
            yield from _text(one, image)


def _graphic(graphic: ReadDataset, image: ReadDataset) -> Iterable[str]:
    points = numbers(graphic, "GraphicData")
    if text(graphic, "GraphicAnnotationUnits") != "PIXEL" or number(graphic, "GraphicDimensions") != 2:
        yield "has a graphic that is not in pixels"
    if not points or len(points) != 2 * number(graphic, "NumberOfGraphicPoints"):
        yield f"has {len(points)} coordinates for {number(graphic, 'NumberOfGraphicPoints')} points"
    if not is_inside(image, points):
        yield "has a graphic outside its image"


def _text(words: ReadDataset, image: ReadDataset) -> Iterable[str]:
    if not text(words, "UnformattedTextValue"):
        yield "has an empty text"
    places = [place for place in (_ANCHOR, _BOUNDS) if any(keyword in words for keyword in place)]
    if not places:
        yield "has a text without a place"
    for units, *corners in places:
        points = [numbers(words, keyword) for keyword in corners]
        if text(words, units) != "PIXEL" or any(len(point) != 2 for point in points):
            yield "has a text whose place is incomplete"
        elif not all(is_inside(image, point) for point in points):
            yield "has a text outside its image"
