"""pynetdicom's upper layer, driven by events in the connection's one thread.

pynetdicom polls from two threads per association and reads PDUs of any length; here one thread waits for the socket,
for other threads and for deadlines at once, and P-DATA-TF goes to `p_data.PDataPath`. What stays pynetdicom's: the
state machine (PS3.8 9.2) and the coding of all other PDUs.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import TRANSITION_TABLE
from pynetdicom.pdu import _PDUType
from pynetdicom.pdu_primitives import A_ASSOCIATE, P_DATA, _PDUPrimitiveType
from pynetdicom.transport import AssociationSocket

from node.receiving.association_request import HEAD_BYTES, Titles, check_items, titles, without_items
from node.receiving.measures import Measures
from node.receiving.p_data import PDataPath, Pdv, StoreMessages
from node.receiving.pace import Pace
from node.receiving.pdu import PDU_HEADER, PDU_TYPES, InvalidPdu, PduType, length_limit
from node.receiving.receive_buffer import ReceiveBuffer
from node.receiving.seldom_line import SeldomLine
from node.receiving.transport import ConnectionGone, Transport
from node.receiving.visit import Visit

log = structlog.get_logger(__name__)

# After the last PDU the peer closes the connection; if it does not, so do we. Closing at once could take our last PDU
# from it: a close with unread data resets the connection.
_CLOSE_GRACE_S: Final = 2.0

# States of PS3.8 table 9-10
_AWAITING_REQUEST: Final = "Sta2"
_AWAITING_RESPONSE: Final = "Sta3"
DATA_TRANSFER: Final = "Sta6"
AWAITING_CLOSE: Final = "Sta13"
# Events of the same table
_CONNECTION_CLOSED: Final = "Evt17"
_TIMER_EXPIRED: Final = "Evt18"
_INVALID_PDU: Final = "Evt19"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLimits:
    """What a peer may do; seconds and bytes as in `config.receiving`."""

    request_deadline: float  # of a whole association request, on the monotonic clock
    silence_s: float
    minimum_bytes_per_s: int
    maximum_pdu_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The other side of one connection: how it is reached, what it may do, and who serves and counts it."""

    transport: Transport
    limits: PeerLimits
    is_stranger: Callable[[Titles], bool]  # whom the request is refused without a look at the rest of it
    stores: StoreMessages
    visit: Visit
    measures: Measures
    lines: SeldomLine


class UpperLayer(DULServiceProvider):
    """The upper layer of one accepted connection; a thread of pynetdicom's that is never started."""

    def __init__(self, association: Association, peer: Peer) -> None:
        super().__init__(association)
        limits = peer.limits
        self._transport = peer.transport
        self._limits = limits
        self._visit = peer.visit
        self._measures = peer.measures
        self._lines = peer.lines
        self._is_stranger: Callable[[Titles], bool] | None = peer.is_stranger  # None: it is none
        self._pace = Pace(limits.silence_s, limits.minimum_bytes_per_s)
        self._path = PDataPath(
            is_accepted=lambda context_id: context_id in association._accepted_cx,  # noqa: SLF001
            stores=peer.stores,
            others=self,
        )
        self._close_deadline: float | None = None
        self._may_have_more = True
        self._has_received = False
        self._has_message = False  # for pynetdicom to answer, perhaps
        self._buffer = ReceiveBuffer()
        self._awaited = 0  # length of the PDU that has to be whole there

    @property
    def is_over(self) -> bool:
        return self._kill_thread

    @property
    def state(self) -> str:
        return self.state_machine.current_state

    def attach(self, socket: AssociationSocket) -> None:
        """Begin: the transport connection is open (PS3.8 9.2.1, event 5)."""
        self.socket = socket
        self.run_events()

    def run_events(self) -> bool:
        """Let the state machine act on everything that waits; returns whether there was anything."""
        if not self.event_queue.queue and not self.to_provider_queue.queue:
            return False
        has_acted = False
        while not self.is_over:
            is_of_the_user = self.event_queue.empty()
            if is_of_the_user and not self._process_recv_primitive():
                break
            has_acted = True
            event = self.event_queue.get(block=False)
            if (event, self.state) in TRANSITION_TABLE:
                self.state_machine.do_action(event)
            elif is_of_the_user:
                self.to_provider_queue.get(block=False)  # a response whose peer has gone meanwhile
        return has_acted

    def consume(self) -> bool:
        """Act on what is in the buffer until others have to act; False when more has to come first."""
        if self.state == AWAITING_CLOSE:  # whatever comes now is ignored (PS3.8 9.2, AA-6)
            self._buffer.clear()
            return False
        has_acted = False
        self._has_message = False
        try:
            while self._consume_next():
                has_acted = True
                if self._has_message or self.event_queue.queue:
                    break
            self._path.flush()
        except InvalidPdu as fault:
            reason = str(fault)
            if (more := self._lines.held_back(f"protocol {reason}", self._visit.address)) is not None:
                log.warning("peer_broke_the_protocol", **self._visit.log_fields, not_logged_before=more, reason=reason)
            self._drop(_INVALID_PDU)
            return True
        return has_acted

    def _consume_next(self) -> bool:
        unread = self._buffer.unread
        if not self._path.is_within_pdu:
            return self._begin_pdu(unread)
        taken = self._path.consume(unread)
        self._buffer.take(taken)
        return taken > 0

    def wait(self) -> None:
        """Read what has come, or wait for it, for another thread, or until the peer's time is over."""
        if self._may_have_more and self._read():
            return
        if self._buffer or self._path.is_within_pdu or self._path.is_within_message:
            self._transport.acknowledge()
        else:
            self._pace.rest()
        patience_s = self._patience_s()
        began = time.monotonic()
        came = patience_s > 0 and self._transport.wait(patience_s)
        self._pace.waited(time.monotonic() - began)
        if came:
            self._may_have_more = True
        else:
            self._give_up()

    def take(self, pdvs: Sequence[Pdv]) -> bool:
        """PDVs of a message that is no C-STORE request: pynetdicom's own way."""
        primitive = P_DATA()
        primitive.presentation_data_value_list = [list(pdv) for pdv in pdvs]  # type: ignore[misc]
        try:
            self.assoc.dimse.receive_primitive(primitive)
        except Exception as error:  # a command set of foreign bytes raises anything
            raise InvalidPdu(f"a command set that cannot be understood ({type(error).__name__})") from error
        self._has_message = True
        return self.assoc.dimse.message is not None

    def answer(self, data: bytes) -> None:
        """Send PDUs past the state machine: answers of our own P-DATA path."""
        try:
            self._transport.send(data)
        except ConnectionGone as error:
            log.warning("peer_unreachable", **self._visit.log_fields, reason=str(error))
            self.event_queue.put(_CONNECTION_CLOSED)

    def send_pdu(self, primitive: _PDUPrimitiveType) -> None:
        super().send_pdu(primitive)
        self._transport.wake()  # perhaps from another thread

    def kill_dul(self) -> None:
        super().kill_dul()
        self._transport.wake()

    def stop_dul(self) -> bool:
        return self.is_over

    def _send(self, pdu: _PDUType) -> None:
        self.answer(pdu.encode())

    def _begin_pdu(self, unread: memoryview) -> bool:
        if len(unread) < PDU_HEADER.size:
            return False
        pdu_type, length = PDU_HEADER.unpack_from(unread)
        if pdu_type not in PDU_TYPES:
            raise InvalidPdu("a PDU of an unknown type: the peer speaks no DICOM")
        limit = length_limit(pdu_type, self._limits.maximum_pdu_bytes)
        if length > limit:
            self._refuse_length(PduType(pdu_type), length, limit)
            return True
        if pdu_type == PduType.P_DATA_TF and self.state == DATA_TRANSFER:
            self._buffer.take(PDU_HEADER.size)
            self._path.begin_pdu(length)
            return True
        self._awaited = PDU_HEADER.size + length
        if pdu_type == PduType.ASSOCIATE_RQ and self.state == _AWAITING_REQUEST and self._awaited >= HEAD_BYTES:
            if len(unread) < HEAD_BYTES:
                return False
            if self._asks_in_vain(unread):
                self._buffer.take(HEAD_BYTES)
                self._decode(without_items(unread))
                return True
        if len(unread) < self._awaited:
            return False
        self._buffer.take(self._awaited)
        if pdu_type == PduType.ASSOCIATE_RQ:
            check_items(unread[: self._awaited])
        self._decode(unread[: self._awaited])
        return True

    def _asks_in_vain(self, request: memoryview) -> bool:
        """Whether a stranger asks: what it lists is neither waited for nor decoded, which costs memory and time."""
        if self._is_stranger is None:
            return False
        if self._is_stranger(titles(request)):
            return True
        self._is_stranger = None
        return False

    def _refuse_length(self, pdu_type: PduType, length: int, limit: int) -> None:
        self._measures.count("oversized_pdus")
        if (more := self._lines.held_back(f"length {pdu_type.name}", self._visit.address)) is not None:
            log.warning(
                "pdu_too_long",
                **self._visit.log_fields,
                byte_count=length,
                limit=limit,
                not_logged_before=more,
                effect="the association is aborted",
                remedy="the peer must keep to the PDU length that was negotiated (receiver.maximum_pdu_bytes)",
            )
        self._drop(_INVALID_PDU)

    def _decode(self, encoded: memoryview | bytes) -> None:
        """Let pynetdicom decode a PDU, as its own `_read_pdu_data` does."""
        try:
            pdu, event = self._decode_pdu(bytearray(encoded))
            primitive = pdu.to_primitive()  # what the state machine will do, and where it would raise
        except Exception as error:  # foreign bytes raise anything
            raise InvalidPdu(f"a PDU that cannot be decoded ({type(error).__name__})") from error
        if isinstance(primitive, A_ASSOCIATE) and not all(
            context.abstract_syntax for context in primitive.presentation_context_definition_list
        ):
            raise InvalidPdu("a presentation context without an abstract syntax (PS3.8 9.3.2.2)")
        self._recv_pdu.put(pdu)
        self.event_queue.put(event)

    def _read(self) -> bool:
        """Read once; returns whether anything came, the end of the stream included."""
        room = self._buffer.room(self._awaited)
        try:
            count = self._transport.read_into(room)
        except ConnectionGone:
            count = 0
        if count is None:
            self._may_have_more = False
            return False
        if not count:
            self._drop(_CONNECTION_CLOSED)
            return True
        # what is left is there for the next wait to tell; TLS may hold back a part that only a read shows
        self._may_have_more = count == len(room)
        self._has_received = True
        self._buffer.filled(count)
        self._pace.received(count)
        return True

    def enlarge_buffer(self) -> None:
        """The association stands: from now on whole images come."""
        self._buffer.enlarge()

    def forget(self) -> None:
        """The connection has ended: give its memory back, which pynetdicom's circles of objects would keep."""
        self._buffer.forget()

    def _patience_s(self) -> float:
        if self.state in (_AWAITING_REQUEST, _AWAITING_RESPONSE):
            return self._limits.request_deadline - time.monotonic()
        if self.state == AWAITING_CLOSE:
            if self._close_deadline is None:
                self._close_deadline = time.monotonic() + _CLOSE_GRACE_S
            return self._close_deadline - time.monotonic()
        return self._pace.patience_s()

    def _give_up(self) -> None:
        """The peer's time is over."""
        if self.state == AWAITING_CLOSE:
            self._drop(_TIMER_EXPIRED)
        elif self.state in (_AWAITING_REQUEST, _AWAITING_RESPONSE):
            self._measures.count("silent_connections")
            if (more := self._lines.held_back("no_association_request", self._visit.address)) is not None:
                log.info(
                    "no_association_request",
                    address=self._visit.address,
                    has_sent_something=self._has_received,
                    not_logged_before=more,
                    effect="the connection is closed (receiver.acse_timeout_s)",
                )
            self._drop(_TIMER_EXPIRED)
        else:
            reason = "trickling" if self._pace.is_trickling else "silence"
            self._measures.count("stalled_connections", reason=reason)
            log.warning(
                "peer_too_slow",
                **self._visit.log_fields,
                reason=reason,
                within_a_message=self._path.is_within_message,
                effect="the association is aborted (receiver.network_timeout_s, receiver.minimum_bytes_per_s)",
            )
            self._drop(_INVALID_PDU)

    def _drop(self, event: str) -> None:
        """End by an event of the connection; what is unread is void."""
        self._buffer.clear()
        self._path.begin_pdu(0)
        self.event_queue.put(event)
