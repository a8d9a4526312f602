"""What every loader of annotations gives: boxes on images, each with the class that was drawn for it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from inference.findings import Box, Verdict
from inference.labels.faults import Fault, Place

# SNOMED CT, CID 6063
_CODES: Final = {("30807003", "SCT"): Verdict.BENIGN, ("21594007", "SCT"): Verdict.MALIGNANT}
_WORD: Final = re.compile(r"(\b(?:non|not|no)[\s-]*)?\b(benign|malignant)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ImageKey:
    """One image: an instance, or one frame (from 1) of a multi-frame instance."""

    sop_instance_uid: str
    frame: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledBox:
    image: ImageKey
    box: Box
    verdict: Verdict | None  # None: the annotation names no class, pathology.csv must
    place: Place  # file of the annotation


@dataclass(frozen=True, slots=True)
class Annotations:
    """What one annotation file gave."""

    boxes: tuple[LabelledBox, ...] = ()
    faults: tuple[Fault, ...] = ()
    only_image: ImageKey | None = None  # of a format with a file for each image


def joined(parts: Iterable[Annotations]) -> Annotations:
    parts = list(parts)
    return Annotations(
        tuple(box for part in parts for box in part.boxes), tuple(fault for part in parts for fault in part.faults)
    )


def verdict_of_label(label: str) -> Verdict | None:
    """ "Benign", " MALIGNANT" -> the class; None for anything else."""
    folded = label.strip().casefold()
    return next((verdict for verdict in Verdict if verdict == folded), None)


def verdict_in_words(text: str) -> Verdict | None:
    """The class that a phrase names ("Lesion 2, malignant"); None when it names both or denies one ("not benign")."""
    found = _WORD.findall(text)
    words = {word.lower() for _, word in found}
    return Verdict(words.pop()) if len(words) == 1 and not any(denied for denied, _ in found) else None


def verdict_of_code(value: str, scheme: str, meaning: str) -> Verdict | None:
    """The class a code names: by the code, or by the words of its meaning ("Malignant neoplasm of spine")."""
    return _CODES.get((value, scheme)) or verdict_in_words(meaning)


def box_around(points: Iterable[tuple[float, float]]) -> Box:
    """The smallest box that holds all points (x, y), in any order."""
    xs, ys = zip(*points, strict=True)
    return Box(x0=min(xs), y0=min(ys), x1=max(xs), y1=max(ys))
