"""Boxes on the images that they were drawn on: inside, large enough, and on a slice that is read."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from inference.findings import Box
from inference.labels.annotation import ImageKey, LabelledBox
from inference.labels.dicom_folder import FoundInstance
from inference.labels.faults import Fault, FaultCode, Place
from inference.labels.image_index import ImageIndex

SMALLEST_SIDE_PX: Final = 3.0  # a smaller box is a click that slipped: lesions are 20 pixels and more
_OUTSIDE_PX: Final = 1.0  # programs round to whole pixels; what is farther out was drawn on another picture
_SAME_EDGE_PX: Final = 1.0  # one box from two files: a mask gives whole pixels, its rectangle does not


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedBox:
    """A box and the image it is on."""

    labelled: LabelledBox
    instance: FoundInstance

    @property
    def clipped(self) -> Box:
        """The part inside the image."""
        box, head = self.labelled.box, self.instance.head
        return Box(
            x0=min(max(box.x0, 0.0), head.columns),
            y0=min(max(box.y0, 0.0), head.rows),
            x1=min(max(box.x1, 0.0), head.columns),
            y1=min(max(box.y1, 0.0), head.rows),
        )


def place_boxes(boxes: Sequence[LabelledBox], images: ImageIndex) -> dict[ImageKey, list[PlacedBox]]:
    """Boxes by image; one that two files give (an SR and a segmentation of it) is taken once, with its class."""
    placed: dict[ImageKey, list[PlacedBox]] = defaultdict(list)
    for box in boxes:
        instance = images.by_uid(box.image)
        if instance is None:
            continue
        known, one = placed[box.image], PlacedBox(labelled=box, instance=instance)
        again = next((n for n, other in enumerate(known) if _is_one(box, other.labelled)), None)
        if again is None:
            known.append(one)
        elif known[again].labelled.verdict is None:
            known[again] = one
    return placed


def _is_one(box: LabelledBox, other: LabelledBox) -> bool:
    """Drawn once, told by two files; one of them may name no class."""
    a, b = box.box, other.box
    edges = zip((a.x0, a.y0, a.x1, a.y1), (b.x0, b.y0, b.x1, b.y1), strict=True)
    same_class = box.verdict == other.verdict or None in (box.verdict, other.verdict)
    return same_class and box.place.file != other.place.file and all(abs(p - q) <= _SAME_EDGE_PX for p, q in edges)


def box_faults(boxes: Mapping[ImageKey, Sequence[PlacedBox]], slices: Mapping[ImageKey, int]) -> Iterator[Fault]:
    """`slices`: images that are read -> place in their stack, from 0."""
    unread: dict[str, list[PlacedBox]] = defaultdict(list)
    for image, placed in boxes.items():
        for one in placed:
            yield from _shape_faults(one, slices.get(image))
            if image not in slices:
                unread[one.instance.head.series_instance_uid].append(one)
    for same_series in unread.values():
        first = same_series[0]
        count = len(same_series)
        said = f"{count} box{' lies' if count == 1 else 'es lie'} on images of the series that are not read."
        yield _fault(FaultCode.BOX_NOT_USED, said, first, None)


def gaps_between_boxes(boxes: Sequence[Sequence[Box]]) -> list[tuple[int, int]]:
    """First and last slice, from 1, of each run without boxes that lies between slices with boxes."""
    labelled = [place for place, on_slice in enumerate(boxes, start=1) if on_slice]
    return [(one + 1, other - 1) for one, other in pairwise(labelled) if other - one > 1]


def _shape_faults(placed: PlacedBox, position: int | None) -> Iterator[Fault]:
    box, head = placed.labelled.box, placed.instance.head
    said = f"The box {box.x0:g}, {box.y0:g} to {box.x1:g}, {box.y1:g}"
    beyond = max(-box.x0, -box.y0, box.x1 - head.columns, box.y1 - head.rows)
    inside = placed.clipped
    if beyond > _OUTSIDE_PX:
        said = f"{said} leaves the image of {head.columns} x {head.rows} pixels."
        yield _fault(FaultCode.BOX_OUTSIDE_IMAGE, said, placed, position)
    elif min(inside.x1 - inside.x0, inside.y1 - inside.y0) < SMALLEST_SIDE_PX:
        yield _fault(FaultCode.BOX_WITHOUT_AREA, f"{said} is less than 3 pixels wide or high.", placed, position)


def _fault(code: FaultCode, what: str, placed: PlacedBox, position: int | None) -> Fault:
    return Fault(code=code, what=what, place=_place(placed, position), patients=(placed.instance.patient,))


def _place(placed: PlacedBox, position: int | None) -> Place:
    return replace(
        placed.instance.place,
        file=placed.labelled.place.file,
        frame=placed.labelled.image.frame,
        slice=None if position is None else position + 1,
    )
