"""The head of a received data set as pydicom reads it: what the receiver must know, and no more.

Only the elements before the pixels are read. `node.head_scan` does the same for usual objects in less time.
"""

import zlib
from collections.abc import Callable
from functools import partial
from io import SEEK_CUR, BytesIO
from typing import BinaryIO, Final

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from node.errors import CannotUnderstand
from node.head_values import (
    DEFAULT_RULES,
    LAST_NEEDED_TAG,
    NEEDED_TAGS,
    ORIENTATION,
    PER_FRAME_FUNCTIONAL_GROUPS,
    POSITION,
    SHARED_FUNCTIONAL_GROUPS,
    UID_NAMES,
    HeadRules,
    PlaneAttribute,
    ReceivedHead,
    head_of_values,
    is_valid_uid,
    numbers_of,
)

__all__ = ["EMPTY", "TOO_DEEP", "HeadRules", "ReceivedHead", "is_valid_uid", "read_received_head"]

# A deflated data set can grow a thousandfold: one small file must not take the memory of all. Headers of the
# largest Enhanced objects seen are under 20 MB.
_MAXIMUM_INFLATED_BYTES: Final = 64 * 2**20
_INFLATED_AT_ONCE_BYTES: Final = 1 << 16


def read_received_head(
    encoded: bytes | BinaryIO, transfer_syntax_uid: str, rules: HeadRules = DEFAULT_RULES
) -> ReceivedHead:
    """Read the head of an encoded data set (no file meta information before it), from its bytes or from a file there.

    Raises CannotUnderstand when it is empty, cannot be parsed, or when one of its SOP Class, SOP Instance, Study
    and Series Instance UIDs is missing or malformed.
    """
    stream = BytesIO(encoded) if isinstance(encoded, bytes) else encoded
    try:
        dataset = _parse(stream, UID(transfer_syntax_uid))
        return _head_of(dataset, rules)
    except CannotUnderstand:
        raise
    except RecursionError as error:
        raise CannotUnderstand(TOO_DEEP) from error
    except Exception as error:  # a parser fed with foreign bytes raises anything; its text may quote them
        raise CannotUnderstand(
            f"the data set cannot be parsed ({type(error).__name__}); repair the object at its source"
        ) from error


EMPTY: Final = "the data set is empty; send the object again from its source"
TOO_DEEP: Final = "sequences are nested too deeply to be read; repair the object at its source"


def _parse(stream: BinaryIO, transfer_syntax: UID) -> Dataset:
    if not (first := stream.read(1)):
        raise CannotUnderstand(EMPTY)
    stream.seek(-len(first), SEEK_CUR)
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        stream = BytesIO(inflated(stream, _MAXIMUM_INFLATED_BYTES))
    return read_dataset(
        stream,
        is_implicit_VR=transfer_syntax.is_implicit_VR,
        is_little_endian=transfer_syntax.is_little_endian,
        stop_when=_after_the_head,
        specific_tags=list(NEEDED_TAGS),
    )


def inflated(stream: BinaryIO, maximum_bytes: int) -> bytes:
    """The beginning of a deflated data set (PS3.5 A.5). Raises zlib.error."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = bytearray()
    while len(data) < maximum_bytes and not inflater.eof and (piece := stream.read(_INFLATED_AT_ONCE_BYTES)):
        data += inflater.decompress(piece, maximum_bytes - len(data))
    return bytes(data)


def _after_the_head(tag: BaseTag, vr: str | None, length: int) -> bool:
    del vr, length
    return int(tag) > int(LAST_NEEDED_TAG)


def _head_of(dataset: Dataset, rules: HeadRules) -> ReceivedHead:
    for tag in UID_NAMES:
        element = dataset.get_item(BaseTag(tag))
        if isinstance(element, RawDataElement) and element.value is not None and len(element.value) < element.length:
            raise CannotUnderstand(f"the data set ends within {UID_NAMES[tag]}; send the object again from its source")
    encodings = dataset.original_character_set
    return head_of_values(
        {int(tag): _raw(dataset, tag) for tag in NEEDED_TAGS},
        encodings=[encodings] if isinstance(encodings, str) else encodings,
        orientation=_plane(dataset, ORIENTATION),
        position_mm=_plane(dataset, POSITION),
        rules=rules,
    )


def _raw(dataset: Dataset, tag: BaseTag) -> bytes:
    """The undecoded value; empty where the element is absent or is no plain value."""
    element = dataset.get_item(tag)
    if not isinstance(element, RawDataElement) or element.value is None:
        return b""
    return element.value


def _plane(dataset: Dataset, attribute: PlaneAttribute) -> tuple[float, ...] | None:
    """The numbers of a plane attribute at top level (classic), else of the first frame (PS3.3 C.7.6.16.2)."""
    read = partial(_numbers, attribute=attribute)
    values = read(dataset)
    for groups in (PER_FRAME_FUNCTIONAL_GROUPS, SHARED_FUNCTIONAL_GROUPS):
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


def _numbers(dataset: Dataset, attribute: PlaneAttribute) -> tuple[float, ...] | None:
    return numbers_of(_raw(dataset, BaseTag(attribute.tag)), attribute)
