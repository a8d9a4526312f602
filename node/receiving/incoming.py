"""A connection as the acceptor hands it over."""

import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IncomingConnection:
    """An accepted connection, not yet handshaken; whoever gets it closes its socket."""

    socket: socket.socket  # blocking, plain TCP
    address: str  # of the peer
    is_tls: bool
    number: int  # unique within one run of the node
