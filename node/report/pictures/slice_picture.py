"""Source slices as gray pictures with square pixels, large enough to draw on.

Pixels and window come from `inference.volume`, of the whole series, so a reader sees what the networks saw.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from PIL import Image
from pydicom.dataset import Dataset

from inference.errors import PixelError
from inference.findings import Box, ImageReference, SeriesUsed
from inference.heads import DAMAGED, parse_head
from inference.selection import EligibleSeries
from inference.stacks import SliceHead, stack_images
from inference.volume import gray_limits, load_volume, window_to_uint8

log = structlog.get_logger(__name__)

SHORTER_SIDE_PX = 768  # boxes of 20 stored pixels stay readable, and so does text beside them
LONGER_SIDE_PX = 2304  # three times as long: beyond it a strip-shaped image would make objects of 20 MB
_LARGEST_ASPECT = 4.0  # a pixel four times as high as wide is no image of a scanner: the spacing is wrong


@dataclass(frozen=True, slots=True)
class SlicePicture:
    """A gray picture of one slice.

    `scale` are picture pixels per stored pixel along x and y; `orientation` are the 6 direction cosines of the
    slice, along a row, then along a column (LPS); `limits` are the modality values at the ends of the gray scale;
    `aspect` is the height of a stored pixel by its width.
    """

    image: Image.Image
    scale: tuple[float, float]
    orientation: tuple[float, ...]
    limits: tuple[float, float] | None = None
    aspect: float = 1.0

    def place(self, box: Box) -> tuple[float, float, float, float]:
        """The box in picture pixels: left, top, right, bottom."""
        x, y = self.scale
        return box.x0 * x, box.y0 * y, box.x1 * x, box.y1 * y


def load_slice_pictures(
    series: SeriesUsed, wanted: Iterable[ImageReference], headers: Mapping[str, Dataset], files: Mapping[str, Path]
) -> dict[ImageReference, SlicePicture]:
    """The wanted images of one series. What is damaged is left out and logged: the SR matters more.

    Raises OSError when a file cannot be read; a retry may help.
    """
    wanted = set(wanted)
    # of findings without limits all slices are decoded, for the window is that of the series
    decoded = series.images if series.gray_limits is None else [one for one in series.images if one in wanted]
    slices = _slice_heads(decoded, headers, files) if wanted else []
    if wanted.isdisjoint(head.image for head in slices):
        return {}
    try:
        return _decoded(series, slices, wanted)
    except PixelError as error:
        log.warning("slice_pictures_one_by_one", series_instance_uid=series.series_instance_uid, error=str(error))
    pictures: dict[ImageReference, SlicePicture] = {}
    for head in slices:  # one damaged slice must not take the others with it
        try:
            pictures |= _decoded(series, [head], wanted)
        except PixelError as error:
            log.warning("slice_picture_unreadable", series_instance_uid=series.series_instance_uid, error=str(error))
    return pictures


def _decoded(
    series: SeriesUsed, slices: Sequence[SliceHead], wanted: Collection[ImageReference]
) -> dict[ImageReference, SlicePicture]:
    stack = EligibleSeries(
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        kind=series.kind,
        kind_evidence=series.kind_evidence,
        slices=tuple(slices),
    )
    volume = load_volume(stack)
    limits = series.gray_limits or gray_limits(volume)
    gray = window_to_uint8(volume, limits)
    return {
        head.image: SlicePicture(
            *square_pixels(Image.fromarray(pixels), head.pixel_spacing_mm),
            head.orientation,
            limits,
            pixel_aspect(head.pixel_spacing_mm),
        )
        for head, pixels in zip(slices, gray, strict=True)
        if head.image in wanted
    }


def square_pixels(image: Image.Image, pixel_spacing_mm: tuple[float, float]) -> tuple[Image.Image, tuple[float, float]]:
    """Resample so that both spacings are equal and the shorter side has `SHORTER_SIDE_PX` or more.

    Returns the picture and its pixels per stored pixel along x and y.

    `pixel_spacing_mm` is (between rows, between columns), PS3.3 10.7.1.3.
    """
    aspect = pixel_aspect(pixel_spacing_mm)
    width, height = image.width * max(1.0, 1 / aspect), image.height * max(1.0, aspect)
    enlarge = max(1.0, SHORTER_SIDE_PX / min(width, height))
    enlarge = min(enlarge, LONGER_SIDE_PX / max(width, height))
    size = (max(1, round(width * enlarge)), max(1, round(height * enlarge)))
    picture = image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)
    return picture, (size[0] / image.width, size[1] / image.height)


def pixel_aspect(pixel_spacing_mm: tuple[float, float]) -> float:
    """Height of a pixel by its width; 1 where the spacing cannot be true."""
    between_rows, between_columns = pixel_spacing_mm
    aspect = between_rows / between_columns
    return aspect if 1 / _LARGEST_ASPECT <= aspect <= _LARGEST_ASPECT else 1.0


def _slice_heads(
    images: Sequence[ImageReference], headers: Mapping[str, Dataset], files: Mapping[str, Path]
) -> list[SliceHead]:
    """In the order of `images`; each header is parsed once, however many frames it has."""
    found: dict[ImageReference, SliceHead] = {}
    for uid in dict.fromkeys(image.sop_instance_uid for image in images):
        if uid not in headers or uid not in files:
            log.warning("slice_picture_without_file", sop_instance_uid=uid)
            continue
        try:
            candidates, _ = stack_images([parse_head(headers[uid], files[uid])])
        except DAMAGED as error:
            log.warning("slice_picture_unreadable_header", sop_instance_uid=uid, error=type(error).__name__)
            continue
        found |= {candidate.slice.image: candidate.slice for candidate in candidates}
    return [found[image] for image in images if image in found]
