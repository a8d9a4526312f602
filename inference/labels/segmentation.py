"""DICOM Segmentation: the box around each connected part of a segment, on each image that it was drawn on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy import ndimage

from inference.dicom_attributes import AttributeSource, items
from inference.findings import Box, Verdict
from inference.labels.annotation import (
    Annotations,
    ImageKey,
    LabelledBox,
    joined,
    verdict_in_words,
    verdict_of_code,
)
from inference.labels.faults import Fault, FaultCode, Place
from inference.labels.image_index import ImageIndex

SEG_CLASSES: Final = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})  # second: label maps
_TOUCHING: Final = np.ones((3, 3), dtype=np.bool_)  # pixels that share a corner belong together
_NOT_PRESERVED: Final = frozenset({"NO", "REORIENTED_ONLY"})  # PS3.3 C.7.6.12, SpatialLocationsPreserved


@dataclass(frozen=True, slots=True)
class _Document:
    """One segmentation as highdicom reads it, which is typed only in part."""

    content: Any
    file: str
    images: ImageIndex

    def fault(self, code: FaultCode, what: str, image: ImageKey | None = None) -> Fault:
        uid, frame = (image.sop_instance_uid, image.frame) if image else ("", None)
        return Fault(code=code, what=what, place=Place(file=self.file, sop_instance_uid=uid, frame=frame))


def read_segmentation(path: Path, file: str, images: ImageIndex) -> Annotations:
    """Boxes of one segmentation; `file` is its name relative to the folder.

    A segment's label, description or coded type may name the class. Raises what pydicom does on a damaged file.
    """
    import highdicom.seg  # takes a second to load, and most folders hold none

    document = _Document(highdicom.seg.segread(path), file, images)
    verdicts = {int(one.SegmentNumber): _verdict(one) for one in document.content.SegmentSequence}
    frames = range(1, document.content.number_of_frames + 1)
    found = joined(_frame(document, frame, verdicts) for frame in frames)
    if found.boxes and _is_automatic(document.content):
        said = f"An algorithm made this segmentation of {len(found.boxes)} parts."
        fault = document.fault(FaultCode.ANNOTATION_BY_ALGORITHM, said, found.boxes[0].image)
        return Annotations(found.boxes, (*found.faults, fault))
    return found


def _verdict(segment: Dataset) -> Verdict | None:
    source = AttributeSource((segment,))
    for code in items(segment, "SegmentedPropertyTypeCodeSequence"):
        coded = AttributeSource((code,))
        named = verdict_of_code(
            coded.text("CodeValue"), coded.text("CodingSchemeDesignator"), coded.text("CodeMeaning")
        )
        if named is not None:
            return named
    return verdict_in_words(source.text("SegmentLabel")) or verdict_in_words(source.text("SegmentDescription"))


def _is_automatic(segmentation: Dataset) -> bool:
    return any(one.get("SegmentAlgorithmType") == "AUTOMATIC" for one in segmentation.SegmentSequence)


def _frame(document: _Document, frame: int, verdicts: dict[int, Verdict | None]) -> Annotations:
    group = document.content.PerFrameFunctionalGroupsSequence[frame - 1]
    image = _source(document, group, frame)
    if isinstance(image, Fault):
        return Annotations(faults=(image,))
    place = Place(file=document.file, sop_instance_uid=image.sop_instance_uid, frame=image.frame)
    return Annotations(
        tuple(
            LabelledBox(image=image, box=box, verdict=verdicts.get(segment), place=place)
            for segment, mask in _masks(document.content, group, frame)
            for box in boxes_of_mask(mask)
        )
    )


def _source(document: _Document, group: Dataset, frame: int) -> ImageKey | Fault:
    """The one image that a frame was drawn on, when its pixels are those of the image."""
    derivations = items(group, "DerivationImageSequence")
    references = [AttributeSource((one,)) for item in derivations for one in items(item, "SourceImageSequence")]
    if len(references) != 1:
        said = f"Frame {frame} of the segmentation names {len(references)} source images, not one."
        return document.fault(FaultCode.ANNOTATION_WITHOUT_IMAGE, said)
    reference = references[0]
    image = document.images.key(reference.uid("ReferencedSOPInstanceUID"), reference.integer("ReferencedFrameNumber"))
    found = document.images.by_uid(image)
    if found is None:
        said = f"Frame {frame} of the segmentation was drawn on an image that is not in the folder."
        return document.fault(FaultCode.ANNOTATION_WITHOUT_IMAGE, said, image)
    rows, columns = document.content.Rows, document.content.Columns
    same_size = (rows, columns) == (found.head.rows, found.head.columns)
    if not same_size or reference.code("SpatialLocationsPreserved") in _NOT_PRESERVED:
        said = f"Frame {frame} of the segmentation has other pixels ({columns} x {rows}) than its image."
        return document.fault(FaultCode.IMAGE_SIZE_DIFFERS, said, image)
    return image


def _masks(segmentation: Any, group: Dataset, frame: int) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Segment number and (Y, X) mask: one of a binary or fractional frame, several of a label map."""
    stored: NDArray[Any] = segmentation.get_stored_frame(frame)
    kind = segmentation.SegmentationType
    if kind == "LABELMAP":
        yield from ((int(number), stored == number) for number in np.unique(stored) if number > 0)
        return
    named = items(group, "SegmentIdentificationSequence") or items(
        segmentation.SharedFunctionalGroupsSequence[0], "SegmentIdentificationSequence"
    )
    half = segmentation.MaximumFractionalValue / 2 if kind == "FRACTIONAL" else 0
    yield int(named[0].ReferencedSegmentNumber), stored > half


def boxes_of_mask(mask: NDArray[np.bool_]) -> list[Box]:
    """(Y, X) mask -> the box around each connected part, from outer edge to outer edge of its pixels."""
    parts, _ = ndimage.label(mask, structure=_TOUCHING)
    return [
        Box(x0=float(x.start), y0=float(y.start), x1=float(x.stop), y1=float(y.stop))
        for y, x in ndimage.find_objects(parts)
    ]
