"""One accept loop over the plain and the TLS port.

A new connection waits in the selector until its first bytes come: a health check that connects and closes, or a peer
that says nothing, costs neither thread nor process. What speaks is handed over; its limits are kept in `PlaceTable`.
"""

import contextlib
import errno
import itertools
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from node.errors import NodeError
from node.metrics import Metrics
from node.receiving.incoming import IncomingConnection
from node.receiving.places import PlaceTable
from node.receiving.seldom_line import SeldomLine

log = structlog.get_logger(__name__)

_BACKLOG: Final = 512  # connections the system keeps until they are accepted; a burst of a thousand is worked off
_ACCEPT_AT_ONCE: Final = 64  # then the other events get their turn
_NO_DESCRIPTOR: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_S: Final = 0.5  # without a free descriptor, accepting again at once would spin
_RETRY_S: Final = 0.1  # when no receiver process can take a connection just now


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound, listening socket; what comes over it is TLS or plain."""

    socket: socket.socket
    is_tls: bool

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])


def listen(address: str, port: int, *, is_tls: bool) -> Listener:
    """Bind and listen. Raises NodeError that names the setting when the address or port cannot be had."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    key = "receiver.tls.port" if is_tls else "receiver.port"
    try:
        # an IPv6 socket takes IPv4 peers too, as ::ffff:a.b.c.d
        listening = socket.create_server(
            (address, port), family=family, backlog=_BACKLOG, dualstack_ipv6=family == socket.AF_INET6
        )
    except OSError as error:
        raise NodeError(
            f"cannot listen on {address} port {port}: {error}; change receiver.bind_address or {key}, or end the "
            "program that holds the port"
        ) from error
    listening.setblocking(False)
    return Listener(listening, is_tls)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where connections go that have begun to speak."""

    hand_over: Callable[[IncomingConnection], bool]  # takes the socket too; False: nobody can just now; never blocks
    end: Callable[[int], None]  # close one that was handed over


@dataclass(slots=True)
class _Waiting:
    connection: IncomingConnection
    deadline: float  # of its first byte


class Acceptor:
    """Accepts connections in a thread of its own until it is stopped."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        destination: Destination,
        *,
        places: PlaceTable,
        silence_s: float,
        metrics: Metrics,
    ) -> None:
        self._listeners = tuple(listeners)
        self._destination = destination
        self._places = places
        self._silence_s = silence_s
        self._metrics = metrics
        self._lines = SeldomLine()
        self._numbers = itertools.count(1)
        self._selector = selectors.DefaultSelector()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopping = False
        self._waiting: dict[int, _Waiting] = {}  # by number, so in the order of their deadlines
        self._speaking: deque[int] = deque()  # numbers of those that nobody could take yet
        self._paused_until: float | None = None
        self._thread = threading.Thread(target=self._run, name="acceptor", daemon=True)

    def start(self) -> None:
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._listen()
        self._thread.start()

    def wake(self) -> None:
        """A receiver process can take connections again."""
        os.eventfd_write(self._wake, 1)

    def stop(self) -> None:
        """Close the ports, and every connection that was not handed over yet. Harmless when stopped already."""
        if self._stopping:
            return
        self._stopping = True
        self.wake()
        self._thread.join()
        for listener in self._listeners:
            listener.socket.close()
        for number in list(self._waiting):
            self._drop(number)
        self._selector.close()
        os.close(self._wake)

    def _run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select(self._patience_s()):
                try:
                    self._serve(key)
                except Exception:  # one connection's fault must not close the port for all
                    log.exception("acceptor_fault")
            self._drop_silent()
            self._hand_over_speaking()
            if self._paused_until is not None and time.monotonic() >= self._paused_until:
                self._paused_until = None
                self._listen()

    def _serve(self, key: selectors.SelectorKey) -> None:
        if isinstance(key.data, Listener):
            self._accept(key.data)
        elif isinstance(key.data, int):
            self._first_bytes(key.data)
        else:
            os.eventfd_read(self._wake)

    def _patience_s(self) -> float | None:
        """Until the next deadline; None: only an event can bring something to do."""
        now = time.monotonic()
        times = [self._paused_until] if self._paused_until is not None else []
        if (oldest := next(iter(self._waiting.values()), None)) is not None:
            times.append(oldest.deadline)
        if self._speaking:
            times.append(now + _RETRY_S)
        return max(0.0, min(times) - now) if times else None

    def _listen(self) -> None:
        for listener in self._listeners:
            self._selector.register(listener.socket, selectors.EVENT_READ, listener)

    def _accept(self, listener: Listener) -> None:
        for _ in range(_ACCEPT_AT_ONCE):
            try:
                peer, address = listener.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_DESCRIPTOR:
                    self._pause(error)
                    return
                continue  # that peer was gone before we came to it (accept(2), "Error handling")
            self._enter(IncomingConnection(peer, str(address[0]), listener.is_tls, next(self._numbers)))

    def _enter(self, connection: IncomingConnection) -> None:
        connection.socket.setblocking(True)
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._metrics.count("connections", port="tls" if connection.is_tls else "plain")
        evicted = self._places.arrive(connection.number, connection.address)
        self._waiting[connection.number] = _Waiting(connection, connection.accepted_at + self._silence_s)
        self._selector.register(connection.socket, selectors.EVENT_READ, connection.number)
        if evicted is not None:
            self._evict(evicted)

    def _evict(self, number: int) -> None:
        if number in self._waiting:
            self._drop(number)
        else:
            self._destination.end(number)

    def _first_bytes(self, number: int) -> None:
        waiting = self._waiting.get(number)
        if waiting is None:  # evicted by an event of the same round
            return
        connection = waiting.connection
        try:
            has_spoken = bool(connection.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return
        except OSError:
            has_spoken = False
        if not has_spoken:
            self._drop(number)
            self._metrics.count("health_checks")
            if (more := self._lines.held_back("health_check", connection.address)) is not None:
                log.debug("health_check", address=connection.address, not_logged_before=more)
            return
        self._selector.unregister(connection.socket)
        self._speaking.append(number)

    def _hand_over_speaking(self) -> None:
        for _ in range(len(self._speaking)):
            number = self._speaking.popleft()
            if number not in self._waiting:  # evicted, or silent too long for a process that never came
                continue
            try:
                taken = self._destination.hand_over(self._waiting[number].connection)
            except Exception:  # one connection's fault must not close the port for all
                log.exception("connection_not_handed_over", connection=number)
                self._drop(number)
                continue
            if taken:
                del self._waiting[number]
            else:
                self._speaking.append(number)

    def _drop_silent(self) -> None:
        now = time.monotonic()
        for number, waiting in list(itertools.takewhile(lambda item: item[1].deadline <= now, self._waiting.items())):
            self._drop(number)
            self._metrics.count("silent_connections")
            address = waiting.connection.address
            if (more := self._lines.held_back("silent", address)) is not None:
                log.warning(
                    "connection_silent",
                    address=address,
                    not_logged_before=more,
                    silence_s=self._silence_s,
                    effect="closed: nothing came after the connection",
                )

    def _drop(self, number: int) -> None:
        connection = self._waiting.pop(number).connection
        with contextlib.suppress(KeyError):  # it has spoken already
            self._selector.unregister(connection.socket)
        connection.socket.close()
        self._places.leave(number)

    def _pause(self, error: OSError) -> None:
        """Without a descriptor: stop accepting for a moment, and free one by giving up the oldest connection."""
        if self._paused_until is not None:
            return
        self._paused_until = time.monotonic() + _PAUSE_S
        for listener in self._listeners:
            self._selector.unregister(listener.socket)
        if (oldest := next(iter(self._waiting), None)) is not None:
            self._drop(oldest)
        self._metrics.count("accept_pauses")
        if (more := self._lines.held_back("accept_paused", "")) is not None:
            log.error(
                "accept_paused",
                reason=error.strerror,
                not_logged_before=more,
                remedy="raise the limit of open files (ulimit -n, LimitNOFILE)",
            )
