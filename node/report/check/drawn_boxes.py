"""Boxes that a presentation state draws: those of the structured report on its images, no more and no fewer."""

from collections.abc import Iterable, Iterator

from node.report.check.boxes import Corners, SaidBox, rectangle, said_boxes, same_corners
from node.report.check.reading import ReadDataset, items, numbers, text
from node.report.check.received import ReceivedReport
from node.report.check.references import frame_numbers, referenced

_Place = tuple[str, int]  # SOP Instance UID, frame from 1


def drawn_box_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    said = list(said_boxes(report))
    drawn = list(_drawn(dataset))
    for place, corners, graphic in drawn:
        alike = [box for box in said if _is_drawn(box, place, corners)]
        if not alike:
            yield f"draws a box on {place[0]} that the structured report does not have"
        elif not any(_is_tracked_alike(graphic, box) for box in alike):
            yield f"draws a box on {place[0]} under another tracking UID or identifier"
    shown = set(referenced(dataset))
    for box in said:
        if box.sop_instance_uid in shown and not any(_is_drawn(box, place, corners) for place, corners, _ in drawn):
            yield f"leaves out a box of {box.sop_instance_uid}"


def _is_drawn(box: SaidBox, place: _Place, corners: Corners) -> bool:
    return (box.sop_instance_uid, box.frame) == place and same_corners(box.corners, corners)


def _is_tracked_alike(graphic: ReadDataset, box: SaidBox) -> bool:
    """A graphic need not be tracked."""
    tracked = (text(graphic, "TrackingUID"), text(graphic, "TrackingID"))
    return tracked in (("", ""), (box.tracking_uid, box.tracking_identifier))


def _drawn(dataset: ReadDataset) -> Iterator[tuple[_Place, Corners, ReadDataset]]:
    for annotation in items(dataset, "GraphicAnnotationSequence"):
        for image in items(annotation, "ReferencedImageSequence"):
            for graphic in items(annotation, "GraphicObjectSequence"):
                is_polyline = text(graphic, "GraphicType") == "POLYLINE"
                corners = rectangle(numbers(graphic, "GraphicData")) if is_polyline else None
                for frame in frame_numbers(image) or [1]:
                    if corners is not None:
                        yield (text(image, "ReferencedSOPInstanceUID"), frame), corners, graphic
