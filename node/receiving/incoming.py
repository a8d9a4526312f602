"""A connection as the acceptor hands it over."""

import socket
import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class IncomingConnection:
    """An accepted connection, not yet handshaken; whoever gets it closes its socket."""

    socket: socket.socket  # blocking, plain TCP
    address: str  # of the peer
    is_tls: bool
    number: int  # unique within one run of the node
    # of time.monotonic, which runs the same in all processes of a machine (Linux: CLOCK_MONOTONIC)
    accepted_at: float = field(default_factory=time.monotonic)
