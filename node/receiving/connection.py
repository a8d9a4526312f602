"""From an accepted connection to its end: TLS handshake, association, its services, each in one thread.

`ConnectionServer` is what accepted connections are given to, in this process or in a receiver process.
"""

import ssl
import threading
import time
from collections.abc import Callable
from typing import Final, cast

import structlog
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation

from config.settings import ReceiverSettings
from node.admission import Admission, Refusal, Request
from node.commitment.handlers import commitment_context, handle_n_action, handle_n_event_report
from node.dicom_stack import prepare_dicom_stack
from node.errors import SUCCESS
from node.instance_sink import InstanceSink
from node.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.receiving.association import ReceivingAssociation
from node.receiving.association_request import Titles
from node.receiving.incoming import IncomingConnection
from node.receiving.measures import Measures
from node.receiving.pdu import COMMAND, p_data
from node.receiving.seldom_line import SeldomLine
from node.receiving.services import Services
from node.receiving.store_service import StoreService
from node.receiving.transport import Transport
from node.receiving.upper_layer import Peer, PeerLimits
from node.receiving.visit import Visit
from node.storage_contexts import supported_contexts
from node.tls import certificate_names, handshake_fault

log = structlog.get_logger(__name__)

# After the abort of the last associations their threads end by themselves; a sync on a dying disk may hold one.
_ABORT_GRACE_S: Final = 5.0
_NO_LIMIT_OF_PYNETDICOM: Final = 2**31  # `Admission` has the table of all processes


class ConnectionServer:
    """Serves accepted connections, each in a thread of its own. Safe for many threads."""

    def __init__(
        self,
        settings: ReceiverSettings,
        admission: Admission,
        sink: InstanceSink,
        services: Services | None,
        *,
        tls: Callable[[], ssl.SSLContext] | None,
        metrics: Measures,
    ) -> None:
        """`services` None: storage commitment is not offered. `tls` is asked for the context of each connection."""
        prepare_dicom_stack()
        self.settings = settings
        self.admission = admission
        self.sink = sink
        self.services = services
        self.tls = tls
        self.metrics = metrics
        self.lines = SeldomLine()
        self.entity = _application_entity(settings)
        self.contexts = supported_contexts()
        if services is not None:
            self.contexts.append(commitment_context())
        self.is_stopping = False
        self._lock = threading.Lock()
        self._open: dict[int, _Connection] = {}

    def serve(
        self, connection: IncomingConnection, *, on_associated: Callable[[], None], on_end: Callable[[], None]
    ) -> None:
        """Serve a connection, which belongs to this server from now on; returns at once.

        `on_associated`: its association was accepted. `on_end` is called exactly once, whatever happens.
        """
        try:
            transport = Transport(connection.socket, self.settings.network_timeout_s)
        except OSError as error:  # no descriptor left, or the peer has gone
            log.warning("connection_not_served", address=connection.address, reason=str(error))
            connection.socket.close()
            on_end()
            return
        served = _Connection(self, connection, transport, on_associated)
        with self._lock:
            self._open[connection.number] = served
        thread = threading.Thread(
            target=self._run, args=(served, on_end), name=f"connection-{connection.number}", daemon=True
        )
        served.thread = thread
        try:
            thread.start()
        except RuntimeError as error:  # no thread left
            log.error("connection_not_served", address=connection.address, reason=str(error))  # noqa: TRY400
            self._forget(served, on_end)

    def end(self, number: int) -> None:
        """Close one connection now; harmless when it has ended."""
        with self._lock:
            served = self._open.get(number)
        if served is not None:
            served.end()

    def stop(self, drain_s: float) -> int:
        """Refuse new associations, let running ones end, then abort them; returns how many were aborted."""
        self.is_stopping = True
        for served in self._remaining():
            if not served.is_associated:
                served.end()
        self._join(drain_s)
        remaining = self._remaining()
        for served in remaining:
            served.end()
        self._join(_ABORT_GRACE_S)
        return sum(served.is_associated for served in remaining)

    def _run(self, served: "_Connection", on_end: Callable[[], None]) -> None:
        try:
            served.run()
        except Exception:  # thread boundary: one connection must not end the others
            log.exception("connection_fault", **served.visit.log_fields)
        finally:
            self._forget(served, on_end)

    def _forget(self, served: "_Connection", on_end: Callable[[], None]) -> None:
        served.release()
        with self._lock:
            self._open.pop(served.visit.number, None)
        on_end()

    def _remaining(self) -> list["_Connection"]:
        with self._lock:
            return list(self._open.values())

    def _join(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        for served in self._remaining():
            if served.thread is not None and served.thread is not threading.current_thread():
                served.thread.join(max(0.0, deadline - time.monotonic()))


class _Connection:
    """One connection and, when it comes to that, its association."""

    def __init__(
        self,
        server: ConnectionServer,
        connection: IncomingConnection,
        transport: Transport,
        on_associated: Callable[[], None],
    ) -> None:
        settings = server.settings
        self._server = server
        self._connection = connection
        self._on_associated = on_associated
        self.thread: threading.Thread | None = None
        self.visit = Visit(connection.number, connection.address)
        self.is_associated = False
        self._transport = transport
        self._limits = PeerLimits(
            request_deadline=connection.accepted_at + settings.acse_timeout_s,
            silence_s=settings.network_timeout_s,
            minimum_bytes_per_s=settings.minimum_bytes_per_s,
            maximum_pdu_bytes=settings.maximum_pdu_bytes,
        )
        self._association: ReceivingAssociation | None = None
        self._stores = StoreService(server.sink, self.visit, server.metrics, self._send_command_set)

    def run(self) -> None:
        """Serve the peer until the connection has ended."""
        if self._connection.is_tls and not self._secure():
            return
        self._association = self._associate()
        self._association.run_connection()

    def end(self) -> None:
        """End it as soon as its thread comes to it; from any thread."""
        self._transport.interrupt()

    def release(self) -> None:
        """Its thread has ended: close what is open."""
        self._stores.abandon()
        if self._association is not None:
            self._association.upper_layer.forget()
        self._transport.release()

    def _secure(self) -> bool:
        server = self._server
        assert server.tls is not None  # noqa: S101 - for the type checker: there is no TLS port without
        try:
            self._transport.handshake(server.tls(), self._limits.request_deadline)
        except OSError as error:
            reason = handshake_fault(error)
            server.metrics.count("failed_handshakes", reason=reason)
            if (more := server.lines.held_back(f"handshake {reason}", self.visit.address)) is not None:
                log.warning("tls_handshake_failed", address=self.visit.address, not_logged_before=more, reason=reason)
            return False
        return True

    def _associate(self) -> ReceivingAssociation:
        server = self._server
        association = ReceivingAssociation(
            server.entity,
            Peer(
                transport=self._transport,
                limits=self._limits,
                is_stranger=self._is_stranger,
                stores=self._stores,
                visit=self.visit,
                measures=server.metrics,
                lines=server.lines,
            ),
        )
        acceptor = association.acceptor
        acceptor.maximum_length = server.settings.maximum_pdu_bytes
        acceptor.ae_title = server.settings.ae_title
        acceptor.address_info = AddressInformation.from_tuple(self._transport.socket.getsockname())
        acceptor.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        acceptor.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        acceptor.supported_contexts = server.contexts
        association.requestor.address_info = AddressInformation(self.visit.address, 0)
        association.bind(evt.EVT_REQUESTED, self._on_requested)
        association.bind(evt.EVT_ACCEPTED, self._on_accepted)
        association.bind(evt.EVT_C_ECHO, self._on_echo)
        association.bind(evt.EVT_RELEASED, self._on_released)
        association.bind(evt.EVT_ABORTED, self._on_aborted)
        if server.services is not None:
            association.bind(evt.EVT_N_ACTION, handle_n_action, [server.services])
            association.bind(evt.EVT_N_EVENT_REPORT, handle_n_event_report, [server.services])
        return association

    def _on_requested(self, event: Event) -> None:
        association = event.assoc
        wanted = cast(A_ASSOCIATE, association.requestor.primitive)
        self.visit.calling_ae_title = wanted.calling_ae_title.strip()
        if (refusal := self._refusal(wanted)) is None:
            return
        self._tell_refused(wanted, refusal)
        if refusal.is_of_the_peer:
            self._server.metrics.count("refused_peers", reason=refusal.reason)
        association.acse.send_reject(*refusal.value)
        association.kill()

    def _refusal(self, wanted: A_ASSOCIATE) -> Refusal | None:
        if self._server.is_stopping:
            return Refusal.TEMPORARY_CONGESTION
        try:
            return self._server.admission.refusal(self._request(wanted.calling_ae_title, wanted.called_ae_title))
        except Exception:  # the library swallows what a handler raises and would accept
            log.exception("admission_failed", address=self.visit.address)
            return Refusal.TEMPORARY_CONGESTION

    def _is_stranger(self, who: Titles) -> bool:
        """Whether a request is refused for who asks; `_on_requested` comes to the same, and says it."""
        return self._server.admission.identity_refusal(self._request(who.calling, who.called)) is not None

    def _request(self, calling_ae_title: str, called_ae_title: str) -> Request:
        secured = self._transport.socket
        return Request(
            calling_ae_title=calling_ae_title,
            called_ae_title=called_ae_title,
            address=self.visit.address,
            certificate_names=certificate_names(secured) if isinstance(secured, ssl.SSLSocket) else None,
            connection=self.visit.number,
        )

    def _tell_refused(self, wanted: A_ASSOCIATE, refusal: Refusal) -> None:
        port = "tls" if self._connection.is_tls else "plain"
        if (more := self._server.lines.held_back(f"refused {refusal.name} {port}", self.visit.address)) is None:
            return
        log.warning(
            "association_refused",
            **self.visit.log_fields,
            called_ae_title=wanted.called_ae_title.strip(),
            not_logged_before=more,
            reason=refusal.reason,
            remedy=refusal.remedy,
        )

    def _on_accepted(self, event: Event) -> None:
        contexts: dict[int, PresentationContext] = event.assoc._accepted_cx  # noqa: SLF001 - by ID, unsorted
        self._stores.contexts = contexts
        self.is_associated = True
        self._on_associated()
        log.info("association_accepted", **self.visit.log_fields)

    def _on_echo(self, event: Event) -> int:
        del event
        self.visit.answers["echo"] += 1
        return SUCCESS

    def _on_released(self, event: Event) -> None:
        del event
        log.info("association_released", **self.visit.log_fields, **self.visit.answers)

    def _on_aborted(self, event: Event) -> None:
        del event
        log.warning("association_aborted", **self.visit.log_fields, **self.visit.answers)

    def _send_command_set(self, context_id: int, command_set: bytes) -> None:
        association = self._association
        assert association is not None  # noqa: S101 - for the type checker: a request came over it
        pdus = p_data(
            command_set,
            context_id=context_id,
            kind=COMMAND,
            maximum_pdu_bytes=association.requestor.maximum_length or 0,
        )
        association.upper_layer.answer(b"".join(pdus))


def _application_entity(settings: ReceiverSettings) -> AE:
    entity = AE(ae_title=settings.ae_title)
    entity.maximum_associations = _NO_LIMIT_OF_PYNETDICOM
    entity.acse_timeout = settings.acse_timeout_s
    entity.dimse_timeout = settings.dimse_timeout_s
    entity.network_timeout = settings.network_timeout_s
    return entity
