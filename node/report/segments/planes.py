"""Where the images with a lesion lie in the patient, as a segmentation of them has to say it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom.uid import UID

from inference.findings import ImageReference, SeriesUsed
from inference.heads import DAMAGED, Vector, parse_head
from inference.plane import slice_gaps_mm
from inference.stacks import StackImage, positions_mm, stack_images
from node.report.errors import NotMadeError
from node.report.evidence import SourceImages
from node.report.patient_study import decoded_text

_SAME_COSINE: Final = 1e-3  # scanners round cosines to 4 digits or more
_SAME_SPACING: Final = 1e-3  # as a part of it
_NEIGHBOURS: Final = 2  # on each side
_REGULAR_MM: Final = 0.1  # gaps of one stack differ by less


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionPlanes:
    """The images of one series that have a lesion. mm, LPS."""

    positions_mm: Mapping[ImageReference, Vector]  # centre of the first pixel of each (PS3.3 C.7.6.2.1.1)
    rows: int
    columns: int
    orientation: tuple[float, ...]  # 6 direction cosines: along a row, then along a column
    pixel_spacing_mm: tuple[float, float]  # between rows, between columns
    thickness_mm: float
    spacing_mm: float | None  # between the centres of neighbouring slices there; None: not regular
    frame_of_reference_uid: str


def lesion_planes(series: SeriesUsed, images: Collection[ImageReference], sources: SourceImages) -> LesionPlanes:
    """The planes of `images`, which are of the series, in spatial order.

    What one image does not say is taken from the others of its series only where the standard makes it common to
    them: the Frame of Reference (PS3.3 C.7.4.1). A missing slice thickness is the distance between neighbouring
    slices, for that is the depth that a frame of the segmentation stands for.

    Raises
    ------
    NotMadeError
        an image does not say where it lies, or the images cannot be planes of one segmentation.
    """
    stack = _stack(_around(images, series), sources)
    planes = [plane for image, plane in stack.items() if image in images]
    if len(planes) < len(images):
        raise NotMadeError("Images with a lesion do not say where they lie in the patient or how large a pixel is.")
    first = planes[0].slice
    if not all(_is_alike(plane, planes[0]) for plane in planes):
        raise NotMadeError("The images of a series differ in size, pixel spacing or orientation.")
    gaps = slice_gaps_mm(positions_mm(list(stack.values())))
    return LesionPlanes(
        positions_mm={plane.slice.image: plane.slice.position_mm for plane in planes},
        rows=first.rows,
        columns=first.columns,
        orientation=first.orientation,
        pixel_spacing_mm=first.pixel_spacing_mm,
        thickness_mm=_thickness_mm(planes, gaps),
        spacing_mm=sum(gaps) / len(gaps) if gaps and max(gaps) - min(gaps) <= _REGULAR_MM else None,
        frame_of_reference_uid=_frame_of_reference(series, images, sources),
    )


def _around(images: Collection[ImageReference], series: SeriesUsed) -> Sequence[ImageReference]:
    """The part of the series from the first to the last of these images, and some neighbours to tell the spacing."""
    places = [place for place, image in enumerate(series.images) if image in images]
    return series.images[max(0, min(places) - _NEIGHBOURS) : max(places) + _NEIGHBOURS + 1]


def _stack(images: Sequence[ImageReference], sources: SourceImages) -> dict[ImageReference, StackImage]:
    """Those that say where they lie, in their order."""
    found: dict[ImageReference, StackImage] = {}
    for uid in dict.fromkeys(image.sop_instance_uid for image in images):
        if uid not in sources.headers:
            continue
        try:
            placed, _ = stack_images([parse_head(sources.headers[uid], Path())])
        except DAMAGED:
            continue
        found |= {image.slice.image: image for image in placed}
    return {image: found[image] for image in images if image in found}


def _is_alike(a: StackImage, b: StackImage) -> bool:
    one, other = a.slice, b.slice
    return (
        (one.rows, one.columns) == (other.rows, other.columns)
        and all(abs(p - q) <= _SAME_COSINE for p, q in zip(one.orientation, other.orientation, strict=True))
        and all(
            abs(p - q) <= _SAME_SPACING * q for p, q in zip(one.pixel_spacing_mm, other.pixel_spacing_mm, strict=True)
        )
    )


def _thickness_mm(planes: Sequence[StackImage], gaps: Sequence[float]) -> float:
    told = [plane.frame.slice_thickness_mm for plane in planes]
    thickness = next((value for value in told if value is not None and value > 0), None)
    if thickness is not None:
        return thickness
    if not gaps:
        raise NotMadeError("The images of a series tell no slice thickness, and a single slice has no neighbour.")
    return min(gaps)


def _frame_of_reference(series: SeriesUsed, images: Collection[ImageReference], sources: SourceImages) -> str:
    used = {_told_frame_of_reference(image, sources) for image in images}
    if "" in used:
        used |= {_told_frame_of_reference(image, sources) for image in series.images}
    told = used - {""}
    if not told:
        raise NotMadeError("The images of a series name no Frame of Reference.")
    if len(told) > 1:
        raise NotMadeError("The images of a series name several Frames of Reference.")
    return told.pop()


def _told_frame_of_reference(image: ImageReference, sources: SourceImages) -> str:
    header = sources.headers.get(image.sop_instance_uid)
    uid = UID("") if header is None else UID(decoded_text(header, "FrameOfReferenceUID"))
    return str(uid) if uid.is_valid else ""
