"""What a presentation state draws on an image: boxes and words, in layers (PS3.3 C.10.5 and C.10.7).

Words are placed on a square-pixel canvas of the size of the overlay pictures, then written in pixels of the image.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from highdicom.color import CIELabColor
from highdicom.pr import GraphicLayer, GraphicObject, TextObject
from pydicom.dataset import Dataset

from inference.findings import Box, BundleIdentity, Lesion, Verdict
from node.report import wording
from node.report.pictures import drawing
from node.report.pictures.drawing import Colour, Rectangle
from node.report.pictures.overlay import OverlaySubject
from node.report.presentation.grayscale import refer_to
from node.report.tracking import tracking_identifier

LAYER_NAME: Final = {Verdict.BENIGN: "BENIGN", Verdict.MALIGNANT: "MALIGNANT"}
CAVEAT_LAYER_NAME: Final = "RESEARCH USE"
_CANVAS_SHORTER_SIDE = 768
_TEXT_SIZE = 22  # of 768: as on the overlay pictures
_GAP = 8  # between a box and a label
_STEP = 8  # of the search for a place away from the box


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where words are placed: `scale` are canvas pixels per image pixel along x and y."""

    columns: int
    rows: int
    size: tuple[int, int]  # width, height

    @classmethod
    def of(cls, columns: int, rows: int, aspect: float) -> "Canvas":
        """`aspect` is the height of a pixel by its width."""
        width, height = columns * max(1.0, 1 / aspect), rows * max(1.0, aspect)
        enlarge = _CANVAS_SHORTER_SIDE / min(width, height)
        return cls(columns, rows, (max(1, round(width * enlarge)), max(1, round(height * enlarge))))

    @property
    def scale(self) -> tuple[float, float]:
        return self.size[0] / self.columns, self.size[1] / self.rows

    def place(self, box: Box) -> Rectangle:
        x, y = self.scale
        return box.x0 * x, box.y0 * y, box.x1 * x, box.y1 * y

    def in_image(self, plate: Rectangle) -> Rectangle:
        """Back to pixels of the image, never beyond its edge."""
        x, y = self.scale
        left, top, right, bottom = plate
        return left / x, top / y, min(right / x, float(self.columns)), min(bottom / y, float(self.rows))


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers of one presentation state: its verdicts, and the caveat."""

    of_verdict: dict[Verdict, GraphicLayer]
    caveat: GraphicLayer

    @property
    def in_order(self) -> list[GraphicLayer]:
        return [self.caveat, *self.of_verdict.values()]


def graphic_layers(lesions: Iterable[Lesion], colours: dict[Verdict, Colour], bundle: BundleIdentity) -> Layers:
    """One layer per verdict that occurs, in its colour; malignant is drawn last."""
    occurring = {lesion.verdict for lesion in lesions}
    verdicts = [verdict for verdict in (Verdict.BENIGN, Verdict.MALIGNANT) if verdict in occurring]
    return Layers(
        of_verdict={
            verdict: GraphicLayer(
                LAYER_NAME[verdict],
                order=order,
                description=f"AI boxes on images called {verdict.value}, research use only",
                display_color=CIELabColor.from_rgb(*colours[verdict]),
            )
            for order, verdict in enumerate(verdicts, start=2)
        },
        caveat=GraphicLayer(
            CAVEAT_LAYER_NAME,
            order=1,
            description=wording.PHANTOM_SHORT if bundle.phantom_trained else wording.RESEARCH_USE_SHORT,
            display_color=CIELabColor.from_rgb(*drawing.WARNING),
        ),
    )


def graphic_annotations(
    subject: OverlaySubject, canvas: Canvas, layers: Layers, bundle: BundleIdentity
) -> list[Dataset]:
    """All annotations of one image: per verdict its boxes and labels, then the caveat where there is room."""
    taken = [_grown(canvas.place(lesion.box)) for lesion in subject.lesions]
    annotations = []
    for verdict, layer in layers.of_verdict.items():
        lesions = [lesion for lesion in subject.lesions if lesion.verdict is verdict]
        if lesions:
            boxes = [_box(lesion, canvas) for lesion in lesions]
            labels = [_label(lesion, subject.lesions, canvas, taken) for lesion in lesions]
            annotations.append(_annotation(subject, layer, boxes, [one for one in labels if one]))
    caveat = _caveat(bundle, canvas, taken)
    if caveat is not None:
        annotations.append(_annotation(subject, layers.caveat, [], [caveat]))
    return annotations


def _annotation(
    subject: OverlaySubject, layer: GraphicLayer, boxes: list[GraphicObject], texts: list[TextObject]
) -> Dataset:
    annotation = Dataset()
    annotation.GraphicLayer = layer.GraphicLayer
    if boxes:
        annotation.GraphicObjectSequence = boxes
    if texts:
        annotation.TextObjectSequence = texts
    refer_to(annotation, [subject.image])
    return annotation


def _box(lesion: Lesion, canvas: Canvas) -> GraphicObject:
    """A closed polyline; (0, 0) is the outer corner of the first pixel (PS3.3 C.10.5.1.1)."""
    box = lesion.box
    corners = [(box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1), (box.x0, box.y0)]
    inside = np.clip(np.array(corners), 0.0, [canvas.columns, canvas.rows])  # of rounding errors at the edge
    graphic = GraphicObject("POLYLINE", inside, "PIXEL")
    _track(graphic, lesion)
    return graphic


def _label(lesion: Lesion, lesions: Sequence[Lesion], canvas: Canvas, taken: list[Rectangle]) -> TextObject | None:
    """Beside its box; where no place is left there, the nearest free one with a line to the box; None in a full image.

    `lesions` are all of the image. The place is added to `taken`.
    """
    label = wording.lesion_label(lesion)
    size, box = drawing.chip_size(label, _TEXT_SIZE), canvas.place(lesion.box)
    others = [canvas.place(other.box) for other in lesions if other is not lesion]
    beside = drawing.free_place(size, box, inside=canvas.size, taken=taken, gap=_GAP, others=others)
    place = beside or _nearest_free_place(size, _centre(box), canvas, taken)
    if place is None:
        return None
    plate = _plate(place, size)
    taken.append(plate)
    x, y = canvas.scale
    along, down = _centre(plate)
    anchor = (min(max(along, box[0]), box[2]) / x, min(max(down, box[1]), box[3]) / y)
    text = TextObject(
        label,
        "PIXEL",
        bounding_box=canvas.in_image(plate),
        anchor_point=None if beside else anchor,
        text_justification="LEFT",
    )
    _track(text, lesion)
    return text


def _caveat(bundle: BundleIdentity, canvas: Canvas, taken: Sequence[Rectangle]) -> TextObject | None:
    """At the lower edge, else at the upper one, as near to the middle as boxes and labels allow; never over anatomy
    in between. The object says it in its attributes too."""
    lines = [wording.RESEARCH_USE_SHORT, *([wording.PHANTOM_SHORT] if bundle.phantom_trained else [])]
    sizes = [drawing.chip_size(line, _TEXT_SIZE) for line in lines]
    size = (max(width for width, _ in sizes), sum(height for _, height in sizes))
    middle = canvas.size[0] / 2
    for y in (canvas.size[1] - size[1], 0):
        place = _nearest_free_place(size, (middle, y), canvas, taken, heights=[y])
        if place is not None:
            bounding_box = canvas.in_image(_plate(place, size))
            return TextObject("\r\n".join(lines), "PIXEL", bounding_box=bounding_box, text_justification="CENTER")
    return None


def _nearest_free_place(
    size: tuple[int, int],
    to: tuple[float, float],
    canvas: Canvas,
    taken: Sequence[Rectangle],
    heights: Sequence[int] | None = None,
) -> tuple[int, int] | None:
    """Top left corner on a grid; `heights`: the only y that come into question."""
    width, height = size
    columns = np.arange(0, canvas.size[0] - width + 1, _STEP)
    rows = np.arange(0, canvas.size[1] - height + 1, _STEP) if heights is None else np.array(heights)
    rows = rows[rows >= 0]
    free = np.ones((rows.size, columns.size), dtype=bool)
    for left, top, right, bottom in taken:
        free &= ~np.outer((rows < bottom) & (rows + height > top), (columns < right) & (columns + width > left))
    if not free.any():
        return None
    along, down = columns + width / 2 - to[0], rows + height / 2 - to[1]
    distance = np.where(free, along**2 + (down**2)[:, np.newaxis], np.inf)
    row, column = np.unravel_index(np.argmin(distance), distance.shape)
    return int(columns[column]), int(rows[row])


def _track(drawn: Dataset, lesion: Lesion) -> None:
    """Name the lesion as the structured report does."""
    drawn.TrackingID = tracking_identifier(lesion)
    drawn.TrackingUID = lesion.tracking_uid


def _grown(box: Rectangle) -> Rectangle:
    margin = _GAP - 1
    return box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin


def _plate(place: tuple[int, int], size: tuple[int, int]) -> Rectangle:
    return place[0], place[1], place[0] + size[0], place[1] + size[1]


def _centre(box: Rectangle) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
