"""The scanner of the torture: sends over several associations at once and remembers what was acknowledged.

It speaks over plain sockets, so that a node that dies is noticed at once and no library stands between an answer and
the word that it was given.
"""

import socket
import struct
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from typing import Final

from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import build_context

from tests.torture.studies import Image, data_set_of

AE_TITLE: Final = "SCANNER"
TIMEOUT_S: Final = 20.0
CONTEXT_ID: Final = 1
MAXIMUM_PDU: Final = 16_384
RELEASE_REQUEST: Final = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"
_ASSOCIATE_AC, _P_DATA, _RELEASE_RP = 0x02, 0x04, 0x06
_COMMAND, _LAST = 0x01, 0x02
_PDU_HEADER: Final = struct.Struct(">BxL")
_PDV_HEADER: Final = struct.Struct(">LBB")
_ELEMENT: Final = struct.Struct("<HHL")
_SUCCESS_STATUS: Final = _ELEMENT.pack(0x0000, 0x0900, 2) + b"\x00\x00"
_IMPLEMENTATION: Final = "2.25.1"


class AssociationEnded(Exception):
    """The node closed the connection, aborted, or refused."""


def send(
    images: Sequence[Image], port: int, *, called_ae_title: str, associations: int, on_ack: Callable[[Image], None]
) -> None:
    """Send each image at most once; `on_ack` is called for each that was answered with Success, at that moment.

    An association that ends leaves the rest of its images unsent: the caller knows which were acknowledged.
    """
    shares = [images[number::associations] for number in range(associations)]
    lock = threading.Lock()

    def acknowledged(image: Image) -> None:
        with lock:
            on_ack(image)

    with ThreadPoolExecutor(associations) as pool:
        list(pool.map(lambda share: _send_share(share, port, called_ae_title, acknowledged), shares))


def _send_share(images: Sequence[Image], port: int, called_ae_title: str, on_ack: Callable[[Image], None]) -> None:
    try:
        with closing(socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)) as peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer.sendall(association_request(called_ae_title))
            _read_pdu(peer, _ASSOCIATE_AC)
            for image, message_id in zip(images, count(1), strict=False):
                peer.sendall(store_request(image, message_id))
                if _SUCCESS_STATUS in _read_pdu(peer, _P_DATA):
                    on_ack(image)
            peer.sendall(RELEASE_REQUEST)
            _read_pdu(peer, _RELEASE_RP)
    except (AssociationEnded, OSError):  # what is not acknowledged by now is sent again by the caller
        return


def association_request(called_ae_title: str) -> bytes:
    """An A-ASSOCIATE-RQ PDU for MR Image Storage in explicit VR little endian."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = AE_TITLE, called_ae_title
    context = build_context(MRImageStorage, ExplicitVRLittleEndian)
    context.context_id = CONTEXT_ID
    primitive.presentation_context_definition_list = [context]
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = MAXIMUM_PDU
    implementation.implementation_class_uid = _IMPLEMENTATION
    primitive.user_information = [length, implementation]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())


def store_request(image: Image, message_id: int) -> bytes:
    """The P-DATA-TF PDUs of one C-STORE request.  Source: PS3.7 9.3.1.1, PS3.8 9.3.5."""
    command = _command(image.sop_instance_uid, message_id)
    return _p_data(command, _COMMAND) + _p_data(data_set_of(image.file), 0)


def _command(sop_instance_uid: str, message_id: int) -> bytes:
    def padded(uid: str) -> bytes:
        return uid.encode() + b"\0" * (len(uid) % 2)

    elements = b"".join(
        _ELEMENT.pack(0x0000, element, len(value)) + value
        for element, value in (
            (0x0002, padded(MRImageStorage)),
            (0x0100, struct.pack("<H", 0x0001)),  # C-STORE-RQ
            (0x0110, struct.pack("<H", message_id)),
            (0x0700, struct.pack("<H", 0)),  # medium priority
            (0x0800, struct.pack("<H", 0x0001)),  # a data set follows
            (0x1000, padded(sop_instance_uid)),
        )
    )
    return _ELEMENT.pack(0x0000, 0x0000, 4) + struct.pack("<L", len(elements)) + elements


def _p_data(content: bytes, kind: int) -> bytes:
    """Content cut into PDUs of one PDV each, none longer than every receiver takes."""
    room = MAXIMUM_PDU - _PDV_HEADER.size
    pieces = []
    for begin in range(0, len(content), room):
        piece = content[begin : begin + room]
        control = kind | (_LAST if begin + room >= len(content) else 0)
        pieces.append(_PDU_HEADER.pack(_P_DATA, len(piece) + _PDV_HEADER.size))
        pieces.append(_PDV_HEADER.pack(len(piece) + 2, CONTEXT_ID, control) + piece)
    return b"".join(pieces)


def _read_pdu(peer: socket.socket, wanted: int) -> bytes:
    kind, length = _PDU_HEADER.unpack(_read(peer, _PDU_HEADER.size))
    body = _read(peer, length)
    if kind != wanted:
        raise AssociationEnded(f"PDU of type {kind:#04x} instead of {wanted:#04x}")
    return body


def _read(peer: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        more = peer.recv(length - len(received))
        if not more:
            raise AssociationEnded("the connection was closed")
        received += more
    return received
