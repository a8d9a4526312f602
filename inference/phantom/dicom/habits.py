"""How a site's scanners fill in DICOM: habits seen in real files, each of them valid.

Habits change no pixel of the truth; they change what a reader of the files can rely on.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from inference.phantom.dicom.wording import Wording


class FatSaturationSaid(StrEnum):
    """Where a fat-saturated T2 says that it is one."""

    BOTH = "both"
    TAGS = "tags"  # ScanOptions; in Enhanced MR SpectrallySelectedSuppression
    DESCRIPTION = "description"


class AgeSaid(StrEnum):
    AGE = "age"
    BIRTH_DATE = "birth date"  # PatientAge absent
    ZERO = "zero"  # PatientAge "000Y", as some scanners write for "not entered", beside the birth date


class BodyPartSaid(StrEnum):
    RIGHT = "right"
    ABSENT = "absent"
    LUMBAR = "lumbar"  # of the coil, whatever it was used for


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """The defaults are those of a plain writer who fills in everything."""

    wording: Wording = Wording.ENGLISH
    utf_8: bool = False  # SpecificCharacterSet; else the set of the wording's country
    implicit_vr: bool = False
    reversed_numbers: bool = False  # InstanceNumber, or the frames, run against the positions
    spacing_between_slices: bool = True
    two_windows: bool = False
    rescale: tuple[float, float] | None = None  # slope, intercept
    empty_type_2: bool = False  # what may be empty, is
    private_group: bool = False
    age: AgeSaid = AgeSaid.AGE
    body_part: BodyPartSaid = BodyPartSaid.RIGHT
    fat_saturation: FatSaturationSaid = FatSaturationSaid.BOTH
    inversion_time: bool = True
    image_type_tail: tuple[str, ...] = ()
    functional_groups: bool = False  # in a classic image, with NumberOfFrames 1
    groups_per_frame: bool = False  # Enhanced MR: repeat in each frame what all frames share


PLAIN: Final = Habits()
_SLOPES: Final = (2.4420024, 0.7316239, 1.0)


def habits_of_site(site: str) -> Habits:
    """The same name gives the same habits; each is drawn by itself, so that many sites show many combinations."""
    seed = int.from_bytes(hashlib.sha256(site.encode()).digest()[:8], "big")
    rng = np.random.default_rng(seed)

    def often(probability: float) -> bool:
        return bool(rng.random() < probability)

    return Habits(
        wording=tuple(Wording)[rng.integers(len(Wording))],
        utf_8=often(0.3),
        implicit_vr=often(0.3),
        reversed_numbers=often(0.4),
        spacing_between_slices=not often(0.4),
        two_windows=often(0.2),
        rescale=(_SLOPES[rng.integers(len(_SLOPES))], 0.0) if often(0.4) else None,
        empty_type_2=often(0.3),
        private_group=often(0.5),
        age=tuple(AgeSaid)[rng.integers(len(AgeSaid))],
        body_part=tuple(BodyPartSaid)[rng.integers(len(BodyPartSaid))],
        fat_saturation=tuple(FatSaturationSaid)[rng.integers(len(FatSaturationSaid))],
        inversion_time=not often(0.3),
        image_type_tail=("AI",) if often(0.2) else (),
        functional_groups=often(0.2),
        groups_per_frame=often(0.4),
    )
