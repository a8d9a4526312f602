"""C-STORE requests as they go over the wire, encoded once: only their identifiers change from instance to instance."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydicom.uid import MRImageStorage

from bench.instances import SEED, Identifiers, InstanceSize, data_set_bytes, mr_image

CONTEXT_ID = 1
TEMPLATES = 24  # images in memory per size: one series
_PLACEHOLDER = Identifiers.numbered(999_999, 999, 999_999)

# PS3.8 9.3: a type of PDU; E.2: control header of a PDV (bit 0: command, bit 1: last)
P_DATA = 0x04
_COMMAND, _LAST = 0x01, 0x02
PDU_HEADER = struct.Struct(">BxL")
PDV_HEADER = struct.Struct(">LBB")
# PS3.7 E.1: command elements
ELEMENT = struct.Struct("<HHL")
SHORT = struct.Struct("<H")


@dataclass(frozen=True, slots=True)
class Template:
    """One C-STORE request as it goes over the wire, and where its changing parts are."""

    message: bytes
    message_id_at: int
    sop_instance_uid_at: tuple[int, ...]  # in the command set and in the data set
    series_instance_uid_at: int
    study_instance_uid_at: int
    patient_id_at: int


class Payload:
    """The images of one size, encoded once; their messages for a peer's PDU length are made when first asked for."""

    def __init__(self, size: InstanceSize) -> None:
        rng = np.random.default_rng(SEED)
        self.size = size
        self.data_sets = [
            data_set_bytes(mr_image(_PLACEHOLDER, size, number=number, rng=rng)) for number in range(TEMPLATES)
        ]
        self._templates: dict[int, list[Template]] = {}

    def templates(self, maximum_pdu: int) -> list[Template]:
        if maximum_pdu not in self._templates:
            self._templates[maximum_pdu] = [_template(data_set, maximum_pdu) for data_set in self.data_sets]
        return self._templates[maximum_pdu]


def _template(data_set: bytes, maximum_pdu: int) -> Template:
    command = _store_request(_PLACEHOLDER.sop_instance_uid)
    message = b"".join((*_p_data(command, _COMMAND, maximum_pdu), *_p_data(data_set, 0, maximum_pdu)))

    def places(text: str, expected: int) -> tuple[int, ...]:
        found = tuple(_occurrences(message, text.encode()))
        if len(found) != expected:
            raise ValueError(f"{text} stands {len(found)} times in the message, expected {expected}")
        return found

    return Template(
        message=message,
        message_id_at=message.index(ELEMENT.pack(0x0000, 0x0110, 2)) + ELEMENT.size,
        sop_instance_uid_at=places(_PLACEHOLDER.sop_instance_uid, 2),
        series_instance_uid_at=places(_PLACEHOLDER.series_instance_uid, 1)[0],
        study_instance_uid_at=places(_PLACEHOLDER.study_instance_uid, 1)[0],
        patient_id_at=places(_PLACEHOLDER.patient_id, 1)[0],
    )


def _occurrences(message: bytes, text: bytes) -> Iterator[int]:
    at = message.find(text)
    while at >= 0:
        yield at
        at = message.find(text, at + 1)


def _store_request(sop_instance_uid: str) -> bytes:
    """Source: PS3.7 9.3.1.1; command sets are implicit VR little endian."""

    def uid(value: str) -> bytes:
        return value.encode().ljust(len(value) + len(value) % 2, b"\0")

    elements = b"".join(
        ELEMENT.pack(0x0000, element, len(value)) + value
        for element, value in (
            (0x0002, uid(str(MRImageStorage))),
            (0x0100, SHORT.pack(0x0001)),  # C-STORE-RQ
            (0x0110, SHORT.pack(0)),  # message ID, written over
            (0x0700, SHORT.pack(0)),  # medium priority
            (0x0800, SHORT.pack(0x0001)),  # a data set follows
            (0x1000, uid(sop_instance_uid)),
        )
    )
    return ELEMENT.pack(0x0000, 0x0000, 4) + struct.pack("<L", len(elements)) + elements


def _p_data(content: bytes, kind: int, maximum_pdu: int) -> Iterator[bytes]:
    """P-DATA-TF PDUs of one PDV each, as DCMTK sends them.  Source: PS3.8 9.3.5, annex D.1 for the length."""
    room = maximum_pdu - PDV_HEADER.size
    for begin in range(0, len(content), room):
        piece = content[begin : begin + room]
        control = kind | (_LAST if begin + room >= len(content) else 0)
        yield PDU_HEADER.pack(P_DATA, len(piece) + PDV_HEADER.size)
        yield PDV_HEADER.pack(len(piece) + 2, CONTEXT_ID, control)
        yield piece


class Message:
    """One template in a buffer of its own, that becomes one instance after another."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self.buffer = bytearray(template.message)

    def become(self, identifiers: Identifiers, message_id: int) -> bytearray:
        self._write(self._template.message_id_at, SHORT.pack(message_id))
        for at in self._template.sop_instance_uid_at:
            self._write(at, identifiers.sop_instance_uid.encode())
        self._write(self._template.series_instance_uid_at, identifiers.series_instance_uid.encode())
        self._write(self._template.study_instance_uid_at, identifiers.study_instance_uid.encode())
        self._write(self._template.patient_id_at, identifiers.patient_id.encode())
        return self.buffer

    def _write(self, at: int, value: bytes) -> None:
        self.buffer[at : at + len(value)] = value
