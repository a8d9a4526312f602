"""Mutations of encoded data sets: of bytes anywhere, and of what a parser relies on."""

import random
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Final

from pydicom.uid import UID

from tests.fuzz.seeds import Seed, deflated

_MOST_MUTATIONS: Final = 4
_HEAD_BYTES: Final = 3000  # where the needed elements are; most mutations go there
_INTERESTING_LENGTHS: Final = (
    0,
    1,
    2,
    3,
    7,
    8,
    0xFE,
    0xFF,
    0xFFFE,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
)
_UNDEFINED: Final = 0xFFFFFFFF
_VRS: Final = (
    *b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split(),
    *(b"\0\0", b"??", b"\xff\xff", b"sq"),
)
_LONG_VRS: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_CHARACTER_SETS: Final = (
    b"ISO_IR 100",
    b"ISO_IR 192",
    b"GB18030",
    b"\\ISO 2022 IR 87",
    b"ISO 2022 IR 13\\ISO 2022 IR 87",
    b"nonsense",
    b"\\\\\\\\",
    b"\x1b$B\x00\xff",
    b"utf-8",
    b"undefined",
    b"hex",
    b"idna",
)
_NEEDED_TAGS: Final = (0x00080005, 0x00080016, 0x00080018, 0x00100010, 0x0020000D, 0x0020000E, 0x00200032, 0x52009230)
_DEPTHS: Final = (1, 2, 5, 31, 32, 33, 60, 100, 300, 1100, 5000)

Mutation = Callable[[bytearray, "Layout", random.Random], None]


class Layout:
    """How a data set is encoded, and where its top-level elements begin as far as a simple walk can tell."""

    def __init__(self, data: bytes | bytearray, transfer_syntax_uid: str) -> None:
        syntax = UID(transfer_syntax_uid)
        self.explicit = not syntax.is_implicit_VR
        self.order = "<" if syntax.is_little_endian else ">"
        self.offsets = self._walk(data)

    def _walk(self, data: bytes | bytearray) -> list[int]:
        offsets, at = [], 0
        while at + 12 <= len(data) and len(offsets) < 200:
            offsets.append(at)
            length, size = self._length(data, at)
            at += size + (0 if length == _UNDEFINED else length)  # into a sequence of undefined length
        return offsets or [0]

    def _length(self, data: bytes | bytearray, at: int) -> tuple[int, int]:
        """Length of the value, and of what goes before it."""
        is_item = data[at : at + 2] in (b"\xfe\xff", b"\xff\xfe")
        if self.explicit and not is_item:
            if bytes(data[at + 4 : at + 6]) in _LONG_VRS:
                return struct.unpack_from(f"{self.order}L", data, at + 8)[0], 12
            return struct.unpack_from(f"{self.order}H", data, at + 6)[0], 8
        return struct.unpack_from(f"{self.order}L", data, at + 4)[0], 8

    def header(self, tag: int, vr: bytes, length: int) -> bytes:
        head = struct.pack(f"{self.order}HH", tag >> 16, tag & 0xFFFF)
        if not self.explicit or tag >> 16 == 0xFFFE:
            return head + struct.pack(f"{self.order}L", length & _UNDEFINED)
        if vr in _LONG_VRS:
            return head + vr + b"\0\0" + struct.pack(f"{self.order}L", length & _UNDEFINED)
        return head + vr + struct.pack(f"{self.order}H", length & 0xFFFF)


def mutated(seed: Seed, others: Sequence[Seed], rng: random.Random) -> bytes:
    """The seed's data set with one to a few mutations; of a deflated one mostly below the compression."""
    syntax = UID(seed.transfer_syntax_uid)
    data_set = seed.data_set
    below = syntax.is_deflated and rng.random() < 0.8
    if below:
        data_set = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data_set, _HEAD_BYTES * 8)
    data = bytearray(data_set)
    for _ in range(rng.randint(1, _MOST_MUTATIONS)):
        layout = Layout(data, seed.transfer_syntax_uid)
        if rng.random() < 0.1:
            _splice(data, rng.choice(others).data_set, rng)
        else:
            rng.choice(_MUTATIONS)(data, layout, rng)
    return deflated(bytes(data)) if below else bytes(data)


def _place(data: bytearray, rng: random.Random) -> int:
    return rng.randrange(max(1, min(len(data), _HEAD_BYTES) if rng.random() < 0.9 else len(data)))


def _flip_bits(data: bytearray, _: Layout, rng: random.Random) -> None:
    for _number in range(rng.choice((1, 1, 1, 2, 8))):
        if data:
            data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _write_bytes(data: bytearray, _: Layout, rng: random.Random) -> None:
    at, count = _place(data, rng), rng.choice((1, 2, 4, 8, 64))
    data[at : at + count] = (
        rng.choice((b"\0", b"\xff", b"\x7f", b"\x80", b"\\", b"\x1b", bytes([rng.randrange(256)]))) * count
    )


def _truncate(data: bytearray, _: Layout, rng: random.Random) -> None:
    del data[_place(data, rng) :]


def _delete(data: bytearray, _: Layout, rng: random.Random) -> None:
    at = _place(data, rng)
    del data[at : at + rng.choice((1, 2, 3, 4, 8, 12, 100))]


def _repeat(data: bytearray, _: Layout, rng: random.Random) -> None:
    at, count = _place(data, rng), rng.choice((1, 2, 8, 40, 400))
    data[at:at] = data[at : at + count] * rng.choice((1, 1, 2, 20))


def _splice(data: bytearray, other: bytes, rng: random.Random) -> None:
    at, begin = _place(data, rng), _place(bytearray(other), rng)
    piece = other[begin : begin + rng.choice((4, 20, 100, 1000))]
    data[at : at + (len(piece) if rng.random() < 0.5 else 0)] = piece


def _change_length(data: bytearray, layout: Layout, rng: random.Random) -> None:
    at = rng.choice(layout.offsets)
    if at + 12 > len(data):
        return
    length, size = layout._length(data, at)
    new = rng.choice(
        (*_INTERESTING_LENGTHS, _UNDEFINED, length + 1, length + 2, max(0, length - 1), max(0, length - 2))
    )
    width = "H" if layout.explicit and size == 8 and data[at : at + 2] not in (b"\xfe\xff", b"\xff\xfe") else "L"
    struct.pack_into(
        f"{layout.order}{width}",
        data,
        at + size - (2 if width == "H" else 4),
        new & (0xFFFF if width == "H" else _UNDEFINED),
    )


def _change_vr(data: bytearray, layout: Layout, rng: random.Random) -> None:
    at = rng.choice(layout.offsets)
    data[at + 4 : at + 6] = rng.choice(_VRS)


def _change_tag(data: bytearray, layout: Layout, rng: random.Random) -> None:
    at, tag = (
        rng.choice(layout.offsets),
        rng.choice((*_NEEDED_TAGS, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0, 0x00020010, 0x7FE00010)),
    )
    data[at : at + 4] = struct.pack(f"{layout.order}HH", tag >> 16, tag & 0xFFFF)


def _swap_elements(data: bytearray, layout: Layout, rng: random.Random) -> None:
    if len(layout.offsets) < 3:
        return
    first = rng.randrange(len(layout.offsets) - 2)
    a, b, c = layout.offsets[first : first + 3]
    data[a:c] = data[b:c] + data[a:b]


def _insert_element(data: bytearray, layout: Layout, rng: random.Random) -> None:
    tag, vr = rng.choice(_NEEDED_TAGS), rng.choice(_VRS)
    value = rng.choice((b"", b"1.2.3", b"1\\2\\3", b"nan\\inf\\1e400", b"\xff" * 10, b"9" * 70, b"\0" * 3000))
    at = rng.choice(layout.offsets)
    data[at:at] = layout.header(tag, vr, len(value)) + value


def _nest(data: bytearray, layout: Layout, rng: random.Random) -> None:
    """Sequences within sequences, of defined or undefined length, closed or not."""
    depth, defined = rng.choice(_DEPTHS), rng.random() < 0.3
    tag = rng.choice((0x00081110, 0x00081140, 0x00091001, 0x52009229, 0x52009230, 0x00280000))
    length = rng.choice((0, 8, 0x7FFFFFFF)) if defined else _UNDEFINED
    level = layout.header(tag, rng.choice((b"SQ", b"SQ", b"SQ", b"UN")), length) + layout.header(
        0xFFFEE000, b"", length
    )
    closing = layout.header(0xFFFEE00D, b"", 0) + layout.header(0xFFFEE0DD, b"", 0)
    at = rng.choice(layout.offsets)
    data[at:at] = level * depth + (closing * depth if rng.random() < 0.6 else b"")


def _change_character_set(data: bytearray, layout: Layout, rng: random.Random) -> None:
    value = rng.choice(_CHARACTER_SETS)
    value += b" " * (len(value) % 2)
    data[0:0] = layout.header(0x00080005, b"CS", len(value)) + value


_MUTATIONS: Final[tuple[Mutation, ...]] = (
    _flip_bits,
    _flip_bits,
    _write_bytes,
    _truncate,
    _delete,
    _repeat,
    _change_length,
    _change_length,
    _change_vr,
    _change_tag,
    _swap_elements,
    _insert_element,
    _nest,
    _change_character_set,
)
