"""Words of a presentation state: its layers and labels call each box what the structured report calls it."""

import re
from collections.abc import Iterable
from typing import Final

from config import codes
from node.report.check.boxes import SaidBox, said_boxes
from node.report.check.content import answers, as_number, key
from node.report.check.reading import NOTHING, ReadDataset, items, text
from node.report.check.received import ReceivedReport
from node.report.check.references import frame_numbers
from node.report.check.verdict import said_class
from node.report.check.words import classes_named, tells

_SCORE: Final = re.compile(r" (\d\.\d\d)$")
_ROUNDING: Final = 0.0051  # of a score with two decimals


def drawn_word_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    for layer in items(dataset, "GraphicLayerSequence"):
        meant, described = (classes_named(text(layer, of)) for of in ("GraphicLayer", "GraphicLayerDescription"))
        if described and described != meant:
            yield "a graphic layer is described as another class than its name"
    boxes = list(said_boxes(report))
    for annotation in items(dataset, "GraphicAnnotationSequence"):
        layer_classes = classes_named(text(annotation, "GraphicLayer"))
        here = _on_images_of(annotation, boxes)
        for drawn in items(annotation, "GraphicObjectSequence", "TextObjectSequence"):
            of_lesion = [box for box in here if box.tracking_uid == text(drawn, "TrackingUID")] or here
            if layer_classes and all([_class(box)] != layer_classes for box in of_lesion):
                yield "draws a lesion on the layer of another class"
        for words in items(annotation, "TextObjectSequence"):
            yield from _label(words, {box.tracking_uid: box for box in here})


def _on_images_of(annotation: ReadDataset, boxes: list[SaidBox]) -> list[SaidBox]:
    images = {
        (text(image, "ReferencedSOPInstanceUID"), frame)
        for image in items(annotation, "ReferencedImageSequence")
        for frame in frame_numbers(image) or [1]
    }
    return [box for box in boxes if (box.sop_instance_uid, box.frame) in images]


def _label(words: ReadDataset, boxes: dict[str, SaidBox]) -> Iterable[str]:
    """The class of a lesion, the detector's where that is another, and the score."""
    label = text(words, "UnformattedTextValue")
    named = classes_named(label)
    if not named:
        return
    box = boxes.get(text(words, "TrackingUID"))
    if box is None:
        yield "has a label of no lesion on its image"
        return
    if named[0] != _class(box) or any(one != said_class(box.group, codes.DETECTOR_CLASS) for one in named[1:]):
        yield "labels a lesion with another class than the structured report"
    certainty = as_number(answers(box.group).get(key(codes.CERTAINTY_OF_FINDING), NOTHING))
    if certainty is not None and not tells(label, _SCORE, certainty / 100, within=_ROUNDING):
        yield "labels a lesion with another score than the structured report"


def _class(box: SaidBox) -> str:
    return said_class(box.group, codes.ASSESSMENT_CATEGORY)
