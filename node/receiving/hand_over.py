"""Orders from the supervisor to a receiver process, with accepted sockets attached.

They travel over one UNIX socket that keeps messages apart and in order (SOCK_SEQPACKET), so that the order to end a
connection can never overtake the connection itself. Both ends are on one machine and of one program.
"""

import json
import socket
from dataclasses import dataclass
from typing import Final

from node.receiving.incoming import IncomingConnection

_LONGEST_ORDER_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class EndConnection:
    """Close one connection now."""

    number: int


@dataclass(frozen=True, slots=True)
class StopReceiving:
    """Let the associations end within this time, abort the others, and leave."""

    drain_s: float


@dataclass(frozen=True, slots=True)
class Ping:
    """Say over the channel that orders are taken."""


@dataclass(frozen=True, slots=True)
class LostConnection:
    """A connection was sent, but this process had no file descriptor left for it: the system has closed it."""

    number: int


Order = IncomingConnection | EndConnection | StopReceiving | Ping


def order_sockets() -> tuple[socket.socket, socket.socket]:
    """The supervisor's end, which never blocks, and the receiver process' end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


def send_order(orders: socket.socket, order: Order) -> bool:
    """Send one order; with a connection its socket goes along, and stays open here until the caller closes it.

    False when it cannot be delivered: the process is gone, or does not read its orders.
    """
    files = [order.socket.fileno()] if isinstance(order, IncomingConnection) else []
    try:
        socket.send_fds(orders, [json.dumps(_written(order)).encode()], files)
    except OSError:  # BlockingIOError: full; BrokenPipeError: gone; ETOOMANYREFS: too many files under way
        return False
    return True


def receive_order(orders: socket.socket) -> Order | LostConnection | None:
    """Wait for one order; None when the supervisor is gone."""
    try:
        message, files, _flags, _address = socket.recv_fds(orders, _LONGEST_ORDER_BYTES, 1)
    except ConnectionResetError:
        return None
    if not message:
        return None
    fields = json.loads(message)
    if "end" in fields:
        return EndConnection(fields["end"])
    if "ping" in fields:
        return Ping()
    if "drain_s" in fields:
        return StopReceiving(fields["drain_s"])
    if not files:
        return LostConnection(fields["number"])
    peer = socket.socket(fileno=files[0])
    peer.setblocking(True)
    return IncomingConnection(peer, fields["address"], fields["is_tls"], fields["number"], fields["accepted_at"])


def _written(order: Order) -> dict[str, object]:
    match order:
        case EndConnection(number):
            return {"end": number}
        case StopReceiving(drain_s):
            return {"drain_s": drain_s}
        case Ping():
            return {"ping": True}
        case _:
            return {
                "address": order.address,
                "is_tls": order.is_tls,
                "number": order.number,
                "accepted_at": order.accepted_at,
            }
