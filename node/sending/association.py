"""An association of a Storage SCU that one thread owns from the request to the release.

pynetdicom's PDUs negotiate; its threads have no part in it, so that no response can be lost between two readers of one
socket and nothing polls.  Source: PS3.8 section 7 and 9.3.
"""

import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext, build_context

from node.errors import InputRejected, PeerUnavailable
from node.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.sending.wire import ConnectionLost, Wire, connect

MAXIMUM_CONTEXTS: Final = 128  # odd identifiers from 1 to 255, PS3.8 9.3.2.2

ContextKey = tuple[str, str]  # SOP Class UID, Transfer Syntax UID

_APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"  # PS3.7 A.2.1
# PDU types, PS3.8 9.3
P_DATA_TF: Final = 0x04
_ASSOCIATE_AC: Final = 0x02
_ASSOCIATE_RJ: Final = 0x03
_RELEASE_RQ: Final = 0x05
_RELEASE_RP: Final = 0x06
_ABORT: Final = 0x07
_FOUR_ZEROS: Final = b"\x00\x00\x00\x00\x04" + bytes(4)  # reserved, length 4, four bytes that say nothing more
_RELEASE_RQ_PDU: Final = bytes([_RELEASE_RQ]) + _FOUR_ZEROS  # PS3.8 9.3.6
_RELEASE_RP_PDU: Final = bytes([_RELEASE_RP]) + _FOUR_ZEROS  # PS3.8 9.3.7
_ABORT_PDU: Final = bytes([_ABORT]) + _FOUR_ZEROS  # PS3.8 9.3.8: source 0, by the service user

# What we take ourselves: responses, which are short.
_OWN_MAXIMUM_PDU_BYTES: Final = 16_384
# A peer that sets no limit still reads a PDU into memory; larger ones were not faster.
_LARGEST_PDU_BYTES: Final = 131_072
_PDV_OVERHEAD_BYTES: Final = 6  # item length, context, control: they count against the peer's limit (PS3.8 D.1)
# Nothing is at stake any more when an association ends: a peer gets little time to agree.
_RELEASE_WAIT_S: Final = 2.0
_ABORT_WAIT_S: Final = 0.2


class NothingAccepted(InputRejected):
    """The peer takes none of the offered presentation contexts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A Storage SCP and how to reach it."""

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str
    timeout_s: float  # for the connection, the association and each answer
    tls: ssl.SSLContext | None = None
    server_name: str | None = None  # in its certificate; None: the host's

    @property
    def name(self) -> str:
        return f"{self.called_ae_title} at {self.host}:{self.port}"


class Association:
    """Opened by `open_association`. Whoever finds it unfit for use calls `abort`; it is closed then."""

    def __init__(self, wire: Wire, peer: Peer, proposed: list[ContextKey], answer: A_ASSOCIATE) -> None:
        self.wire = wire
        self.peer = peer
        self.proposed = frozenset(proposed)
        self.accepted = _accepted(proposed, answer)
        self.fragment_bytes = _fragment_bytes(answer.maximum_length_received or 0)
        self.opened_at = time.monotonic()
        self.is_open = True
        self._message_id = 0
        self._buffer = memoryview(bytearray())

    def next_message_id(self) -> int:
        """From 1 to 65535 and round again (US, PS3.7 E.1)."""
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def buffer(self, count: int) -> memoryview:
        """`count` bytes to send from, used again for each object."""
        if len(self._buffer) < count:
            self._buffer = memoryview(bytearray(count))
        return self._buffer[:count]

    @property
    def is_usable(self) -> bool:
        """Whether the peer, as far as one can see without asking, still keeps it."""
        return self.is_open and self.wire.is_quiet

    def release(self) -> None:
        """End it in agreement with the peer, or without when it does not answer."""
        if not self.is_open:
            return
        deadline = time.monotonic() + min(self.peer.timeout_s, _RELEASE_WAIT_S)
        with suppress(ConnectionLost):  # it has ended all the same
            self.wire.send([_RELEASE_RQ_PDU], deadline)
            kind, _ = self.wire.read_pdu(deadline)
            if kind == _RELEASE_RQ:  # both asked at once: the requestor answers first (PS3.8 7.2.2.7)
                self.wire.send([_RELEASE_RP_PDU], deadline)
                self.wire.read_pdu(deadline)
        self._close()

    def abort(self) -> None:
        """End it at once: what the peer thinks of it is not known any more."""
        if not self.is_open:
            return
        with suppress(ConnectionLost):  # a peer that is gone or does not read: closing tells it as well
            self.wire.send([_ABORT_PDU], time.monotonic() + _ABORT_WAIT_S)
        self._close()

    def _close(self) -> None:
        self.is_open = False
        self.wire.close()


def open_association(peer: Peer, contexts: Iterable[ContextKey]) -> Association:
    """Ask for an association with one presentation context per (SOP class, transfer syntax).

    Raises PeerUnavailable when there is none, NothingAccepted when it would carry nothing, OwnFault.
    """
    keys = list(dict.fromkeys(contexts))
    try:
        wire = connect(peer.host, peer.port, peer.timeout_s, peer.tls, peer.server_name)
    except PeerUnavailable as error:
        raise PeerUnavailable(f"{peer.name} {error}") from error.__cause__
    deadline = time.monotonic() + peer.timeout_s
    try:
        wire.send([_request(peer, keys)], deadline)
        kind, pdu = wire.read_pdu(deadline)
        association = Association(wire, peer, keys, _answer(kind, bytes(pdu), peer))
    except ConnectionLost as error:
        wire.close()
        raise PeerUnavailable(f"{peer.name} cannot be reached: no answer to the association request, {error}") from None
    except BaseException:
        wire.close()
        raise
    if not association.accepted:
        association.release()
        raise NothingAccepted(f"{peer.name} accepts none of the offered SOP classes and transfer syntaxes")
    return association


def _request(peer: Peer, keys: list[ContextKey]) -> bytes:
    length = MaximumLengthNotification()
    length.maximum_length_received = _OWN_MAXIMUM_PDU_BYTES
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    primitive = A_ASSOCIATE()
    primitive.application_context_name = _APPLICATION_CONTEXT
    primitive.calling_ae_title = peer.calling_ae_title
    primitive.called_ae_title = peer.called_ae_title
    primitive.user_information = [length, implementation, version]
    primitive.presentation_context_definition_list = _offered(keys)
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return pdu.encode()


def _offered(keys: list[ContextKey]) -> list[PresentationContext]:
    offered = []
    for number, (sop_class_uid, syntax) in enumerate(keys):
        context = build_context(sop_class_uid, syntax)
        context.context_id = _context_id(number)
        offered.append(context)
    return offered


def _answer(kind: int, pdu: bytes, peer: Peer) -> A_ASSOCIATE:
    """The peer's acceptance. Raises PeerUnavailable for any other answer."""
    rejection, acceptance = A_ASSOCIATE_RJ(), A_ASSOCIATE_AC()
    try:
        if kind == _ASSOCIATE_AC:
            acceptance.decode(pdu)
            return acceptance.to_primitive()
        how = {_ABORT: "it aborted the request"}.get(kind, f"it answered with PDU type 0x{kind:02X}")
        if kind == _ASSOCIATE_RJ:
            rejection.decode(pdu)
            how = rejection.reason_str
    except Exception as error:  # the library's parser, fed with foreign bytes, raises anything
        raise PeerUnavailable(
            f"{peer.name} answered the association request with a broken PDU ({type(error).__name__})"
        ) from error
    raise PeerUnavailable(f"{peer.name} refused the association: {how}")


def _accepted(proposed: list[ContextKey], answer: A_ASSOCIATE) -> dict[ContextKey, int]:
    """Context identifiers of what the peer accepted, in the transfer syntax that was offered for it."""
    results = {context.context_id: context for context in answer.presentation_context_definition_results_list}
    accepted = {}
    for number, key in enumerate(proposed):
        result = results.get(_context_id(number))
        if result is not None and result.result == 0 and [str(one) for one in result.transfer_syntax] == [key[1]]:
            accepted[key] = _context_id(number)
    return accepted


def _context_id(number: int) -> int:
    return 2 * number + 1


def _fragment_bytes(maximum_pdu_bytes: int) -> int:
    """Bytes of a data set per PDV: even (PS3.8 9.3.5.1), and at least two whatever the peer says; 0 is no limit."""
    limit = min(maximum_pdu_bytes or _LARGEST_PDU_BYTES, _LARGEST_PDU_BYTES)
    return max(2, (limit - _PDV_OVERHEAD_BYTES) & ~1)
