"""What is looked at in an A-ASSOCIATE-RQ before a library decodes it: who asks, and how many items it lists.

Source: PS3.8 9.3.2 (the PDU), 9.3.2.2 (presentation contexts), D.3 and PS3.7 D.3.3 (user information).
"""

import struct
from typing import Final, NamedTuple

from node.receiving.pdu import PDU_HEADER, InvalidPdu, PduType

_FIXED: Final = struct.Struct(">HH16s16s32x")  # protocol version, reserved, called and calling AE title, reserved
_ITEM_HEADER: Final = struct.Struct(">BxH")  # type, length of what follows
_PRESENTATION_CONTEXT: Final = 0x20
_USER_INFORMATION: Final = 0x50
# Its sub-items begin behind the context's ID and three reserved bytes.
_CONTEXT_ID_BYTES: Final = 4

HEAD_BYTES: Final = PDU_HEADER.size + _FIXED.size  # up to the first item
# 128 presentation contexts with their abstract syntax and the 63 transfer syntaxes of PS3.6, and for each a role
# selection and both kinds of extended negotiation, are 8,704 items. pynetdicom decodes 8,320 in 0.14 s.
MOST_ITEMS: Final = 9_000


class Titles(NamedTuple):
    """As the peer wrote them, with their padding; what is no ASCII is replaced."""

    calling: str
    called: str


def titles(request: memoryview) -> Titles:
    """The AE titles of a request of which at least `HEAD_BYTES` are there."""
    _, _, called, calling = _FIXED.unpack_from(request, PDU_HEADER.size)
    return Titles(*(title.decode("ascii", errors="replace") for title in (calling, called)))


def without_items(request: memoryview) -> bytes:
    """The request as if nothing followed its titles: enough to refuse it."""
    return PDU_HEADER.pack(PduType.ASSOCIATE_RQ, _FIXED.size) + request[PDU_HEADER.size : HEAD_BYTES]


def check_items(request: memoryview) -> None:
    """Raise InvalidPdu when a whole request lists more items than any honest one."""
    count, at = 0, HEAD_BYTES
    while at + _ITEM_HEADER.size <= len(request):
        kind, length = _ITEM_HEADER.unpack_from(request, at)
        count += 1
        if count > MOST_ITEMS:
            raise InvalidPdu(f"an association request with more than {MOST_ITEMS} items")
        # one step into what holds items, over everything else
        at += _ITEM_HEADER.size
        if kind == _PRESENTATION_CONTEXT:
            at += min(length, _CONTEXT_ID_BYTES)
        elif kind != _USER_INFORMATION:
            at += length
