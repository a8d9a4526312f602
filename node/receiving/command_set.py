"""The command set of C-STORE, read and written as bytes.

Command sets are implicit VR little endian (PS3.7 6.3.1); the elements of C-STORE-RQ and -RSP are those of PS3.7 9.3.1.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_ELEMENT: Final = struct.Struct("<HHL")
_SHORT: Final = struct.Struct("<H")
_LONG: Final = struct.Struct("<L")

_AFFECTED_SOP_CLASS_UID: Final = 0x0002
_COMMAND_FIELD: Final = 0x0100
_MESSAGE_ID: Final = 0x0110
_MESSAGE_ID_RESPONDED_TO: Final = 0x0120
_DATA_SET_TYPE: Final = 0x0800
_STATUS: Final = 0x0900
_ERROR_COMMENT: Final = 0x0902
_AFFECTED_SOP_INSTANCE_UID: Final = 0x1000

_C_STORE_RQ: Final = 0x0001
_C_STORE_RSP: Final = 0x8001
_NO_DATA_SET: Final = 0x0101
_LONGEST_UID: Final = 64  # PS3.5 9.1
_LONGEST_COMMENT: Final = 64  # VR LO


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """A C-STORE-RQ. The UIDs are whatever the peer wrote, without padding; empty where it wrote none."""

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    has_data_set: bool


def parse_store_request(command_set: bytes | bytearray) -> StoreRequest | None:
    """The request, or None: another command, or one that cannot be read for certain."""
    values = dict(_elements(command_set))
    command, message_id, data_set_type = (
        _short(values.get(element)) for element in (_COMMAND_FIELD, _MESSAGE_ID, _DATA_SET_TYPE)
    )
    if command != _C_STORE_RQ or message_id is None or data_set_type is None:
        return None
    return StoreRequest(
        message_id=message_id,
        sop_class_uid=_uid(values.get(_AFFECTED_SOP_CLASS_UID, b"")),
        sop_instance_uid=_uid(values.get(_AFFECTED_SOP_INSTANCE_UID, b"")),
        has_data_set=data_set_type != _NO_DATA_SET,
    )


def store_response(request: StoreRequest, status: int, comment: str = "") -> bytes:
    """The command set of the C-STORE-RSP; `comment` is cut to what its VR holds.  Source: PS3.7 9.3.1.2, C."""
    elements = b"".join(
        _ELEMENT.pack(0x0000, element, len(value)) + value
        for element, value in (
            (_AFFECTED_SOP_CLASS_UID, _text(request.sop_class_uid[:_LONGEST_UID], b"\0")),
            (_COMMAND_FIELD, _SHORT.pack(_C_STORE_RSP)),
            (_MESSAGE_ID_RESPONDED_TO, _SHORT.pack(request.message_id)),
            (_DATA_SET_TYPE, _SHORT.pack(_NO_DATA_SET)),
            (_STATUS, _SHORT.pack(status)),
            *(((_ERROR_COMMENT, _text(comment[:_LONGEST_COMMENT], b" ")),) if comment else ()),
            (_AFFECTED_SOP_INSTANCE_UID, _text(request.sop_instance_uid[:_LONGEST_UID], b"\0")),
        )
    )
    return _ELEMENT.pack(0x0000, 0x0000, _LONG.size) + _LONG.pack(len(elements)) + elements


def _elements(command_set: bytes | bytearray) -> Iterator[tuple[int, bytes]]:
    """Element number and value of each element; those of a broken command set as far as they can be read."""
    offset = 0
    while offset + _ELEMENT.size <= len(command_set):
        group, element, length = _ELEMENT.unpack_from(command_set, offset)
        offset += _ELEMENT.size
        if group != 0x0000 or offset + length > len(command_set):
            return
        yield element, bytes(command_set[offset : offset + length])
        offset += length


def _short(value: bytes | None) -> int | None:
    return _SHORT.unpack(value)[0] if value is not None and len(value) == _SHORT.size else None


def _uid(value: bytes) -> str:
    return value.rstrip(b"\0 ").decode("ascii", errors="replace")


def _text(text: str, padding: bytes) -> bytes:
    value = text.encode("ascii", errors="replace")
    return value + padding * (len(value) % 2)
