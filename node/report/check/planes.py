"""Where frames lie in the patient: those of a segmentation lie where the images lie that they were made from."""

from collections.abc import Iterable
from typing import Final

from node.report.check.reading import NOTHING, ReadDataset, first, items, number, numbers, text
from node.report.check.uids import is_valid_uid

# Sequence in the functional groups (PS3.3 C.7.6.16.2), attribute, how many values; of one frame it stands at the root
_GEOMETRY: Final = (
    ("PlanePositionSequence", "ImagePositionPatient", 3),
    ("PlaneOrientationSequence", "ImageOrientationPatient", 6),
    ("PixelMeasuresSequence", "PixelSpacing", 2),
)
_SAME: Final = 2e-3  # mm, or of a cosine: images of one stack may differ by rounding


def plane_faults(dataset: ReadDataset, index: int, image: ReadDataset, frame: int) -> Iterable[str]:
    """Of the frame with this index from 0; `image` and its `frame` from 1 are what it was made from."""
    if any(number(dataset, keyword) != number(image, keyword) for keyword in ("Rows", "Columns")):
        yield "is of another size than its image"
    told = text(image, "FrameOfReferenceUID")
    if not text(dataset, "FrameOfReferenceUID"):
        yield "is in no Frame of Reference"
    elif is_valid_uid(told) and text(dataset, "FrameOfReferenceUID") != told:
        yield "is in another Frame of Reference than its image"
    for sequence, keyword, count in _GEOMETRY:
        here = _geometry(dataset, index, sequence, keyword)
        there = _geometry(image, frame - 1, sequence, keyword)
        if len(here) != count:
            yield f"has no {keyword}"
        elif len(there) == count and any(abs(a - b) > _SAME for a, b in zip(here, there, strict=True)):
            yield f"has another {keyword} than its image"


def _geometry(dataset: ReadDataset, index: int, sequence: str, keyword: str) -> list[float]:
    own = items(dataset, "PerFrameFunctionalGroupsSequence")
    groups = [own[index] if index < len(own) else NOTHING, first(dataset, "SharedFunctionalGroupsSequence"), dataset]
    for group in groups:
        found = numbers(first(group, sequence), keyword) or numbers(group, keyword)
        if found:
            return found
    return []
