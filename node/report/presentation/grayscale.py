"""How a presentation state shows the stored pixels: as the pictures show them (PS3.4 N.2).

A presentation state replaces every grayscale transformation of its images; what it leaves out is identity.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from highdicom import ModalityLUTTransformation, PresentationLUTTransformation
from highdicom.pr import SoftcopyVOILUTTransformation
from pydicom.dataset import Dataset

from inference.errors import PixelError
from inference.findings import ImageReference
from inference.volume import rescale
from node.report.patient_study import decoded_text
from node.report.pictures.slice_picture import SlicePicture

Rescale = tuple[float, float]  # slope, intercept
Limits = tuple[float, float]  # values shown black and white

_IDENTITY: Rescale = (1.0, 0.0)
_NARROWEST_LINEAR = 1.0  # PS3.3 C.11.2.1.2.1: a LINEAR window is at least 1 wide


@dataclass(frozen=True, slots=True)
class GrayscaleTransformations:
    """Of one presentation state. `voi`: None where no window is known."""

    modality: ModalityLUTTransformation
    voi: list[SoftcopyVOILUTTransformation] | None
    presentation: PresentationLUTTransformation


def grayscale_transformations(
    images: Sequence[ImageReference], headers: Mapping[str, Dataset], pictures: Mapping[ImageReference, SlicePicture]
) -> GrayscaleTransformations:
    """Of `images`, which are one series; `pictures` are those of them that were drawn.

    There is one Modality LUT for all images (PS3.3 C.11.1). Where their rescaling differs, it is identity, and each
    image has its window in stored values.
    """
    rescaling = {image: _rescale(headers[image.sop_instance_uid], image) for image in images}
    common = next(iter(rescaling.values())) if len(set(rescaling.values())) == 1 else None
    windows = _windows(images, pictures)
    if common is None:
        windows = {image: _stored(limits, rescaling[image]) for image, limits in windows.items()}
    slope, intercept = common or _IDENTITY
    inverted = decoded_text(headers[images[0].sop_instance_uid], "PhotometricInterpretation") == "MONOCHROME1"
    return GrayscaleTransformations(
        modality=ModalityLUTTransformation(rescale_slope=slope, rescale_intercept=intercept, rescale_type="US"),
        voi=_voi(windows) if windows else None,
        presentation=PresentationLUTTransformation(presentation_lut_shape="INVERSE" if inverted else "IDENTITY"),
    )


def refer_to(part: Dataset, images: Iterable[ImageReference]) -> None:
    """Bind a part of a presentation state to images (PS3.3 Table 10-3): one item per instance, with its frames."""
    frames: dict[tuple[str, str], list[int]] = {}
    for image in images:
        numbers = frames.setdefault((image.sop_class_uid, image.sop_instance_uid), [])
        if image.frame_number is not None:
            numbers.append(image.frame_number)
    items = []
    for (sop_class, instance), numbers in frames.items():
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
        if numbers:
            item.ReferencedFrameNumber = numbers
        items.append(item)
    part.ReferencedImageSequence = items


def _rescale(header: Dataset, image: ImageReference) -> Rescale:
    try:
        return rescale(header, image)
    except (PixelError, ValueError, TypeError):  # a slice that cannot be shown; the others can
        return _IDENTITY


def _windows(
    images: Sequence[ImageReference], pictures: Mapping[ImageReference, SlicePicture]
) -> dict[ImageReference, Limits]:
    """The window is that of the series; only where a slice is damaged has each drawn slice its own."""
    drawn = {image: pictures[image].limits for image in images if image in pictures}
    known = {image: limits for image, limits in drawn.items() if limits is not None}
    return dict.fromkeys(images, next(iter(known.values()))) if len(set(known.values())) == 1 else known


def _stored(limits: Limits, rescaling: Rescale) -> Limits:
    slope, intercept = rescaling
    one, other = ((value - intercept) / slope for value in limits)
    return min(one, other), max(one, other)


def _voi(windows: Mapping[ImageReference, Limits]) -> list[SoftcopyVOILUTTransformation]:
    by_window: dict[Limits, list[ImageReference]] = {}
    for image, limits in windows.items():
        by_window.setdefault(limits, []).append(image)
    if len(by_window) == 1:  # of all images
        return [_window(next(iter(by_window)))]
    transformations = []
    for limits, images in by_window.items():
        transformation = _window(limits)
        refer_to(transformation, images)
        transformations.append(transformation)
    return transformations


def _window(limits: Limits) -> SoftcopyVOILUTTransformation:
    """The window whose ends `inference.volume.gray_limits` computes, so that a window of the source comes out as it
    went in."""
    low, high = limits
    width = high - low
    if width >= _NARROWEST_LINEAR:
        return SoftcopyVOILUTTransformation(window_center=(low + high - 1) / 2, window_width=width)
    return SoftcopyVOILUTTransformation(
        window_center=(low + high) / 2, window_width=width, voi_lut_function="LINEAR_EXACT"
    )
