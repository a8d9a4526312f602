"""What the receiver must know of a received data set: its identity, its patient, where its plane lies.

Only the elements before the pixels are read, and text is decoded without judging it: a patient's name in a broken
character set, or a date that is no date, never refuses an image. UIDs are judged, because everything else in the
node relies on them.
"""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Final

from pydicom.charset import decode_bytes
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from inference.plane import FARTHEST_POSITION_MM
from node.errors import CannotUnderstand

_SOP_CLASS_UID: Final = BaseTag(0x00080016)
_SOP_INSTANCE_UID: Final = BaseTag(0x00080018)
_STUDY_INSTANCE_UID: Final = BaseTag(0x0020000D)
_SERIES_INSTANCE_UID: Final = BaseTag(0x0020000E)
_SPECIFIC_CHARACTER_SET: Final = BaseTag(0x00080005)
_STUDY_DATE: Final = BaseTag(0x00080020)
_MODALITY: Final = BaseTag(0x00080060)
_MANUFACTURER: Final = BaseTag(0x00080070)
_PATIENT_NAME: Final = BaseTag(0x00100010)
_PATIENT_ID: Final = BaseTag(0x00100020)
_ISSUER_OF_PATIENT_ID: Final = BaseTag(0x00100021)
_PATIENT_BIRTH_DATE: Final = BaseTag(0x00100030)
_PATIENT_SEX: Final = BaseTag(0x00100040)
_IMAGE_POSITION: Final = BaseTag(0x00200032)
_IMAGE_ORIENTATION: Final = BaseTag(0x00200037)
_SHARED_FUNCTIONAL_GROUPS: Final = BaseTag(0x52009229)
_PER_FRAME_FUNCTIONAL_GROUPS: Final = BaseTag(0x52009230)
_PLANE_POSITION_SEQUENCE: Final = BaseTag(0x00209113)
_PLANE_ORIENTATION_SEQUENCE: Final = BaseTag(0x00209116)
_NEEDED_TAGS: Final = [
    _SPECIFIC_CHARACTER_SET,
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
    _IMAGE_POSITION,
    _IMAGE_ORIENTATION,
    _SHARED_FUNCTIONAL_GROUPS,
    _PER_FRAME_FUNCTIONAL_GROUPS,
]
_LAST_NEEDED_TAG: Final = max(_NEEDED_TAGS)

# PS3.5 9.1: up to 64 characters, components without leading zeros
_UID_FORM: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")
_MAXIMUM_UID_LENGTH: Final = 64
# "^" and "=" of person names end an escaped character set (PS3.5 6.1.2.5.3), so does "\" between values.
_TEXT_DELIMITERS: Final = {0x5C, 0x5E, 0x3D}
_LARGEST_COSINE: Final = 1.1  # rounding brings a direction cosine a little above 1, no further
# A deflated data set can grow a thousandfold: one small file must not take the memory of all. Headers of the
# largest Enhanced objects seen are under 20 MB.
_MAXIMUM_INFLATED_BYTES: Final = 64 * 2**20


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


@dataclass(frozen=True, slots=True)
class _PlaneAttribute:
    tag: BaseTag
    macro: BaseTag  # the sequence that holds it in a functional group
    count: int
    largest: float  # magnitude of a number that can be true


_ORIENTATION: Final = _PlaneAttribute(_IMAGE_ORIENTATION, _PLANE_ORIENTATION_SEQUENCE, 6, _LARGEST_COSINE)
_POSITION: Final = _PlaneAttribute(_IMAGE_POSITION, _PLANE_POSITION_SEQUENCE, 3, FARTHEST_POSITION_MM)


def is_valid_uid(value: str) -> bool:
    """Whether `value` has the form of a UID.  Source: PS3.5 9.1."""
    return len(value) <= _MAXIMUM_UID_LENGTH and _UID_FORM.fullmatch(value) is not None


def read_received_head(encoded: bytes, transfer_syntax_uid: str) -> ReceivedHead:
    """Read the head of an encoded data set (no file meta information before it).

    Raises CannotUnderstand when it is empty, cannot be parsed, or when one of its SOP Class, SOP Instance, Study
    and Series Instance UIDs is missing or malformed.
    """
    if not encoded:
        raise CannotUnderstand("the data set is empty; send the object again from its source")
    try:
        dataset = _parse(encoded, UID(transfer_syntax_uid))
        return _head_of(dataset)
    except CannotUnderstand:
        raise
    except RecursionError as error:
        raise CannotUnderstand("sequences are nested too deeply to be read; repair the object at its source") from error
    except Exception as error:  # a parser fed with foreign bytes raises anything; its text may quote them
        raise CannotUnderstand(
            f"the data set cannot be parsed ({type(error).__name__}); repair the object at its source"
        ) from error


def _parse(encoded: bytes, transfer_syntax: UID) -> Dataset:
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        encoded = zlib.decompressobj(-zlib.MAX_WBITS).decompress(encoded, _MAXIMUM_INFLATED_BYTES)
    return read_dataset(
        BytesIO(encoded),
        is_implicit_VR=transfer_syntax.is_implicit_VR,
        is_little_endian=transfer_syntax.is_little_endian,
        stop_when=_after_the_head,
        specific_tags=list(_NEEDED_TAGS),
    )


def _after_the_head(tag: BaseTag, vr: str | None, length: int) -> bool:
    del vr, length
    return int(tag) > int(_LAST_NEEDED_TAG)


def _head_of(dataset: Dataset) -> ReceivedHead:
    return ReceivedHead(
        sop_class_uid=_uid(dataset, _SOP_CLASS_UID, "SOP Class UID (0008,0016)"),
        sop_instance_uid=_uid(dataset, _SOP_INSTANCE_UID, "SOP Instance UID (0008,0018)"),
        study_instance_uid=_uid(dataset, _STUDY_INSTANCE_UID, "Study Instance UID (0020,000D)"),
        series_instance_uid=_uid(dataset, _SERIES_INSTANCE_UID, "Series Instance UID (0020,000E)"),
        patient_id=_text(dataset, _PATIENT_ID),
        issuer_of_patient_id=_text(dataset, _ISSUER_OF_PATIENT_ID),
        patient_name=_text(dataset, _PATIENT_NAME),
        patient_birth_date=_text(dataset, _PATIENT_BIRTH_DATE),
        patient_sex=_text(dataset, _PATIENT_SEX),
        study_date=_text(dataset, _STUDY_DATE),
        modality=_text(dataset, _MODALITY),
        manufacturer=_text(dataset, _MANUFACTURER),
        orientation=_plane(dataset, _ORIENTATION),
        position_mm=_plane(dataset, _POSITION),
    )


def _raw(dataset: Dataset, tag: BaseTag) -> bytes:
    """The undecoded value; empty where the element is absent or is no plain value."""
    element = dataset.get_item(tag)
    if not isinstance(element, RawDataElement) or element.value is None:
        return b""
    return element.value


def _uid(dataset: Dataset, tag: BaseTag, name: str) -> str:
    element = dataset.get_item(tag)
    value = _raw(dataset, tag).rstrip(b"\0 ")
    if not value:
        raise CannotUnderstand(f"{name} is missing; the node files objects by it, add it at the source")
    if isinstance(element, RawDataElement) and element.value is not None and len(element.value) < element.length:
        raise CannotUnderstand(f"the data set ends within {name}; send the object again from its source")
    text = value.decode("ascii", errors="replace")
    if not is_valid_uid(text):
        # the value is not quoted: it may be anything, a patient's name as well
        raise CannotUnderstand(f"{name} is not a UID ({len(text)} characters; PS3.5 9.1); repair it at the source")
    return text


def _text(dataset: Dataset, tag: BaseTag) -> str:
    """The text of an element without its padding, decoded as well as its character sets allow."""
    value = _raw(dataset, tag).rstrip(b"\0 ")
    encodings = dataset.original_character_set
    try:
        return decode_bytes(value, [encodings] if isinstance(encodings, str) else encodings, _TEXT_DELIMITERS)
    except (LookupError, ValueError):  # pydicom warns and replaces, but not in each of its branches
        return value.decode("ascii", errors="replace")


def _plane(dataset: Dataset, attribute: _PlaneAttribute) -> tuple[float, ...] | None:
    """The numbers of a plane attribute at top level (classic), else of the first frame (PS3.3 C.7.6.16.2)."""
    read = partial(_numbers, attribute=attribute)
    values = read(dataset)
    for groups in (_PER_FRAME_FUNCTIONAL_GROUPS, _SHARED_FUNCTIONAL_GROUPS):
        if values is None:
            values = _in_first_item(dataset, groups, lambda frame: _in_first_item(frame, attribute.macro, read))
    return values


def _in_first_item(
    dataset: Dataset, sequence_tag: BaseTag, read: Callable[[Dataset], tuple[float, ...] | None]
) -> tuple[float, ...] | None:
    if sequence_tag not in dataset:
        return None
    items = dataset[sequence_tag].value
    return read(items[0]) if isinstance(items, DicomSequence) and items else None


def _numbers(dataset: Dataset, attribute: _PlaneAttribute) -> tuple[float, ...] | None:
    """The numbers of a DS element, or None: a nonsense geometry is no geometry."""
    text = _raw(dataset, attribute.tag)
    try:
        numbers = tuple(float(part) for part in text.decode("ascii").rstrip("\0 ").split("\\"))
    except ValueError:
        return None
    possible = all(abs(number) <= attribute.largest for number in numbers)  # neither is nan, nor infinity
    return numbers if len(numbers) == attribute.count and possible else None
