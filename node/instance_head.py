"""The head of a received data set as pydicom reads it: what the receiver must know, and no more.

Only the elements before the pixels are read. `node.head_scan` does the same for usual objects in less time.
"""

import errno
import zlib
from io import SEEK_CUR, BytesIO
from typing import BinaryIO, Final

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_sequence_item
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from node.counted_reading import MOST_READS, ONE_AT_A_TIME, TOO_MUCH, CountedStream, ReadingBudget
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
# Of an OSError: none, or a seek to where a broken length points. Any other is the disk's, whatever the object holds.
_OF_THE_PARSER: Final = frozenset({None, errno.EINVAL})
_SEQUENCE_VRS: Final = (None, "SQ", "UN")  # None: implicit VR
_SHARED_ITEM_CHARACTER_SET: Final = "iso8859"  # of items whose texts nobody reads


def read_received_head(
    encoded: bytes | BinaryIO, transfer_syntax_uid: str, rules: HeadRules = DEFAULT_RULES
) -> ReceivedHead:
    """Read the head of an encoded data set (no file meta information before it), from its bytes or from a file there.

    Raises CannotUnderstand when it is empty, cannot be parsed, or when one of its SOP Class, SOP Instance, Study
    and Series Instance UIDs is missing or malformed, OSError when the file cannot be read.
    """
    stream = BytesIO(encoded) if isinstance(encoded, bytes) else encoded
    budget = ReadingBudget(reads=MOST_READS, byte_count=_MAXIMUM_INFLATED_BYTES)
    try:
        with ONE_AT_A_TIME:
            return _head_of(_parse(stream, UID(transfer_syntax_uid), budget), rules)
    except CannotUnderstand:
        raise
    except RecursionError as error:
        raise CannotUnderstand(TOO_DEEP) from error
    except Exception as error:  # a parser fed with foreign bytes raises anything; its text may quote them
        if budget.is_spent:  # pydicom makes another error of what a stream raises at an item
            raise CannotUnderstand(TOO_MUCH) from error
        if isinstance(error, OSError) and error.errno not in _OF_THE_PARSER:
            raise
        raise CannotUnderstand(
            f"the data set cannot be parsed ({type(error).__name__}); repair the object at its source"
        ) from error


EMPTY: Final = "the data set is empty; send the object again from its source"
TOO_DEEP: Final = "sequences are nested too deeply to be read; repair the object at its source"


class _Parsed:
    """The elements before the frames, and the first of the frames: a thousand others are nobody's concern here."""

    def __init__(self, stream: CountedStream, transfer_syntax: UID, budget: ReadingBudget) -> None:
        self._stream = stream
        self._budget = budget
        self._is_little_endian = transfer_syntax.is_little_endian
        self._frames: tuple[int, bool] | None = None  # where the first item is, whether in implicit VR
        self._first_frame: Dataset | None = None
        self.dataset = read_dataset(
            stream.as_file,
            is_implicit_VR=transfer_syntax.is_implicit_VR,
            is_little_endian=transfer_syntax.is_little_endian,
            stop_when=self._ends,
            specific_tags=list(NEEDED_TAGS),
        )

    def _ends(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        if int(tag) == int(PER_FRAME_FUNCTIONAL_GROUPS) and length and vr in _SEQUENCE_VRS:
            self._frames = self._stream.tell(), vr != "SQ"
        return int(tag) >= int(LAST_NEEDED_TAG)

    def plane(self, attribute: PlaneAttribute) -> tuple[float, ...] | None:
        """The numbers of a plane attribute at top level (classic), else of the first frame (PS3.3 C.7.6.16.2)."""
        values = _numbers(self.dataset, attribute)
        if values is None:
            values = self._in_groups(self._frame(), attribute)
        if values is None:
            values = self._in_groups(self._first_item(self.dataset, SHARED_FUNCTIONAL_GROUPS), attribute)
        return values

    def _in_groups(self, groups: Dataset | None, attribute: PlaneAttribute) -> tuple[float, ...] | None:
        macro = None if groups is None else self._first_item(groups, attribute.macro)
        return None if macro is None else _numbers(macro, attribute)

    def _frame(self) -> Dataset | None:
        if self._frames is not None:
            (at, implicit), self._frames = self._frames, None
            self._stream.seek(at)
            self._first_frame = self._item(self._stream, implicit=implicit)
        return self._first_frame

    def _first_item(self, dataset: Dataset, sequence_tag: BaseTag) -> Dataset | None:
        element: RawDataElement | DataElement | None = (
            dataset.get_item(sequence_tag) if sequence_tag in dataset else None
        )
        if isinstance(element, RawDataElement):
            if not element.value or element.VR not in _SEQUENCE_VRS:
                return None
            stream = CountedStream(BytesIO(element.value), self._budget)
            return self._item(stream, implicit=element.is_implicit_VR or element.VR == "UN")
        items = None if element is None else element.value
        return items[0] if isinstance(items, DicomSequence) and items else None

    def _item(self, stream: CountedStream, *, implicit: bool) -> Dataset | None:
        return read_sequence_item(stream.as_file, implicit, self._is_little_endian, _SHARED_ITEM_CHARACTER_SET)


def _parse(stream: BinaryIO, transfer_syntax: UID, budget: ReadingBudget) -> _Parsed:
    if not (first := stream.read(1)):
        raise CannotUnderstand(EMPTY)
    stream.seek(-len(first), SEEK_CUR)
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        stream = BytesIO(inflated(stream, _MAXIMUM_INFLATED_BYTES))
    return _Parsed(CountedStream(stream, budget), transfer_syntax, budget)


def inflated(stream: BinaryIO, maximum_bytes: int) -> bytes:
    """The beginning of a deflated data set (PS3.5 A.5). Raises zlib.error."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = bytearray()
    while len(data) < maximum_bytes and not inflater.eof and (piece := stream.read(_INFLATED_AT_ONCE_BYTES)):
        data += inflater.decompress(piece, maximum_bytes - len(data))
    return bytes(data)


def _head_of(parsed: _Parsed, rules: HeadRules) -> ReceivedHead:
    dataset = parsed.dataset
    for tag in UID_NAMES:
        element = dataset.get_item(BaseTag(tag))
        if isinstance(element, RawDataElement) and element.value is not None and len(element.value) < element.length:
            raise CannotUnderstand(f"the data set ends within {UID_NAMES[tag]}; send the object again from its source")
    encodings = dataset.original_character_set
    return head_of_values(
        {int(tag): _raw(dataset, tag) for tag in NEEDED_TAGS},
        encodings=[encodings] if isinstance(encodings, str) else encodings,
        orientation=parsed.plane(ORIENTATION),
        position_mm=parsed.plane(POSITION),
        rules=rules,
    )


def _raw(dataset: Dataset, tag: BaseTag) -> bytes:
    """The undecoded value; empty where the element is absent or is no plain value."""
    element = dataset.get_item(tag)
    if not isinstance(element, RawDataElement) or element.value is None:
        return b""
    return element.value


def _numbers(dataset: Dataset, attribute: PlaneAttribute) -> tuple[float, ...] | None:
    return numbers_of(_raw(dataset, BaseTag(attribute.tag)), attribute)
