"""Grayscale Softcopy Presentation State (PS3.3 A.33.1): what it refers to, displays and draws."""

from collections.abc import Iterable
from typing import Final

from node.report.check.annotations import annotation_faults
from node.report.check.drawn_boxes import drawn_box_faults
from node.report.check.drawn_words import drawn_word_faults
from node.report.check.reading import NOTHING, ReadDataset, items, number, numbers, text
from node.report.check.received import ReceivedReport
from node.report.check.references import referenced_series

_NEVER_EMPTY: Final = ("ContentLabel", "PresentationCreationDate", "PresentationCreationTime", "PresentationLUTShape")


def presentation_state_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    for keyword in _NEVER_EMPTY:
        if not text(dataset, keyword):
            yield f"{keyword} is missing"
    if not list(referenced_series(dataset)):
        yield "refers to no image"
    yield from _displayed_areas(dataset, report)
    for window in items(dataset, "SoftcopyVOILUTSequence"):
        if not numbers(window, "WindowCenter") or min(numbers(window, "WindowWidth"), default=0) <= 0:
            yield "has a window without centre or width"
    yield from annotation_faults(dataset, report)
    yield from drawn_box_faults(dataset, report)
    yield from drawn_word_faults(dataset, report)


def _displayed_areas(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    everything = [uid for _, uid in referenced_series(dataset)]
    shown: set[str] = set()
    for area in items(dataset, "DisplayedAreaSelectionSequence"):
        if not text(area, "PresentationSizeMode"):
            yield "PresentationSizeMode is missing"
        corners = numbers(area, "DisplayedAreaTopLeftHandCorner") + numbers(area, "DisplayedAreaBottomRightHandCorner")
        named = [text(image, "ReferencedSOPInstanceUID") for image in items(area, "ReferencedImageSequence")]
        for uid in named or everything:
            shown.add(uid)
            image = report.images.get(uid, NOTHING)
            if corners != [1, 1, number(image, "Columns"), number(image, "Rows")]:  # counted from 1, PS3.3 C.10.4
                yield f"does not display the whole of {uid}"
    for uid in everything:
        if uid not in shown:
            yield f"has no displayed area for {uid}"
