"""The shape of protocol data units, and the limits on them.  Source: PS3.8 9.3 (PDUs), D.1 (length), E.2 (PDVs)."""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final


class PduType(IntEnum):
    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


PDU_TYPES: Final = frozenset(PduType)
PDU_HEADER: Final = struct.Struct(">BxL")  # type, length of what follows
PDV_HEADER: Final = struct.Struct(">LBB")  # length of what follows, presentation context, message control header
PDV_CONTROL_BYTES: Final = 2  # context and control header count as content of the item

# Bits of the message control header
COMMAND: Final = 0x01
LAST: Final = 0x02

# 128 presentation contexts of the longest SOP Class UIDs with all 63 transfer syntaxes of PS3.6 take 216,767 bytes,
# with roles 221,765: that leaves 40 kB for a user identity (a Kerberos ticket or SAML assertion has 2 to 20 kB).
LONGEST_ASSOCIATION_PDU: Final = 1 << 18
LONGEST_OTHER_PDU: Final = 1 << 10  # four bytes by the standard


class InvalidPdu(Exception):
    """The peer broke the protocol: the association is aborted. Messages quote nothing that it sent."""


def length_limit(pdu_type: int, maximum_pdu_bytes: int) -> int:
    """The longest content of a PDU that is read; `maximum_pdu_bytes` is what was negotiated for P-DATA-TF."""
    if pdu_type == PduType.P_DATA_TF:
        return maximum_pdu_bytes
    return LONGEST_ASSOCIATION_PDU if pdu_type == PduType.ASSOCIATE_RQ else LONGEST_OTHER_PDU


def p_data(content: bytes, *, context_id: int, kind: int, maximum_pdu_bytes: int) -> Iterator[bytes]:
    """P-DATA-TF PDUs of one PDV each for a command set (`kind` COMMAND) or data set (0).

    `maximum_pdu_bytes` is what the receiver of the PDUs takes; 0: any length.
    """
    room = max(1, maximum_pdu_bytes - PDV_HEADER.size) if maximum_pdu_bytes else len(content) or 1
    for begin in range(0, len(content) or 1, room):
        piece = content[begin : begin + room]
        control = kind | (LAST if begin + room >= len(content) else 0)
        yield (
            PDU_HEADER.pack(PduType.P_DATA_TF, PDV_HEADER.size + len(piece))
            + PDV_HEADER.pack(PDV_CONTROL_BYTES + len(piece), context_id, control)
            + piece
        )
