"""Where each top-level element of an encoded data set begins and ends; no value is read.

Source: PS3.5 7.1.2 (explicit VR), 7.1.3 (implicit VR), 7.5 (sequences), 6.2.2 note on UN of undefined length.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

_LONG_VRS: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_UNDEFINED: Final = 0xFFFF_FFFF
_ITEM: Final = 0xFFFE_E000
_ITEM_END: Final = 0xFFFE_E00D
_SEQUENCE_END: Final = 0xFFFE_E0DD
_DEEPEST: Final = 64  # sequences within sequences; real objects have under ten
_LONGEST_SHORT_VALUE: Final = 0xFFFE


@dataclass(frozen=True, slots=True)
class Element:
    tag: int  # group << 16 | element
    start: int  # of the whole element, as an offset in the file
    value_start: int
    end: int


@dataclass(frozen=True, slots=True)
class Encoding:
    is_implicit: bool
    is_big: bool

    def element(self, tag: int, vr: str, value: bytes) -> bytes:
        """A whole element. Raises ValueError when the value is too long for its VR's length field."""
        order = ">" if self.is_big else "<"
        head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
        if self.is_implicit:
            return head + struct.pack("<L", len(value)) + value
        if vr.encode() in _LONG_VRS:
            return head + vr.encode() + b"\0\0" + struct.pack(f"{order}L", len(value)) + value
        if len(value) > _LONGEST_SHORT_VALUE:
            raise ValueError(f"a value of {len(value)} bytes is too long for {vr}")
        return head + vr.encode() + struct.pack(f"{order}H", len(value)) + value

    def group_length(self, source: BinaryIO, element: Element, grown: int) -> bytes:
        """A group length element (UL) with so many bytes more."""
        source.seek(element.start)
        content = source.read(element.end - element.start)
        order = ">" if self.is_big else "<"
        try:
            (length,) = struct.unpack(f"{order}L", content[element.value_start - element.start :])
        except struct.error:
            raise ValueError("a group length is broken") from None
        return content[: element.value_start - element.start] + struct.pack(f"{order}L", max(0, length + grown))


def elements(source: BinaryIO, encoding: Encoding) -> Iterator[Element]:
    """The top-level elements from where `source` stands to its end, in strictly ascending order.

    Raises ValueError when an element does not end within the file, or the order is broken.
    """
    start, end = source.tell(), source.seek(0, 2)
    source.seek(start)
    walk = _Walk(source, end)
    last = -1
    while start < end:
        tag, vr, length = walk.head(encoding)
        value_start = source.tell()
        walk.skip(vr, length, encoding, depth=0)
        if tag <= last:
            raise ValueError(f"its elements are out of order at ({tag >> 16:04X},{tag & 0xFFFF:04X})")
        yield Element(tag, start, value_start, source.tell())
        last, start = tag, source.tell()


class _Walk:
    def __init__(self, source: BinaryIO, end: int) -> None:
        self._source = source
        self._end = end

    def head(self, encoding: Encoding) -> tuple[int, bytes, int]:
        """Tag, VR (empty where implicit) and length of the element that begins here."""
        order = ">" if encoding.is_big else "<"
        group, number = struct.unpack(f"{order}HH", self._read(4))
        tag = group << 16 | number
        if encoding.is_implicit or group == _ITEM >> 16:  # item tags have no VR in any encoding
            (length,) = struct.unpack(f"{order}L", self._read(4))
            return tag, b"", length
        vr = self._read(2)
        if not (vr.isalpha() and vr.isupper()):
            raise ValueError(f"element ({group:04X},{number:04X}) has no VR")
        if vr in _LONG_VRS:
            self._read(2)
            (length,) = struct.unpack(f"{order}L", self._read(4))
        else:
            (length,) = struct.unpack(f"{order}H", self._read(2))
        return tag, vr, length

    def skip(self, vr: bytes, length: int, encoding: Encoding, *, depth: int) -> None:
        """Go to the end of a value: of known length, a sequence, or encapsulated pixels."""
        if length != _UNDEFINED:
            position = self._source.tell() + length
            if position > self._end:
                raise ValueError("the data set is cut short")
            self._source.seek(position)
            return
        if depth > _DEEPEST:
            raise ValueError(f"sequences are nested more than {_DEEPEST} deep")
        # a sequence whose VR a sender did not know is implicit VR little endian inside
        inside = Encoding(is_implicit=True, is_big=False) if vr == b"UN" else encoding
        while True:
            tag, _, item_length = self.head(inside)
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise ValueError("a sequence holds something else than items")
            if item_length != _UNDEFINED:
                self.skip(b"", item_length, inside, depth=depth)
                continue
            while True:
                nested_tag, nested_vr, nested_length = self.head(inside)
                if nested_tag == _ITEM_END:
                    break
                self.skip(nested_vr, nested_length, inside, depth=depth + 1)

    def _read(self, count: int) -> bytes:
        content = self._source.read(count)
        if len(content) < count or self._source.tell() > self._end:
            raise ValueError("the data set is cut short")
        return content
