"""What the receiver must know of a received data set, and how its undecoded values are judged.

Text is decoded without judging it: a patient's name in a broken character set, or a date that is no date, never
refuses an image. UIDs are judged, because everything else in the node relies on them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom.charset import decode_bytes
from pydicom.tag import BaseTag

from inference.plane import FARTHEST_POSITION_MM
from node.errors import CannotUnderstand

_SOP_CLASS_UID: Final = BaseTag(0x00080016)
_SOP_INSTANCE_UID: Final = BaseTag(0x00080018)
_STUDY_INSTANCE_UID: Final = BaseTag(0x0020000D)
_SERIES_INSTANCE_UID: Final = BaseTag(0x0020000E)
SPECIFIC_CHARACTER_SET: Final = BaseTag(0x00080005)
_STUDY_DATE: Final = BaseTag(0x00080020)
_MODALITY: Final = BaseTag(0x00080060)
_MANUFACTURER: Final = BaseTag(0x00080070)
_PATIENT_NAME: Final = BaseTag(0x00100010)
_PATIENT_ID: Final = BaseTag(0x00100020)
_ISSUER_OF_PATIENT_ID: Final = BaseTag(0x00100021)
_PATIENT_BIRTH_DATE: Final = BaseTag(0x00100030)
_PATIENT_SEX: Final = BaseTag(0x00100040)
IMAGE_POSITION: Final = BaseTag(0x00200032)
IMAGE_ORIENTATION: Final = BaseTag(0x00200037)
SHARED_FUNCTIONAL_GROUPS: Final = BaseTag(0x52009229)
PER_FRAME_FUNCTIONAL_GROUPS: Final = BaseTag(0x52009230)
_PLANE_POSITION_SEQUENCE: Final = BaseTag(0x00209113)
_PLANE_ORIENTATION_SEQUENCE: Final = BaseTag(0x00209116)
NEEDED_TAGS: Final = [
    SPECIFIC_CHARACTER_SET,
    _SOP_CLASS_UID,
    _SOP_INSTANCE_UID,
    _STUDY_INSTANCE_UID,
    _SERIES_INSTANCE_UID,
    _STUDY_DATE,
    _MODALITY,
    _MANUFACTURER,
    _PATIENT_NAME,
    _PATIENT_ID,
    _ISSUER_OF_PATIENT_ID,
    _PATIENT_BIRTH_DATE,
    _PATIENT_SEX,
    IMAGE_POSITION,
    IMAGE_ORIENTATION,
    SHARED_FUNCTIONAL_GROUPS,
    PER_FRAME_FUNCTIONAL_GROUPS,
]
LAST_NEEDED_TAG: Final = max(NEEDED_TAGS)

# PS3.5 9.1: up to 64 characters, components without leading zeros
_UID_FORM: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")
_LENIENT_UID_FORM: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_MAXIMUM_UID_LENGTH: Final = 64
# "^" and "=" of person names end an escaped character set (PS3.5 6.1.2.5.3), so does "\" between values.
_TEXT_DELIMITERS: Final = {0x5C, 0x5E, 0x3D}
_LARGEST_COSINE: Final = 1.1  # rounding brings a direction cosine a little above 1, no further


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedHead:
    """Identity and patient of a received object; text verbatim but for its padding, empty where absent.

    `orientation` is ImageOrientationPatient (6 direction cosines: along a row, along a column) and `position_mm`
    ImagePositionPatient (x, y, z of the first voxel, LPS, mm); of a multi-frame object those of its first frame;
    None where absent, not numbers, or numbers that no scanner writes.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    patient_id: str
    issuer_of_patient_id: str
    patient_name: str
    patient_birth_date: str
    patient_sex: str
    study_date: str
    modality: str
    manufacturer: str
    orientation: tuple[float, ...] | None
    position_mm: tuple[float, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadRules:
    """How strictly a head is judged. Defaults as in `config.receiving`."""

    maximum_nesting: int = 32  # depth of the sequences that are walked to find the head
    lenient_uids: bool = False  # whether leading zeros in a component are taken, against PS3.5 9.1


@dataclass(frozen=True, slots=True)
class PlaneAttribute:
    """ImagePositionPatient or ImageOrientationPatient."""

    tag: int
    macro: BaseTag  # the sequence that holds it in a functional group
    count: int
    largest: float  # magnitude of a number that can be true


ORIENTATION: Final = PlaneAttribute(int(IMAGE_ORIENTATION), _PLANE_ORIENTATION_SEQUENCE, 6, _LARGEST_COSINE)
POSITION: Final = PlaneAttribute(int(IMAGE_POSITION), _PLANE_POSITION_SEQUENCE, 3, FARTHEST_POSITION_MM)
DEFAULT_RULES: Final = HeadRules()


def is_valid_uid(value: str, *, lenient: bool = False) -> bool:
    """Whether `value` has the form of a UID; `lenient`: a component may have leading zeros.  Source: PS3.5 9.1."""
    form = _LENIENT_UID_FORM if lenient else _UID_FORM
    return len(value) <= _MAXIMUM_UID_LENGTH and form.fullmatch(value) is not None


UID_NAMES: Final = {
    int(_SOP_CLASS_UID): "SOP Class UID (0008,0016)",
    int(_SOP_INSTANCE_UID): "SOP Instance UID (0008,0018)",
    int(_STUDY_INSTANCE_UID): "Study Instance UID (0020,000D)",
    int(_SERIES_INSTANCE_UID): "Series Instance UID (0020,000E)",
}


def head_of_values(
    values: Mapping[int, bytes],
    *,
    encodings: Sequence[str],
    orientation: tuple[float, ...] | None,
    position_mm: tuple[float, ...] | None,
    rules: HeadRules,
) -> ReceivedHead:
    """The head of undecoded values by tag; `encodings` are Python's names of the character sets.

    Raises CannotUnderstand when a UID is missing or malformed.
    """

    def text(tag: BaseTag) -> str:
        value = values.get(int(tag), b"").rstrip(b"\0 ")
        return _decoded(value, encodings) if value else ""

    def uid(tag: BaseTag) -> str:
        return _uid(values.get(int(tag), b""), UID_NAMES[int(tag)], rules)

    return ReceivedHead(
        sop_class_uid=uid(_SOP_CLASS_UID),
        sop_instance_uid=uid(_SOP_INSTANCE_UID),
        study_instance_uid=uid(_STUDY_INSTANCE_UID),
        series_instance_uid=uid(_SERIES_INSTANCE_UID),
        patient_id=text(_PATIENT_ID),
        issuer_of_patient_id=text(_ISSUER_OF_PATIENT_ID),
        patient_name=text(_PATIENT_NAME),
        patient_birth_date=text(_PATIENT_BIRTH_DATE),
        patient_sex=text(_PATIENT_SEX),
        study_date=text(_STUDY_DATE),
        modality=text(_MODALITY),
        manufacturer=text(_MANUFACTURER),
        orientation=orientation,
        position_mm=position_mm,
    )


def numbers_of(value: bytes, attribute: PlaneAttribute) -> tuple[float, ...] | None:
    """The numbers of a DS element, or None: a nonsense geometry is no geometry."""
    try:
        numbers = tuple(float(part) for part in value.decode("ascii").rstrip("\0 ").split("\\"))
    except ValueError:
        return None
    possible = all(abs(number) <= attribute.largest for number in numbers)  # neither is nan, nor infinity
    return numbers if len(numbers) == attribute.count and possible else None


def _uid(value: bytes, name: str, rules: HeadRules) -> str:
    value = value.rstrip(b"\0 ")
    if not value:
        raise CannotUnderstand(f"{name} is missing; the node files objects by it, add it at the source")
    text = value.decode("ascii", errors="replace")
    if not is_valid_uid(text, lenient=rules.lenient_uids):
        # the value is not quoted: it may be anything, a patient's name as well
        raise CannotUnderstand(f"{name} is not a UID ({len(text)} characters; PS3.5 9.1); repair it at the source")
    return text


def _decoded(value: bytes, encodings: Sequence[str]) -> str:
    """Text decoded as well as its character sets allow."""
    try:
        return decode_bytes(value, encodings, _TEXT_DELIMITERS)
    except (LookupError, ValueError):  # pydicom warns and replaces, but not in each of its branches
        return value.decode("ascii", errors="replace")
