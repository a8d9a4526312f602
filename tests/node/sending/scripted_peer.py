"""A peer on the other end of a pair of sockets: it does what a test says, with the library's own parser as witness."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dsutils import encode
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import build_context

from node.sending.association import Association, Peer
from node.sending.store_path import DataSet
from node.sending.wire import Wire, _PlainTransport
from tests.node.network.objects import EXPLICIT, MR

CONTEXT = (MR, EXPLICIT)
CONTEXT_ID = 1
UID = "2.25.77"


@dataclass
class Arrived:
    """What the peer read of one C-STORE request."""

    command: Dataset = field(default_factory=Dataset)
    data_set: bytes = b""
    longest_pdu: int = 0
    fragments: list[int] = field(default_factory=list)


@contextmanager
def association(
    *, maximum_pdu_bytes: int = 16_384, timeout_s: float = 5.0
) -> Iterator[tuple[Association, socket.socket]]:
    """An association with one context as if negotiated, and the peer's socket."""
    ours, theirs = socket.socketpair()
    answer = A_ASSOCIATE()
    answer.maximum_length_received = maximum_pdu_bytes
    context = build_context(*CONTEXT)
    context.context_id, context.result = CONTEXT_ID, 0x00
    answer.presentation_context_definition_results_list = [context]
    peer = Peer(host="nowhere", port=104, called_ae_title="PEER", calling_ae_title="US", timeout_s=timeout_s)
    made = Association(Wire(_PlainTransport(ours)), peer, [CONTEXT], answer)
    try:
        yield made, theirs
    finally:
        made.abort()
        theirs.close()


@contextmanager
def doing(script: Callable[[], Any]) -> Iterator[None]:
    """Run the peer's part in a thread; an error in it is raised at the end of the block."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            script()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join(20)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def receive_request(peer: socket.socket) -> Arrived:
    """Read one whole C-STORE request, parsed by pynetdicom."""
    arrived = Arrived()
    message = C_STORE_RQ()
    while True:
        pdu = P_DATA_TF()
        content = _read_pdu(peer)
        pdu.decode(content)
        arrived.longest_pdu = max(arrived.longest_pdu, len(content) - 6)
        arrived.fragments += [len(value) - 1 for _, value in pdu.to_primitive().presentation_data_value_list]
        if message.decode_msg(pdu.to_primitive()):
            arrived.command = message.command_set
            assert isinstance(message.data_set, BytesIO)
            arrived.data_set = message.data_set.getvalue()
            return arrived


def response(message_id: int, *, status: int = 0, comment: str = "", **changes: Any) -> bytes:
    """A C-STORE-RSP in one PDU."""
    command = Dataset()
    command.AffectedSOPClassUID = MR
    command.CommandField = 0x8001
    command.MessageIDBeingRespondedTo = message_id
    command.CommandDataSetType = 0x0101
    command.Status = status
    if comment:
        command.ErrorComment = comment
    command.AffectedSOPInstanceUID = UID
    for keyword, value in changes.items():
        setattr(command, keyword, value)
    content = encode(command, True, True)
    assert content is not None
    content = struct.pack("<HHLL", 0, 0, 4, len(content)) + content
    return pdu_of(content, control=0x03)


def pdu_of(content: bytes, *, control: int, context_id: int = CONTEXT_ID) -> bytes:
    return struct.pack(">BBLLBB", 4, 0, len(content) + 6, len(content) + 2, context_id, control) + content


def object_of(path: Path, content: bytes, *, offset: int = 0) -> DataSet:
    path.write_bytes(bytes(offset) + content)
    return DataSet(path=path, offset=offset, sop_class_uid=MR, sop_instance_uid=UID)


def _read_pdu(peer: socket.socket) -> bytes:
    header = _read(peer, 6)
    return header + _read(peer, struct.unpack(">L", header[2:])[0])


def _read(peer: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        part = peer.recv(count - len(content))
        if not part:
            raise EOFError("the sender closed the connection")
        content += part
    return content
