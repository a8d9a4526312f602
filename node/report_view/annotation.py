"""Graphic and text objects of a presentation state, drawn on a picture (PS3.3 C.10.5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from PIL import ImageDraw
from pydicom.dataset import Dataset

from node.report.pictures.drawing import BLACK, Colour, font, line_height
from node.report.typeface import writable
from node.report_view.values import values

_LINE_WIDTH: Final = 3
_POINT_RADIUS: Final = 4
_LARGEST_TEXT, _SMALLEST_TEXT, _USUAL_TEXT = 40, 10, 18

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The picture that is drawn on; `scale` are its pixels per stored pixel, `size` the stored columns and rows."""

    draw: ImageDraw.ImageDraw
    scale: tuple[float, float]
    size: tuple[int, int]

    def points(self, numbers: Sequence[Any], units: str) -> list[Point]:
        """PIXEL: columns and rows from the outer corner of the first pixel; DISPLAY: parts of the whole image."""
        columns, rows = self.size if units == "DISPLAY" else (1, 1)
        x, y = self.scale
        pairs = zip(numbers[0::2], numbers[1::2], strict=False)
        return [(float(column) * columns * x, float(row) * rows * y) for column, row in pairs]


def draw_graphic(sheet: Sheet, graphic: Dataset, colour: Colour) -> None:
    """Polylines and points; the node makes no other graphics."""
    points = sheet.points(values(graphic, "GraphicData"), str(graphic.get("GraphicAnnotationUnits", "")))
    kind = graphic.get("GraphicType")
    if kind == "POLYLINE" and len(points) > 1:
        sheet.draw.line(points, fill=colour, width=_LINE_WIDTH, joint="curve")
    elif kind == "POINT":
        for point in points:
            sheet.draw.circle(point, _POINT_RADIUS, fill=colour)


def draw_text(sheet: Sheet, text: Dataset, colour: Colour) -> None:
    """The text in its bounding box, with a line to its anchor where that shall be seen; else at the anchor."""
    lines = [writable(line) for line in str(text.get("UnformattedTextValue", "")).splitlines()]
    box = _bounding_box(sheet, text)
    anchors = sheet.points(values(text, "AnchorPoint"), str(text.get("AnchorPointAnnotationUnits", "")))
    start = (box or anchors)[:1]
    if not lines or not start:
        return
    (x, top), size, anchor = start[0], _USUAL_TEXT, "la"
    if box:
        size = _fitting_size((box[1][1] - top) / len(lines))
        if anchors and text.get("AnchorPointVisibility") == "Y":
            sheet.draw.line([(x, top), anchors[0]], fill=colour, width=1)
        if text.get("BoundingBoxTextHorizontalJustification") == "CENTER":
            x, anchor = 0.5 * (x + box[1][0]), "ma"
    for number, line in enumerate(lines):
        at = (x, top + number * line_height(size))
        sheet.draw.text(at, line, font=font(size), fill=colour, anchor=anchor, stroke_width=2, stroke_fill=BLACK)


def _bounding_box(sheet: Sheet, text: Dataset) -> list[Point]:
    """Two corners, or none."""
    units = str(text.get("BoundingBoxAnnotationUnits", ""))
    keywords = ("BoundingBoxTopLeftHandCorner", "BoundingBoxBottomRightHandCorner")
    corners = [point for keyword in keywords for point in sheet.points(values(text, keyword), units)]
    return corners if len(corners) == 2 else []


def _fitting_size(height: float) -> int:
    """The largest font whose lines are at most so high."""
    size = _LARGEST_TEXT
    while size > _SMALLEST_TEXT and line_height(size) > height:
        size -= 1
    return size
