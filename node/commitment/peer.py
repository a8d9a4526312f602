"""An association that we open for storage commitment or a query, and how to reach the peer."""

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation, AssociationSocket

from config.settings import DestinationSettings, TlsClientSettings
from node.dicom_stack import prepare_dicom_stack
from node.errors import PeerUnavailable
from node.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.tls import client_context


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAddress:
    """A DICOM AE and how to reach it."""

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str
    timeout_s: float  # for the connection, the association and each answer
    tls: TlsClientSettings | None = None

    def __str__(self) -> str:
        return f"{self.called_ae_title} at {self.host}:{self.port}"


def storage_address(destination: DestinationSettings, calling_ae_title: str) -> PeerAddress:
    """Where a destination stores, and answers queries."""
    return PeerAddress(
        host=destination.host,
        port=destination.port,
        called_ae_title=destination.ae_title,
        calling_ae_title=calling_ae_title,
        timeout_s=destination.timeout_s,
        tls=destination.tls,
    )


def commitment_address(destination: DestinationSettings, calling_ae_title: str) -> PeerAddress:
    """Where a destination does storage commitment: its own address, but for what `commitment` says otherwise."""
    other = destination.commitment
    return PeerAddress(
        host=(other and other.host) or destination.host,
        port=(other and other.port) or destination.port,
        called_ae_title=(other and other.ae_title) or destination.ae_title,
        calling_ae_title=calling_ae_title,
        timeout_s=destination.timeout_s,
        tls=destination.tls,
    )


@contextmanager
def open_association(
    peer: PeerAddress,
    contexts: Sequence[PresentationContext],
    *,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[tuple[Any, Callable[..., Any]]] = (),
) -> Iterator[Association]:
    """An established association, released at the end. Raises PeerUnavailable; NodeError for unusable TLS files."""
    prepare_dicom_stack()
    entity = RequestingEntity(ae_title=peer.calling_ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.acse_timeout = entity.connection_timeout = entity.dimse_timeout = peer.timeout_s
    tls = None if peer.tls is None else (client_context(peer.tls), peer.tls.server_name or peer.host)
    try:
        association = entity.associate(
            peer.host,
            peer.port,
            contexts=list(contexts),
            ae_title=peer.called_ae_title,
            ext_neg=list(roles),
            evt_handlers=[(evt.EVT_CONN_OPEN, _send_at_once), *handlers],
            tls_args=tls,
        )
    except (OSError, UnicodeError) as error:  # a host name that nobody knows, or that no host can have
        raise PeerUnavailable(f"{peer} cannot be reached: {error}") from error
    if not association.is_established:
        raise PeerUnavailable(_why_not(association, peer))
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


class _ClosedSocket(AssociationSocket):
    """Closes its socket also when it was never connected, or not any more; the library's leaves that to the garbage."""

    def _shutdown_socket(self) -> None:
        kept = self.socket
        super()._shutdown_socket()
        if kept is not None:
            kept.close()


class _Answers(DIMSEServiceProvider):
    """Gives a message only to who waits for it.

    pynetdicom's reactor takes the answer to a request now and then, when it is late to see that it is to pause, and
    throws it away; the request waits in vain then (`Association._run_reactor` is "paused" before it waits). What a
    requestor serves while it waits, N-EVENT-REPORT, never comes this way.
    """

    def get_msg(self, block: bool = False) -> Any:
        return super().get_msg(block) if block else (None, None)


class RequestingEntity(AE):
    """An application entity for requests: leaves no open socket behind, however its association ends, and no answer."""

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[ssl.SSLContext, str] | None
    ) -> AssociationSocket:
        assoc.dimse = _Answers(assoc)  # here, before anything is asked: the library has no other place
        made = _ClosedSocket(assoc, address=address)
        made.tls_args = tls_args
        return made


def _send_at_once(event: Event) -> None:
    """Switch Nagle's algorithm off: with it each request waits for a delayed acknowledgement (40 ms)."""
    connection = event.assoc.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _why_not(association: Association, peer: PeerAddress) -> str:
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        return f"{peer} refused the association: {answer.reason_str}"
    if answer is not None and answer.result == 0:
        return f"{peer} does not offer this service: it accepts none of the presentation contexts"
    return f"{peer} cannot be reached, or it ended the association request"
