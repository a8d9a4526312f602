"""Frames to another process without waiting for it: what has no room in the socket now goes when there is."""

import socket
import threading
from collections import deque
from typing import Final

# The longest frame that may be sent: an end that leaves more unread will not come to read it.
_LONGEST_BACKLOG_BYTES: Final = 64 << 20


class FrameWriter:
    """Keeps the order of what is written. Safe for many threads; its own thread lives while there is a backlog."""

    def __init__(self, end: socket.socket, *, longest_backlog_bytes: int = _LONGEST_BACKLOG_BYTES) -> None:
        self._socket = end
        self._longest_backlog_bytes = longest_backlog_bytes
        self._lock = threading.Lock()
        self._backlog: deque[memoryview] = deque()
        self._backlog_bytes = 0
        self._is_broken = False

    def write(self, encoded: bytes) -> bool:
        """False when the other end is gone, or has left too much unread; nothing more is written then."""
        with self._lock:
            if self._is_broken:
                return False
            rest = memoryview(encoded)
            if not self._backlog:
                rest = rest[self._send_now(rest) :]
            if rest and not self._is_broken:
                self._keep(rest)
            return not self._is_broken

    def _send_now(self, content: memoryview) -> int:
        try:
            return self._socket.send(content, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        except OSError:  # the other end is gone
            self._is_broken = True
            return 0

    def _keep(self, rest: memoryview) -> None:
        self._backlog.append(rest)
        self._backlog_bytes += len(rest)
        if self._backlog_bytes > self._longest_backlog_bytes:
            self._is_broken = True
        elif len(self._backlog) == 1:
            try:
                threading.Thread(target=self._drain, args=(rest,), name="frame-writer", daemon=True).start()
            except RuntimeError:  # no thread left
                self._is_broken = True

    def _drain(self, first: memoryview) -> None:
        """Wait for room and write, until nothing is left or the socket is shut down."""
        content: memoryview | None = first
        while content is not None:
            try:
                self._socket.sendall(content)
            except OSError:
                with self._lock:
                    self._is_broken = True
                    self._backlog.clear()
                return
            with self._lock:  # at once with the look for more: who finds nothing there writes by itself
                self._backlog.popleft()
                self._backlog_bytes -= len(content)
                content = self._backlog[0] if self._backlog else None
