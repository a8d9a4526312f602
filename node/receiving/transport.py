"""One TCP or TLS connection: waits on its socket and on a word of other threads at once, each time with a deadline.

The socket never blocks by itself: pynetdicom's does, for as long as a peer likes.
"""

import os
import select
import socket
import ssl
import threading
import time
from typing import Final

from node.errors import NodeError

# Not on every system. Without it a sender that leaves Nagle's algorithm on waits 40 ms for our acknowledgement.
_QUICK_ACK: Final = getattr(socket, "TCP_QUICKACK", None)
_MILLISECONDS: Final = 1000


class ConnectionGone(NodeError):
    """The peer closed the connection, or does not take what it is sent."""


class Wake:
    """Lets other threads interrupt the wait of the connection's own. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._descriptor

    def __call__(self) -> None:
        with self._lock:
            if self._descriptor >= 0:
                os.eventfd_write(self._descriptor, 1)

    def clear(self) -> None:
        os.eventfd_read(self._descriptor)

    def close(self) -> None:
        with self._lock:
            os.close(self._descriptor)
            self._descriptor = -1


class Transport:
    """The socket of one connection. Belongs to one thread, but for `wake` and `interrupt`."""

    def __init__(self, connected: socket.socket, silence_s: float) -> None:
        """`silence_s`: how long the peer may let us wait until it takes what we send."""
        self.socket: socket.socket | ssl.SSLSocket = connected
        self.wake = Wake()
        self.is_interrupted = False
        self._silence_s = silence_s
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def interrupt(self) -> None:
        """Let the connection's thread go on from where it waits; what it was sending or greeting fails."""
        self.is_interrupted = True
        self.wake()

    def handshake(self, context: ssl.SSLContext, deadline: float) -> None:
        """Begin TLS as server until `deadline` (monotonic). Raises OSError (ssl.SSLError, TimeoutError among them)."""
        secured = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.socket = secured
        while True:
            try:
                secured.do_handshake()
            except ssl.SSLWantReadError:
                wanted = select.POLLIN
            except ssl.SSLWantWriteError:
                wanted = select.POLLOUT
            else:
                return
            if self.is_interrupted:
                raise ConnectionAbortedError("the connection is to end")
            if not self._wait(wanted, deadline - time.monotonic()):
                raise TimeoutError("the peer did not go on with its TLS handshake")

    def wait(self, seconds: float) -> bool:
        """Wait until there may be something to read, or for a word of another thread; False when time is over."""
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True
        return self._wait(select.POLLIN, seconds)

    def acknowledge(self) -> None:
        """Let TCP acknowledge now what was read: the peer may hold back the rest until then (Nagle's algorithm)."""
        if _QUICK_ACK is None:
            return
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        except OSError:  # the connection has just ended: the next read says so
            return

    def read_into(self, room: memoryview) -> int | None:
        """How many bytes were read; 0 at the end of the stream, None when there are none now.

        Raises ConnectionGone.
        """
        try:
            count = self.socket.recv_into(room)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except OSError as error:  # reset, or a TLS record that is none
            raise ConnectionGone(f"{type(error).__name__} while reading") from error
        return count

    def send(self, data: bytes) -> None:
        """Send all of it. Raises ConnectionGone."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self.socket.send(rest) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                if not self._wait(select.POLLOUT, self._silence_s) or self.is_interrupted:
                    raise ConnectionGone(f"the peer took nothing for {self._silence_s:g} s") from None
            except OSError as error:
                raise ConnectionGone(f"{type(error).__name__} while sending") from error

    def close(self) -> None:
        """Harmless when it is closed already."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # the peer was faster
            pass
        finally:
            self.socket.close()

    def release(self) -> None:
        """Close everything: the last call."""
        self.close()
        self.wake.close()

    def _wait(self, wanted: int, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self.wake.fileno(), select.POLLIN)
        poll.register(self.socket.fileno(), wanted)
        # rounded up: a wait must not end before its time and be repeated
        ready = poll.poll(max(0, int(seconds * _MILLISECONDS) + 1))
        if any(descriptor == self.wake.fileno() for descriptor, _ in ready):
            self.wake.clear()
        return bool(ready)
