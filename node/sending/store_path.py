"""C-STORE over an association: the bytes of a file go out as they are, PDU headers between them, the answer comes back.

Nothing of the data set is decoded and only one megabyte of it is in memory at a time. The file is read, not mapped: a
file that is cut short while it is sent then breaks one association instead of the process.
Source: PS3.7 9.3.1 and annex E (command set), PS3.8 9.3.5 and annex E (P-DATA-TF, PDV).
"""

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

from node.errors import InputRejected
from node.own_faults import is_own_fault
from node.sending.association import P_DATA_TF, Association
from node.sending.wire import Buffer, ConnectionLost

# The time that an answer may take counts from before the object is on the wire; slower links than this are none.
SLOWEST_LINK_BYTES_PER_S: Final = 1_000_000

_HEADERS: Final = struct.Struct(">BxLLBB")  # PDU type and length; PDV item length, context, message control header
_PDU_HEADER_BYTES: Final = 6
_PDV_ITEM: Final = struct.Struct(">LBB")
_ELEMENT: Final = struct.Struct("<HHL")  # of a command set: implicit little endian, group and element, length
_ITEM_HEADER_BYTES: Final = 6  # of the PDU length: PDV item length, context, message control header
_PDV_HEADER_BYTES: Final = 2  # of the PDV item length: context, message control header
_COMMAND: Final = 0x01
_LAST: Final = 0x02
_READ_BYTES: Final = 1 << 20
# Two buffers each, and those of the command (under 200 bytes) before them: IOV_MAX is 1024.
_FRAGMENTS_PER_CALL: Final = 400

_C_STORE_RQ: Final = 0x0001
_C_STORE_RSP: Final = 0x8001
_MEDIUM_PRIORITY: Final = 0x0000
_WITH_DATA_SET: Final = 0x0001  # anything but 0101H
_LONGEST_UID: Final = 64  # PS3.5 9.1
_LONGEST_RESPONSE: Final = 65_536  # of a command set; a hundred bytes is usual


class AnswerMissing(Exception):
    """The object was on its way when the association was lost: the peer may hold it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """An object to send: which one, and where in which file its encoded data set is (up to the end of the file)."""

    path: Path
    offset: int
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAnswer:
    status: int  # PS3.4 Table B.2-1
    comment: str = ""


def send_object(association: Association, context_id: int, data_set: DataSet) -> StoreAnswer:
    """Store one object in an accepted context and wait for the answer.

    Raises InputRejected when the object cannot be sent, before anything of it went out; OSError when its file cannot be
    read to the end, for the peer then holds nothing; AnswerMissing when the association broke. Closed is the
    association whenever a part went out and no answer came.
    """
    message_id = association.next_message_id()
    command = _request(data_set, message_id)
    with FileIO(data_set.path) as file:
        length = file.seek(0, 2) - data_set.offset
        if length <= 0:
            raise InputRejected("the file holds no data set")
        file.seek(data_set.offset)
        try:
            _send(association, context_id, command, file, length)
            deadline = time.monotonic() + association.peer.timeout_s + length / SLOWEST_LINK_BYTES_PER_S
            return _receive(association, message_id, deadline)
        except BaseException as error:
            association.abort()
            if isinstance(error, ConnectionLost | OSError) and not is_own_fault(error, data_set.path):
                raise AnswerMissing(str(error)) from error
            raise


def _send(association: Association, context_id: int, command: bytes, file: FileIO, length: int) -> None:
    size = association.fragment_bytes
    buffers: list[Buffer] = list(_fragments(memoryview(command), context_id, _COMMAND, size, is_end=True))
    chunk = association.buffer(min(length, size * max(1, min(_FRAGMENTS_PER_CALL, _READ_BYTES // size))))
    while length:
        part = chunk[: min(len(chunk), length)]
        _read_whole(file, part)
        length -= len(part)
        buffers += _fragments(part, context_id, 0, size, is_end=length == 0)
        association.wire.send(buffers, time.monotonic() + association.peer.timeout_s)
        buffers = []


def _fragments(part: memoryview, context_id: int, kind: int, size: int, *, is_end: bool) -> Iterator[Buffer]:
    """Headers and slices of a part of a message, a PDU for each fragment; the last one closes it at its end."""
    whole = _headers(size, context_id, kind)
    last = (len(part) - 1) // size * size
    for start in range(0, last, size):
        yield whole
        yield part[start : start + size]
    yield _headers(len(part) - last, context_id, kind | (_LAST if is_end else 0))
    yield part[last:]


def _headers(size: int, context_id: int, control: int) -> bytes:
    return _HEADERS.pack(P_DATA_TF, size + _ITEM_HEADER_BYTES, size + _PDV_HEADER_BYTES, context_id, control)


def _read_whole(file: FileIO, part: memoryview) -> None:
    filled = 0
    while filled < len(part):
        count = file.readinto(part[filled:])
        if not count:
            raise OSError("the file was cut short while it was sent")
        filled += count


def _request(data_set: DataSet, message_id: int) -> bytes:
    elements = b"".join(
        (
            _uid(0x0002, data_set.sop_class_uid),
            _us(0x0100, _C_STORE_RQ),
            _us(0x0110, message_id),
            _us(0x0700, _MEDIUM_PRIORITY),
            _us(0x0800, _WITH_DATA_SET),
            _uid(0x1000, data_set.sop_instance_uid),
        )
    )
    return _ELEMENT.pack(0, 0, 4) + len(elements).to_bytes(4, "little") + elements


def _us(element: int, value: int) -> bytes:
    return _ELEMENT.pack(0, element, 2) + value.to_bytes(2, "little")


def _uid(element: int, uid: str) -> bytes:
    try:
        value = uid.encode("ascii")
    except UnicodeEncodeError:
        raise InputRejected("cannot be sent: a UID of the object is none (PS3.5 9.1)") from None
    if len(value) > _LONGEST_UID:
        raise InputRejected(f"cannot be sent: a UID of the object has {len(value)} characters (PS3.5 9.1)")
    value += b"\0" * (len(value) % 2)
    return _ELEMENT.pack(0, element, len(value)) + value


def _receive(association: Association, message_id: int, deadline: float) -> StoreAnswer:
    """Wait for the response to one message. Raises ConnectionLost for everything else that a peer may send."""
    command = bytearray()
    while True:
        kind, pdu = association.wire.read_pdu(deadline)
        if kind != P_DATA_TF:
            raise ConnectionLost(_NOT_AN_ANSWER.get(kind, f"the peer sent PDU type 0x{kind:02X}"))
        for control, fragment in _pdvs(pdu):
            if not control & _COMMAND:
                raise ConnectionLost("the peer sent a data set where a response was due")
            command += fragment
            if len(command) > _LONGEST_RESPONSE:
                raise ConnectionLost("the peer's response does not end")
            if control & _LAST:
                return _parsed(command, message_id)


_NOT_AN_ANSWER: Final = {0x05: "the peer released the association", 0x07: "the peer aborted the association"}


def _pdvs(pdu: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Message control header and content of each PDV of a P-DATA-TF PDU."""
    offset = _PDU_HEADER_BYTES
    while offset < len(pdu):
        if offset + _PDV_ITEM.size > len(pdu):
            raise ConnectionLost("the peer sent a broken PDV")
        length, _, control = _PDV_ITEM.unpack_from(pdu, offset)
        end = offset + 4 + length
        if length < _PDV_HEADER_BYTES or end > len(pdu):
            raise ConnectionLost("the peer sent a PDV with a wrong length")
        yield control, pdu[offset + _PDV_ITEM.size : end]
        offset = end


def _parsed(command: bytearray, message_id: int) -> StoreAnswer:
    values: dict[int, bytes] = {}
    offset = 0
    while offset + _ELEMENT.size <= len(command):
        group, element, length = _ELEMENT.unpack_from(command, offset)
        offset += _ELEMENT.size
        if group != 0 or offset + length > len(command):
            raise ConnectionLost("the peer sent a broken command set")
        values[element] = bytes(command[offset : offset + length])
        offset += length
    kind, answered, status = (_number(values.get(element)) for element in (0x0100, 0x0120, 0x0900))
    if kind != _C_STORE_RSP or answered != message_id or status is None:
        raise ConnectionLost("the peer answered something else than this C-STORE request")
    comment = values.get(0x0902, b"").decode("ascii", errors="replace").strip(" \0")
    return StoreAnswer(status=status, comment="".join(one if one.isprintable() else "?" for one in comment))


def _number(value: bytes | None) -> int | None:
    return int.from_bytes(value, "little") if value is not None and len(value) == 2 else None
