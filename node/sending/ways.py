"""Which way leads to a destination: an AE takes C-STORE, a DICOMweb service takes STOW-RS."""

from config.settings import AnyDestination, DestinationSettings
from node.errors import NodeError, PeerUnavailable
from node.sending.association import Peer
from node.sending.batch import DicomCarrier
from node.sending.results import Carrier
from node.sending.stow import StowCarrier
from node.tls import client_context


def way_to(destination: AnyDestination, calling_ae_title: str) -> Carrier:
    if isinstance(destination, DestinationSettings):
        return DicomCarrier(lambda: peer_of(destination, calling_ae_title))
    return StowCarrier(destination)


def peer_of(destination: DestinationSettings, calling_ae_title: str) -> Peer:
    """The peer as the settings have it; its TLS files are read again. Raises PeerUnavailable when they are unfit."""
    try:
        tls = None if destination.tls is None else client_context(destination.tls)
    except NodeError as error:
        raise PeerUnavailable(f"{destination.ae_title} cannot be reached over TLS: {error}") from error
    return Peer(
        host=destination.host,
        port=destination.port,
        called_ae_title=destination.ae_title,
        calling_ae_title=calling_ae_title,
        timeout_s=destination.timeout_s,
        tls=tls,
        server_name=None if destination.tls is None else destination.tls.server_name,
    )
