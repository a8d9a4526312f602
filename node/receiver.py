"""The node's own DICOM address: Verification and Storage SCP.

Success is answered only after the object's bytes are synced and its row is committed; every other answer is chosen
by `node.errors.dimse_status`. The handlers are thin: admission is decided in `node.admission`, objects are kept by
`node.instance_sink`, so that another network path can take this one's place.
"""

import itertools
import socket
import time
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, cast

import structlog
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import ThreadedAssociationServer

from config.settings import CallerSettings, ReceiverSettings
from node.admission import Admission, Refusal, Request
from node.dicom_stack import prepare_dicom_stack
from node.errors import SUCCESS, InputRejected, NodeError, dimse_status
from node.instance_sink import InstanceSink, ReceivedObject
from node.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.storage_contexts import supported_contexts
from storage.errors import StorageError
from storage.files import FileStore
from storage.instances import InstanceRecorder, Outcome

log = structlog.get_logger(__name__)

_ERROR_COMMENT_LENGTH: Final = 64  # VR LO of (0000,0902), PS3.7 C
# 128 presentation contexts with every known transfer syntax and user information take under 400 kB.
_LONGEST_ASSOCIATION_REQUEST_BYTES: Final = 1 << 20
# After the abort of the last associations their threads end by themselves; a sync on a dying disk may hold one.
_ABORT_GRACE_S: Final = 5.0


@dataclass(slots=True)
class _Visit:
    """One association, for its log lines."""

    number: int
    calling_ae_title: str
    address: str
    answers: Counter[str] = field(default_factory=Counter)

    @property
    def log_fields(self) -> dict[str, object]:
        return {"association": self.number, "calling_ae_title": self.calling_ae_title, "address": self.address}


class Receiver:
    """Listens for associations from the callers on the allow-list and keeps what they store."""

    def __init__(
        self,
        settings: ReceiverSettings,
        callers: Sequence[CallerSettings],
        *,
        files: FileStore,
        recorder: InstanceRecorder,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._callers = tuple(callers)
        self._admission = Admission(settings.ae_title, callers)
        self._sink = InstanceSink(files, recorder, clock=clock, minimum_free_bytes=settings.minimum_free_bytes)
        self._server: ThreadedAssociationServer | None = None
        self._stopping = False
        self._numbers = itertools.count(1)
        self._visits: weakref.WeakKeyDictionary[Association, _Visit] = weakref.WeakKeyDictionary()

    @property
    def port(self) -> int:
        """The port it listens on, also when the settings say 0 (any free one)."""
        if self._server is None:
            raise NodeError("the receiver is not started; call start() first")
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Bind and serve in threads of its own. Raises NodeError when the address or port cannot be had."""
        prepare_dicom_stack()
        self._stopping = False
        address = (self._settings.bind_address, self._settings.port)
        try:
            self._server = _application_entity(self._settings).start_server(
                address,
                block=False,
                evt_handlers=[
                    (evt.EVT_CONN_OPEN, self._on_connected),
                    (evt.EVT_REQUESTED, self._on_requested),
                    (evt.EVT_REJECTED, self._on_rejected),
                    (evt.EVT_ACCEPTED, self._on_accepted),
                    (evt.EVT_C_ECHO, self._on_echo),
                    (evt.EVT_C_STORE, self._on_store),
                    (evt.EVT_ABORTED, self._on_aborted),
                    (evt.EVT_RELEASED, self._on_released),
                ],
            )
        except OSError as error:
            raise NodeError(
                f"cannot listen on {address[0]} port {address[1]}: {error}; change receiver.bind_address or "
                "receiver.port, or end the program that holds the port"
            ) from error
        log.info("receiver_started", ae_title=self._settings.ae_title, address=address[0], port=self.port)
        if not self._callers:
            log.warning(
                "no_callers_allowed",
                effect="every association is refused",
                remedy="add a [[callers]] table with ae_title and addresses for each peer",
            )

    def stop(self, drain_s: float) -> None:
        """Take no new associations, let running ones end within `drain_s` seconds, then abort them."""
        if self._server is None:
            return
        self._stopping = True
        server, self._server = self._server, None
        server.shutdown()
        _join(server.active_associations, drain_s)
        remaining = server.active_associations
        for association in remaining:
            association.abort()
        _join(remaining, _ABORT_GRACE_S)
        log.info("receiver_stopped", aborted_associations=len(remaining))

    def _on_connected(self, event: Event) -> None:
        """Bound each read in time and size, before the peer is known: the library itself does neither."""
        peer = event.assoc.dul.socket
        if peer is not None and peer.socket is not None:
            # a peer that stops within a PDU must not hold an association for ever
            peer.socket.settimeout(self._settings.network_timeout_s)
            peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # the length field of a PDU allows 4 GB, and the library reads whatever it says into memory
            limit = max(self._settings.maximum_pdu_bytes, _LONGEST_ASSOCIATION_REQUEST_BYTES)
            peer.recv = _bounded(peer.recv, limit)  # type: ignore[method-assign,assignment]  # no other hook

    def _on_requested(self, event: Event) -> None:
        association = event.assoc
        wanted = cast(A_ASSOCIATE, association.requestor.primitive)
        request = Request(
            calling_ae_title=wanted.calling_ae_title,
            called_ae_title=wanted.called_ae_title,
            address=association.requestor.address,
        )
        visit = _Visit(next(self._numbers), request.calling_ae_title.strip(), request.address)
        self._visits[association] = visit
        if (refusal := self._refusal(request)) is not None:
            log.warning(
                "association_refused",
                **visit.log_fields,
                called_ae_title=request.called_ae_title.strip(),
                reason=refusal.reason,
                remedy=_REMEDIES[refusal],
            )
            association.acse.send_reject(*refusal.value)
            association.kill()  # returns when the refusal is sent

    def _refusal(self, request: Request) -> Refusal | None:
        if self._stopping:
            return Refusal.TEMPORARY_CONGESTION
        try:
            return self._admission.refusal(request)
        except Exception:  # the library swallows what a handler raises and would accept
            log.exception("admission_failed", address=request.address)
            return Refusal.CALLING_AE_TITLE_NOT_RECOGNIZED

    def _on_rejected(self, event: Event) -> None:
        """The library itself refuses when all associations are taken."""
        log.warning(
            "association_refused",
            **self._visit(event).log_fields,
            reason=Refusal.LOCAL_LIMIT_EXCEEDED.reason,
            remedy=_REMEDIES[Refusal.LOCAL_LIMIT_EXCEEDED],
        )

    def _on_accepted(self, event: Event) -> None:
        log.info("association_accepted", **self._visit(event).log_fields)

    def _on_echo(self, event: Event) -> int:
        self._visit(event).answers["echo"] += 1
        return SUCCESS

    def _on_store(self, event: Event) -> int | Dataset:
        visit = self._visit(event)
        try:
            outcome = self._sink.take(_received_object(event, visit.calling_ae_title))
        except Exception as error:  # noqa: BLE001 - thread boundary: one object must not end the association
            visit.answers["refused"] += 1
            return _refuse(error, visit, str(event.context.transfer_syntax))
        visit.answers[outcome.value] += 1
        if outcome is Outcome.OTHER_CONTENT:
            log.warning(
                "instance_with_other_content",
                **visit.log_fields,
                sop_instance_uid=str(cast(C_STORE, event.request).AffectedSOPInstanceUID),
                effect="kept, not analysed: the SOP Instance UID is known with other bytes",
            )
        return SUCCESS

    def _on_released(self, event: Event) -> None:
        visit = self._visit(event)
        log.info("association_released", **visit.log_fields, **visit.answers)

    def _on_aborted(self, event: Event) -> None:
        visit = self._visit(event)
        log.warning("association_aborted", **visit.log_fields, **visit.answers)

    def _visit(self, event: Event) -> _Visit:
        return self._visits.setdefault(event.assoc, _Visit(0, "", event.assoc.requestor.address))


_REMEDIES: Final = {
    Refusal.CALLING_AE_TITLE_NOT_RECOGNIZED: "add the peer's AE title with this address to [[callers]]",
    Refusal.CALLED_AE_TITLE_NOT_RECOGNIZED: "set the peer's called AE title to receiver.ae_title",
    Refusal.TEMPORARY_CONGESTION: "the node is stopping; the peer may try again after its start",
    Refusal.LOCAL_LIMIT_EXCEEDED: "raise receiver.maximum_associations, or look for peers that leave theirs open",
}


def _application_entity(settings: ReceiverSettings) -> AE:
    entity = AE(ae_title=settings.ae_title)
    entity.supported_contexts = supported_contexts()
    entity.maximum_associations = settings.maximum_associations
    entity.maximum_pdu_size = settings.maximum_pdu_bytes
    entity.acse_timeout = settings.acse_timeout_s
    entity.dimse_timeout = settings.dimse_timeout_s
    entity.network_timeout = settings.network_timeout_s
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    return entity


def _bounded(receive: Callable[[int], bytearray], limit: int) -> Callable[[int], bytearray]:
    def receive_bounded(byte_count: int) -> bytearray:
        if byte_count > limit:
            log.warning("pdu_too_long", byte_count=byte_count, limit=limit, effect="the connection is closed")
            raise ConnectionAbortedError(f"a PDU of {byte_count} bytes, {limit} are allowed")
        return receive(byte_count)

    return receive_bounded


def _received_object(event: Event, calling_ae_title: str) -> ReceivedObject:
    request = cast(C_STORE, event.request)
    return ReceivedObject(
        sop_class_uid=str(request.AffectedSOPClassUID),
        sop_instance_uid=str(request.AffectedSOPInstanceUID),
        transfer_syntax_uid=str(event.context.transfer_syntax),
        calling_ae_title=calling_ae_title,
        encoded=b"" if request.DataSet is None else request.DataSet.getvalue(),
    )


def _refuse(error: Exception, visit: _Visit, transfer_syntax_uid: str) -> Dataset:
    """The answer to an object that was not kept, with one log line that says why and what to do."""
    answer = Dataset()
    answer.Status = dimse_status(error)
    expected = isinstance(error, NodeError | StorageError)
    reason = str(error) if expected else f"unexpected {type(error).__name__}"
    # what is the sender's to mend is told to it; our paths and database are not
    comment = reason if isinstance(error, InputRejected) else "cannot be kept now; the log of the node says why"
    answer.ErrorComment = comment.encode("ascii", errors="replace").decode()[:_ERROR_COMMENT_LENGTH]
    fields = {
        **visit.log_fields,
        "status": f"0x{answer.Status:04X}",
        "transfer_syntax_uid": transfer_syntax_uid,
        "reason": reason,
    }
    if isinstance(error, InputRejected):
        log.warning("instance_refused", **fields)
    elif expected:
        log.error("instance_not_kept", **fields)
    else:
        log.error("instance_not_kept", **fields, exc_info=error)
    return answer


def _join(associations: Sequence[Association], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    for association in associations:
        association.join(max(0.0, deadline - time.monotonic()))
