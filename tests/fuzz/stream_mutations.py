"""Mutations of what a peer sends over an association: of PDUs, PDVs, command sets, and of bytes anywhere.

Source: PS3.8 9.3 (PDUs), 9.3.5.1 (PDVs), PS3.7 6.3.1 and 9.3.1 (command sets).
"""

import random
import struct
from collections.abc import Callable
from typing import Final

_P_DATA: Final = 4
_HEADER: Final = struct.Struct(">BBL")
_PDV: Final = struct.Struct(">LBB")
_LENGTHS: Final = (0, 1, 2, 5, 6, 67, 68, 0xFFFF, 0x10000, 1 << 20, (1 << 20) + 1, 300_000_000, 0x7FFFFFFF, 0xFFFFFFFF)
_STRAYS: Final = (
    b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00",  # A-RELEASE-RQ
    b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00",  # A-RELEASE-RP, which nobody asked for
    b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00",  # A-ABORT
    b"\x03\x00\x00\x00\x00\x04\x00\x01\x01\x01",  # A-ASSOCIATE-RJ
    b"\x04\x00\x00\x00\x00\x00",  # P-DATA-TF without a PDV
    b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x03",  # an empty command set
    b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x02",  # an empty data set
    b"\x63\x00\x00\x00\x00\x04\x00\x00\x00\x00",  # no PDU at all
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS greeting
)
_UIDS: Final = (
    b"../../../../tmp/x",
    b"1.2.840.10008.1.1",
    b"",
    b"1." * 40,
    b"\0" * 64,
    b"1.02.3",
    b"\xff" * 20,
    b"2.25.10001",
)
_MOST_MUTATIONS: Final = 3

Pdus = list[bytes]


def split(stream: bytes) -> Pdus:
    """The PDUs of a stream; what is left behind the last whole one comes as it is."""
    pdus, at = [], 0
    while at + _HEADER.size <= len(stream):
        length = _HEADER.unpack_from(stream, at)[2]
        pdus.append(stream[at : at + _HEADER.size + length])
        at += _HEADER.size + length
    return [*pdus, stream[at:]] if at < len(stream) else pdus


def mutated(stream: bytes, rng: random.Random) -> tuple[bytes, bytes]:
    """The association request and what follows it, one or both mutated."""
    pdus = split(stream)
    for _ in range(rng.randint(1, _MOST_MUTATIONS)):
        if rng.random() < 0.2:
            pdus[0] = _bytes_mutated(pdus[0], rng)
        elif len(pdus) > 1:
            rng.choice(_MUTATIONS)(pdus, rng.randrange(1, len(pdus)), rng)
    rest = b"".join(pdus[1:])
    return pdus[0], _bytes_mutated(rest, rng) if rng.random() < 0.2 else rest


def _bytes_mutated(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    if not data:
        return content
    at = rng.randrange(min(len(data), rng.choice((80, 1000, len(data)))))
    match rng.randrange(6):
        case 0:
            data[at] ^= 1 << rng.randrange(8)
        case 1:
            data[at : at + 4] = struct.pack(">L", rng.choice(_LENGTHS))
        case 2:
            del data[at:]
        case 3:
            del data[at : at + rng.choice((1, 2, 6, 100))]
        case 4:
            data[at:at] = rng.choice((b"\0", b"\xff", b"\x04\0", bytes(data[:50]), b"\0" * 5000))
        case _:
            data[at : at + 2] = struct.pack(">H", rng.choice(_LENGTHS) & 0xFFFF)
    return bytes(data)


def _drop(pdus: Pdus, at: int, _: random.Random) -> None:
    if len(pdus) > 2:
        del pdus[at]


def _repeat(pdus: Pdus, at: int, rng: random.Random) -> None:
    pdus[at:at] = [pdus[at]] * rng.choice((1, 1, 2, 30))


def _swap(pdus: Pdus, at: int, rng: random.Random) -> None:
    other = rng.randrange(1, len(pdus))
    pdus[at], pdus[other] = pdus[other], pdus[at]


def _repeat_request(pdus: Pdus, at: int, _: random.Random) -> None:
    pdus.insert(at, pdus[0])


def _insert_stray(pdus: Pdus, at: int, rng: random.Random) -> None:
    pdus.insert(at, rng.choice(_STRAYS))


def _change_header(pdus: Pdus, at: int, rng: random.Random) -> None:
    if len(pdus[at]) < _HEADER.size:
        return
    kind, reserved, length = _HEADER.unpack_from(pdus[at])
    if rng.random() < 0.3:
        kind = rng.randrange(256)
    else:
        length = rng.choice((*_LENGTHS, length + 1, max(0, length - 1)))
    pdus[at] = _HEADER.pack(kind, reserved, length) + pdus[at][_HEADER.size :]


def _change_pdv(pdus: Pdus, at: int, rng: random.Random) -> None:
    """Length, context or control header of the first fragment of a PDU."""
    pdu = pdus[at]
    if len(pdu) < _HEADER.size + _PDV.size:
        return
    length, context, control = _PDV.unpack_from(pdu, _HEADER.size)
    match rng.randrange(3):
        case 0:
            length = rng.choice((*_LENGTHS, length + 1, max(0, length - 1)))
        case 1:
            context = rng.choice((0, 2, 3, 5, 255, rng.randrange(256)))
        case _:
            control = rng.choice((0, 1, 2, 3, 4, 7, 255))
    pdus[at] = pdu[: _HEADER.size] + _PDV.pack(length, context, control) + pdu[_HEADER.size + _PDV.size :]


def _fragment(pdus: Pdus, at: int, rng: random.Random) -> None:
    """The same content in more fragments, each a PDU of its own or several in one: no fault at all."""
    pdu = pdus[at]
    if len(pdu) < _HEADER.size + _PDV.size + 2 or pdu[0] != _P_DATA:
        return
    length, context, control = _PDV.unpack_from(pdu, _HEADER.size)
    content = pdu[_HEADER.size + _PDV.size : _HEADER.size + 4 + length]
    rest = pdu[_HEADER.size + 4 + length :]
    size = rng.choice((1, 2, 7, 100, 1000))
    pieces = [content[begin : begin + size] for begin in range(0, min(len(content), 200 * size), size)]
    if len(content) > 200 * size:
        pieces.append(content[200 * size :])
    fragments = [
        _PDV.pack(len(piece) + 2, context, control if piece is pieces[-1] else control & ~2) + piece for piece in pieces
    ]
    groups = [b"".join(fragments)] if rng.random() < 0.5 else fragments
    pdus[at : at + 1] = [_HEADER.pack(_P_DATA, 0, len(group)) + group for group in groups]
    if rest:
        pdus.insert(at + len(groups), _HEADER.pack(_P_DATA, 0, len(rest)) + rest)


def _change_command(pdus: Pdus, at: int, rng: random.Random) -> None:
    """One element of a command set: its length, its value, or gone."""
    pdu = pdus[at]
    start = _HEADER.size + _PDV.size
    if len(pdu) < start + 8 or not pdu[start - 1] & 1:
        return
    elements = _elements(pdu[start:])
    chosen = rng.randrange(len(elements))
    element, value = elements[chosen]
    match rng.randrange(5):
        case 0:
            del elements[chosen]
        case 1:
            elements[chosen] = element, rng.choice(_UIDS)
        case 2:
            elements[chosen] = element, struct.pack("<H", rng.choice((0, 1, 0x0101, 0x0020, 0x0030, 0x8001, 0xFFFF)))
        case 3:
            elements[chosen] = element, value * rng.choice((0, 2, 100, 3000))
        case _:
            elements.insert(chosen, (rng.randrange(0x10000), rng.randbytes(rng.randrange(40))))
    command = b"".join(struct.pack("<HHL", 0, number, len(value)) + value for number, value in elements)
    pdv = _PDV.pack(len(command) + 2, pdu[start - 2], pdu[start - 1]) + command
    pdus[at] = _HEADER.pack(_P_DATA, 0, len(pdv)) + pdv


def _elements(command: bytes) -> list[tuple[int, bytes]]:
    elements, at = [], 0
    while at + 8 <= len(command):
        _, element, length = struct.unpack_from("<HHL", command, at)
        elements.append((element, command[at + 8 : at + 8 + length]))
        at += 8 + length
    return elements


_MUTATIONS: Final[tuple[Callable[[Pdus, int, random.Random], None], ...]] = (
    _drop,
    _repeat,
    _swap,
    _repeat_request,
    _insert_stray,
    _change_header,
    _change_header,
    _change_pdv,
    _change_pdv,
    _fragment,
    _fragment,
    _change_command,
    _change_command,
)
