"""The head of a received data set by walking over its elements: ten times as fast as a parser that builds them.

It decides only what it is sure of. Whatever is unusual (another VR than the standard's, elements out of order, an
encoding that changes on the way, a plane inside functional groups) is left to pydicom, so that both always agree.
Sequences of undefined length are walked without recursion, and no deeper than the rules allow.
Source: PS3.5 7.1 (elements), 7.5 (sequences), A.1 to A.3 (encodings).
"""

import struct
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Final

from pydicom.charset import convert_encodings
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from node.counted_reading import TOO_MUCH
from node.errors import CannotUnderstand
from node.head_values import (
    LAST_NEEDED_TAG,
    NEEDED_TAGS,
    ORIENTATION,
    PER_FRAME_FUNCTIONAL_GROUPS,
    POSITION,
    SHARED_FUNCTIONAL_GROUPS,
    SPECIFIC_CHARACTER_SET,
    HeadRules,
    ReceivedHead,
    head_of_values,
    numbers_of,
)
from node.instance_head import TOO_DEEP

Bytes = bytes | bytearray | memoryview

_LAST_TAG: Final = int(LAST_NEEDED_TAG)
_FUNCTIONAL_GROUPS: Final = frozenset({int(SHARED_FUNCTIONAL_GROUPS), int(PER_FRAME_FUNCTIONAL_GROUPS)})
_NEEDED: Final = frozenset(int(tag) for tag in NEEDED_TAGS) - _FUNCTIONAL_GROUPS
_CHARACTER_SET: Final = int(SPECIFIC_CHARACTER_SET)
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF
_SEQUENCE: Final = b"SQ"
# PS3.5 table 7.1-1 and 7.1-2
_LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", _SEQUENCE, b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_SHORT_VRS: Final = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS"}
    | {b"ST", b"TM", b"UI", b"UL", b"US"}
)
_LONGEST_VALUE: Final = 1024  # of one that is needed; LO and PN are at most 64 characters per component
# Items and elements within sequences: what reads the object later may have to build them all.
_MOST_STEPS: Final = 400_000
_UPPERCASE: Final = range(0x41, 0x5B)


class NeedsMore(Exception):
    """The data at hand ends before the head does."""


class Undecided(Exception):
    """Something unusual: a full parser has to look."""


@dataclass(frozen=True, slots=True)
class _Encoding:
    explicit: bool
    long: struct.Struct  # group, element, 4-byte length
    short: struct.Struct  # group, element, VR, 2-byte length
    length: struct.Struct

    @classmethod
    def of(cls, *, explicit: bool, order: str) -> "_Encoding":
        return cls(explicit, struct.Struct(f"{order}HHL"), struct.Struct(f"{order}HH2sH"), struct.Struct(f"{order}L"))


_ENCODINGS: Final = {
    (explicit, little): _Encoding.of(explicit=explicit, order="<" if little else ">")
    for explicit, little in ((True, True), (False, True), (True, False))
}


def scan_head(data: Bytes, transfer_syntax_uid: str, *, whole: bool, rules: HeadRules) -> ReceivedHead:
    """The head of the data set that `data` is the beginning of, or, when `whole`, all of.

    A deflated data set is given inflated. Raises NeedsMore, never when `whole`; Undecided; and CannotUnderstand as
    `read_received_head` does.
    """
    syntax = UID(transfer_syntax_uid)
    explicit = syntax == DeflatedExplicitVRLittleEndian or not syntax.is_implicit_VR
    scan = _Scan(data, _ENCODINGS[explicit, syntax.is_little_endian], rules.maximum_nesting)
    try:
        scan.run(whole=whole)
    except struct.error:  # the data ends
        raise (Undecided if whole else NeedsMore) from None
    values = scan.values
    return head_of_values(
        values,
        encodings=_encodings(values.get(_CHARACTER_SET, b"")),
        orientation=numbers_of(values.get(ORIENTATION.tag, b""), ORIENTATION),
        position_mm=numbers_of(values.get(POSITION.tag, b""), POSITION),
        rules=rules,
    )


class _Within(Enum):
    """What encloses a place in the data set; END: what did so ends."""

    SEQUENCE = 1
    ITEM = 2
    END = 3


_END: Final = _Within.END


@dataclass(slots=True)
class _Scan:
    data: Bytes
    encoding: _Encoding
    maximum_nesting: int
    values: dict[int, bytes] = field(default_factory=dict)
    steps: int = 0  # items and elements within sequences so far

    def run(self, *, whole: bool) -> None:
        """Fill `values`. Raises struct.error where the data ends within an element."""
        data, end = self.data, len(self.data)
        offset, previous = 0, -1
        if not self.encoding.explicit and end > 5 and data[4] in _UPPERCASE and data[5] in _UPPERCASE:
            raise Undecided  # explicit VR, whatever was negotiated
        element = self._element
        while offset != end or not whole:
            tag, is_sequence, value_at, length = element(offset)
            if tag > _LAST_TAG:
                return
            if tag <= previous or (tag in _FUNCTIONAL_GROUPS and not self._has_plane()):
                raise Undecided
            if tag == _LAST_TAG:  # nothing is needed of the frames, nor behind them
                return
            previous = tag
            if tag in _NEEDED:
                if tag == _CHARACTER_SET and self.encoding.explicit and data[offset + 4 : offset + 6] != b"CS":
                    raise Undecided  # of another VR a parser may not take its values apart
                if is_sequence or length > _LONGEST_VALUE:  # of undefined length, too
                    raise Undecided
                if value_at + length > end:
                    raise struct.error
                self.values[tag] = bytes(data[value_at : value_at + length])
            offset = self._end_of_sequence(value_at) if length == _UNDEFINED else value_at + length

    def _element(self, offset: int) -> tuple[int, bool, int, int]:
        """Tag, whether it is known to be a sequence, where its value begins, and the length of that."""
        encoding = self.encoding
        if not encoding.explicit:
            group, element, length = encoding.long.unpack_from(self.data, offset)
            return group << 16 | element, False, offset + 8, length
        group, element, vr, length = encoding.short.unpack_from(self.data, offset)
        tag = group << 16 | element
        if vr in _SHORT_VRS:
            return tag, False, offset + 8, length
        if vr not in _LONG_VRS:
            if tag == _ITEM_END:
                return tag, False, offset + 8, 0
            raise Undecided
        (length,) = encoding.length.unpack_from(self.data, offset + 8)
        is_sequence = vr == _SEQUENCE
        if length == _UNDEFINED and not is_sequence and tag <= _LAST_TAG:
            raise Undecided
        return tag, is_sequence, offset + 12, length

    def _end_of_sequence(self, offset: int) -> int:
        """Where a sequence of undefined length ends whose first item begins at `offset`."""
        enclosing = [_Within.SEQUENCE]  # what encloses the present place, outermost first
        while enclosing:
            self.steps += 1
            if self.steps > _MOST_STEPS:
                raise CannotUnderstand(TOO_MUCH)
            if enclosing[-1] is _Within.SEQUENCE:
                offset, step = self._step_in_sequence(offset)
            else:
                offset, step = self._step_in_item(offset)
            if step is _END:
                enclosing.pop()
            elif step is not None:
                enclosing.append(step)
                if len(enclosing) > 2 * self.maximum_nesting:  # a sequence and an item for each level
                    raise CannotUnderstand(TOO_DEEP)
        return offset

    def _step_in_sequence(self, offset: int) -> tuple[int, "_Within | None"]:
        """The next place, and what begins or ends there: an item of undefined length begins, the sequence ends."""
        group, element, length = self.encoding.long.unpack_from(self.data, offset)
        tag = group << 16 | element
        if tag == _ITEM:
            return (offset + 8, _Within.ITEM) if length == _UNDEFINED else (offset + 8 + length, None)
        if tag == _SEQUENCE_END:
            return offset + 8, _END
        raise Undecided

    def _step_in_item(self, offset: int) -> tuple[int, "_Within | None"]:
        """The next place, and what begins or ends there: a sequence of undefined length begins, the item ends."""
        tag, _, value_at, length = self._element(offset)
        if tag == _ITEM_END:
            return offset + 8, _END
        return (value_at, _Within.SEQUENCE) if length == _UNDEFINED else (value_at + length, None)

    def _has_plane(self) -> bool:
        return all(
            numbers_of(self.values.get(attribute.tag, b""), attribute) is not None
            for attribute in (ORIENTATION, POSITION)
        )


@lru_cache(maxsize=64)
def _encodings(character_set: bytes) -> list[str]:
    """Python's names of the character sets, as pydicom finds them."""
    element = RawDataElement(BaseTag(_CHARACTER_SET), "CS", len(character_set), character_set, 0, False, True)
    try:
        return convert_encodings(convert_raw_data_element(element).value)
    except Exception as error:  # its own parser decides what becomes of a broken one
        raise Undecided from error
