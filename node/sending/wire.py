"""A connection of the DICOM upper layer seen from one thread that owns it: every send and receive has a deadline."""

import select
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from typing import Final, Protocol

from node.errors import PeerUnavailable
from node.own_faults import OwnFault, is_own_fault_of_a_connection, told

Buffer = bytes | memoryview

_PDU_HEADER: Final = struct.Struct(">BxL")  # PS3.8 9.3.1: type, reserved, length of what follows
# What a peer sends to a sender is short: responses of 200 bytes, an A-ASSOCIATE-AC of some kilobytes.
_MAXIMUM_PDU_BYTES: Final = 1 << 20
_FIRST_BUFFER_BYTES: Final = 1 << 16
_TIMEVAL: Final = struct.Struct("@ll")  # seconds, microseconds: struct timeval of a 64-bit Linux


class ConnectionLost(Exception):
    """The peer closed or broke the connection, or did not answer in time."""


class Wire:
    """Bytes and PDUs over one connected socket. Deadlines are times of `time.monotonic`."""

    def __init__(self, transport: "_Transport") -> None:
        self._transport = transport
        self._buffer = memoryview(bytearray(_FIRST_BUFFER_BYTES))
        self._start = self._end = 0  # what is received and not yet read

    def send(self, buffers: Sequence[Buffer], deadline: float) -> None:
        """Send all bytes of the buffers. Raises ConnectionLost."""
        try:
            self._transport.send(buffers, deadline)
        except TimeoutError:
            raise ConnectionLost("the peer stopped reading") from None
        except OSError as error:
            raise ConnectionLost(_told(error)) from error

    def read_pdu(self, deadline: float) -> tuple[int, memoryview]:
        """The next PDU: its type and all of its bytes, valid until the next call. Raises ConnectionLost."""
        if self._start == self._end:
            self._start = self._end = 0
        header = self._take(_PDU_HEADER.size, deadline)
        kind, length = _PDU_HEADER.unpack_from(self._buffer, header)
        if length > _MAXIMUM_PDU_BYTES:
            raise ConnectionLost(f"the peer announced a PDU of {length} bytes")
        start = self._take(_PDU_HEADER.size + length, deadline)
        self._start = start + _PDU_HEADER.size + length
        return kind, self._buffer[start : self._start]

    @property
    def is_quiet(self) -> bool:
        """Whether the peer has said nothing that was not read: neither a PDU nor that it is gone."""
        if self._start != self._end:
            return False
        poll = select.poll()
        poll.register(self._transport.socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        self._transport.socket.close()

    def _take(self, count: int, deadline: float) -> int:
        """Receive until `count` bytes are there; gives where in the buffer they begin."""
        if self._start + count > len(self._buffer):
            self._make_room(count)
        while self._end - self._start < count:
            try:
                received = self._transport.receive_into(self._buffer[self._end :], deadline)
            except TimeoutError:
                raise ConnectionLost("the peer did not answer in time") from None
            except OSError as error:
                raise ConnectionLost(_told(error)) from error
            if not received:
                raise ConnectionLost("the peer closed the connection")
            self._end += received
        return self._start

    def _make_room(self, count: int) -> None:
        rest = bytes(self._buffer[self._start : self._end])
        if count > len(self._buffer):
            self._buffer = memoryview(bytearray(count))
        self._buffer[: len(rest)] = rest
        self._start, self._end = 0, len(rest)


class _Transport(Protocol):
    @property
    def socket(self) -> socket.socket: ...

    def send(self, buffers: Sequence[Buffer], deadline: float) -> None: ...

    def receive_into(self, buffer: memoryview, deadline: float) -> int: ...


class _PlainTransport:
    """A blocking socket whose time limits the kernel keeps: one call sends a whole group of PDUs."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.socket.settimeout(None)

    def send(self, buffers: Sequence[Buffer], deadline: float) -> None:
        while buffers:
            self._limit(socket.SO_SNDTIMEO, deadline)
            try:
                sent = self.socket.sendmsg(buffers)
            except BlockingIOError:  # not a byte went out in that time
                raise TimeoutError from None
            buffers = _unsent(buffers, sent)

    def receive_into(self, buffer: memoryview, deadline: float) -> int:
        self._limit(socket.SO_RCVTIMEO, deadline)
        try:
            return self.socket.recv_into(buffer)
        except BlockingIOError:
            raise TimeoutError from None

    def _limit(self, option: int, deadline: float) -> None:
        microseconds = max(1, int(_remaining_s(deadline) * 1e6))  # zero would mean no limit
        self.socket.setsockopt(socket.SOL_SOCKET, option, _TIMEVAL.pack(*divmod(microseconds, 1_000_000)))


class _TlsTransport:
    def __init__(self, connected: ssl.SSLSocket) -> None:
        self.socket = connected

    def send(self, buffers: Sequence[Buffer], deadline: float) -> None:
        self.socket.settimeout(_remaining_s(deadline))  # of the whole call
        self.socket.sendall(b"".join(buffers))

    def receive_into(self, buffer: memoryview, deadline: float) -> int:
        self.socket.settimeout(_remaining_s(deadline))
        return self.socket.recv_into(buffer)


def connect(host: str, port: int, timeout_s: float, tls: ssl.SSLContext | None, server_name: str | None) -> Wire:
    """Connect, with TLS where a context is given. Raises PeerUnavailable with what was wrong, OwnFault."""
    try:
        connected = socket.create_connection((host, port), timeout_s)
    except (OSError, UnicodeError) as error:  # also a host name that nobody knows, or that no host can have
        if is_own_fault_of_a_connection(error):
            raise OwnFault(told(error)) from error
        raise PeerUnavailable(f"cannot be reached: {_told(error)}") from error
    # With Nagle's algorithm each object waits for a delayed acknowledgement (40 ms).
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is None:
        return Wire(_PlainTransport(connected))
    try:
        return Wire(_TlsTransport(tls.wrap_socket(connected, server_hostname=server_name or host)))
    except (OSError, ValueError) as error:  # ValueError: a server name that no certificate can have
        connected.close()
        raise PeerUnavailable(f"TLS failed: {_told(error)}") from error


def _remaining_s(deadline: float) -> float:
    remaining_s = deadline - time.monotonic()
    if remaining_s <= 0:
        raise TimeoutError
    return remaining_s


def _unsent(buffers: Sequence[Buffer], sent: int) -> list[Buffer]:
    """What is left of the buffers after their first `sent` bytes."""
    for number, buffer in enumerate(buffers):
        if sent < len(buffer):
            return [memoryview(buffer)[sent:], *buffers[number + 1 :]]
        sent -= len(buffer)
    return []


def _told(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
