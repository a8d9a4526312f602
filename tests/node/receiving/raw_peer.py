"""A peer that sends whatever bytes a test wants, over one association that it opened with them."""

import itertools
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import build_context

from node.part10 import IMPLEMENTATION_CLASS_UID
from node.receiving.pdu import COMMAND, LAST, PDU_HEADER, PDV_HEADER, PduType
from node.storage_contexts import VERIFICATION
from tests.node.network.objects import EXPLICIT, MR
from tests.node.network.peers import DEADLINE_S, LOOPBACK, NODE, SCANNER

RELEASE_RQ: Final = PDU_HEADER.pack(PduType.RELEASE_RQ, 4) + bytes(4)
C_STORE, C_ECHO, C_CANCEL = 0x0001, 0x0030, 0x0FFF
MR_CONTEXT, ECHO_CONTEXT = 1, 3

Contexts = Mapping[int, tuple[str, str]]  # context ID -> SOP class, transfer syntax
ONE_CONTEXT: Final[Contexts] = {
    MR_CONTEXT: (MR, EXPLICIT),
    ECHO_CONTEXT: (str(VERIFICATION), str(ExplicitVRLittleEndian)),
}


@dataclass(frozen=True)
class Pdv:
    """One presentation data value item, as it goes into a PDU."""

    context_id: int
    control: int
    fragment: bytes

    def encode(self) -> bytes:
        return PDV_HEADER.pack(len(self.fragment) + 2, self.context_id, self.control) + self.fragment


def pdu(*pdvs: Pdv) -> bytes:
    content = b"".join(pdv.encode() for pdv in pdvs)
    return PDU_HEADER.pack(PduType.P_DATA_TF, len(content)) + content


def command_set(elements: Mapping[int, bytes]) -> bytes:
    body = b"".join(struct.pack("<HHL", 0, element, len(value)) + value for element, value in sorted(elements.items()))
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def uid(text: str) -> bytes:
    value = text.encode()
    return value + b"\0" * (len(value) % 2)


def short(number: int) -> bytes:
    return struct.pack("<H", number)


def store_command(sop_instance_uid: str, *, message_id: int = 1, sop_class_uid: str = MR) -> bytes:
    return command_set(
        {
            0x0002: uid(sop_class_uid),
            0x0100: short(C_STORE),
            0x0110: short(message_id),
            0x0700: short(0),
            0x0800: short(1),
            0x1000: uid(sop_instance_uid),
        }
    )


def echo_command(message_id: int = 1) -> bytes:
    return command_set(
        {
            0x0002: uid(str(VERIFICATION)),
            0x0100: short(C_ECHO),
            0x0110: short(message_id),
            0x0800: short(0x0101),
        }
    )


def cancel_command(message_id: int) -> bytes:
    return command_set({0x0100: short(C_CANCEL), 0x0120: short(message_id), 0x0800: short(0x0101)})


def store_message(
    sop_instance_uid: str, data_set: bytes, *, message_id: int = 1, context_id: int = MR_CONTEXT
) -> bytes:
    """Command and data set, each in one PDV and PDU."""
    command = store_command(sop_instance_uid, message_id=message_id)
    return pdu(Pdv(context_id, COMMAND | LAST, command)) + pdu(Pdv(context_id, LAST, data_set))


def association_request(contexts: Contexts = ONE_CONTEXT, *, calling: str = SCANNER) -> bytes:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = calling, NODE
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16384
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    primitive.user_information = [length, implementation]
    offered = []
    for context_id, (sop_class_uid, syntax) in contexts.items():
        context = build_context(sop_class_uid, syntax)
        context.context_id = context_id
        offered.append(context)
    primitive.presentation_context_definition_list = offered
    request = A_ASSOCIATE_RQ()
    request.from_primitive(primitive)
    return bytes(request.encode())


class RawPeer:
    """An open connection to the node."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((LOOPBACK, port), timeout=DEADLINE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_pdu(self) -> tuple[int, bytes] | None:
        """Type and content; None at the end of the stream."""
        header = self._read(PDU_HEADER.size)
        if len(header) < PDU_HEADER.size:
            return None
        pdu_type, length = PDU_HEADER.unpack(header)
        return pdu_type, self._read(length)

    def read_response(self) -> dict[int, bytes]:
        """The elements of the next response's command set."""
        got = self.read_pdu()
        assert got is not None, "the node closed the connection"
        pdu_type, content = got
        assert pdu_type == PduType.P_DATA_TF, f"a PDU of type {pdu_type}"
        return command_elements(content[PDV_HEADER.size :])

    def statuses(self, count: int) -> list[int]:
        return [int.from_bytes(self.read_response()[0x0900], "little") for _ in range(count)]

    def end(self) -> list[int]:
        """The types of all PDUs until the node closes the connection."""
        types = []
        while (got := self.read_pdu()) is not None:
            types.append(got[0])
        return types

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except ConnectionResetError:
                break
            if not piece:
                break
            data += piece
        return data


def command_elements(content: bytes) -> dict[int, bytes]:
    elements, at = {}, 0
    while at < len(content):
        _, element, length = struct.unpack_from("<HHL", content, at)
        elements[element] = content[at + 8 : at + 8 + length]
        at += 8 + length
    return elements


@contextmanager
def connected(port: int) -> Iterator[RawPeer]:
    peer = RawPeer(port)
    with peer.socket:
        yield peer


@contextmanager
def associated(port: int, contexts: Contexts = ONE_CONTEXT) -> Iterator[RawPeer]:
    with connected(port) as peer:
        peer.send(association_request(contexts))
        got = peer.read_pdu()
        assert got is not None
        assert got[0] == PduType.ASSOCIATE_AC
        yield peer


def fragments(content: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The content cut at these places; equal cuts give empty fragments."""
    places = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    return [content[begin:end] for begin, end in itertools.pairwise(places)]
