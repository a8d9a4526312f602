"""Which lesion shows where: the images of a written study with the boxes and masks of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.findings import Box
from inference.phantom.boxes import boxes_per_slice
from inference.phantom.dicom.identifiers import phantom_uid
from inference.phantom.dicom.stacks import ImageStack
from inference.phantom.dicom.study import StudyFile
from inference.phantom.patient import PhantomPatient, PhantomSeries

_FRAME: Final = "{stem}-frame{frame:03d}"  # how the data import finds a frame of a multi-frame file by a name


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionBox:
    """A lesion on one slice."""

    lesion: int  # number in the truth, from 1
    box: Box
    pixels: int  # that the lesion itself covers


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledImage:
    """One image of a sagittal series; `boxes` is empty where no lesion shows well enough to be drawn."""

    file: StudyFile
    position: int  # place in the stack
    boxes: tuple[LesionBox, ...]

    @property
    def stack(self) -> ImageStack:
        return self.file.stack

    @property
    def frame(self) -> int | None:
        """From 1; None in a classic instance."""
        return self.file.frame_of(self.position)

    @property
    def stem(self) -> str:
        """Name of the image without suffix: of its file, or of its frame."""
        stem = self.file.name.removesuffix(".dcm")
        return stem if self.frame is None else _FRAME.format(stem=stem, frame=self.frame)

    @property
    def image_name(self) -> str:
        """What an annotation calls the image: its file, or the exported picture of its frame."""
        return self.file.name if self.frame is None else f"{self.stem}.png"


def labelled_images(files: Sequence[StudyFile]) -> Iterator[LabelledImage]:
    """All images of the sagittal series, each series in spatial order."""
    boxes: dict[int, list[tuple[LesionBox, ...]]] = {}
    for file in files:
        series = file.stack.series
        if series is None:
            continue
        of_slices = boxes.setdefault(file.stack.number, lesion_boxes(series))
        for position in sorted(file.slices):
            yield LabelledImage(file=file, position=position, boxes=of_slices[position])


def lesion_boxes(series: PhantomSeries) -> list[tuple[LesionBox, ...]]:
    """The boxes of each slice, each with the number of its lesion."""
    slices, matrix = series.pixels.shape[0], series.pixels.shape[1]
    found: list[list[LesionBox]] = [[] for _ in range(slices)]
    for lesion, mask in enumerate(series.masks, start=1):
        first = mask.index[0].start
        for position, boxes in enumerate(boxes_per_slice([mask], slices, matrix=matrix)):
            found[position] += [
                LesionBox(lesion=lesion, box=box, pixels=int(mask.voxels[position - first].sum())) for box in boxes
            ]
    return [tuple(boxes) for boxes in found]


def lesion_mask(series: PhantomSeries, lesion: int) -> NDArray[np.bool_]:
    """(Z, Y, X), True in the lesion of this number (from 1)."""
    mask = series.masks[lesion - 1]
    whole = np.zeros(series.pixels.shape, dtype=np.bool_)
    whole[mask.index] = mask.voxels
    return whole


def tracking_uid(patient: PhantomPatient, lesion: int) -> str:
    """The same in every object that tells of the lesion."""
    return phantom_uid(patient, "lesion", lesion)


def tracking_identifier(lesion: int) -> str:
    return f"Planted lesion {lesion}"
