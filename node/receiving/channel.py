"""What a receiver process asks of the supervisor, and the answers: frames of JSON over one UNIX stream socket.

A frame is its length (4 bytes, big-endian) and a JSON object. The process numbers its calls; the answer to a call has
its number. What needs no answer (a count, the end of a connection) has none. Both ends are of one program: frames are
trusted, but their length is bounded.
"""

import itertools
import json
import queue
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from node import errors
from node.commitment.parsing import CommitmentRefused
from node.errors import NodeError
from node.receiving.frame_writer import FrameWriter
from storage.errors import StorageError, StorageFull

_LENGTH: Final = struct.Struct(">I")
_LONGEST_FRAME_BYTES: Final = 64 << 20  # a commitment request of half a million instances
_READ_BYTES: Final = 1 << 18
_SEND_BUFFER_BYTES: Final = 1 << 20  # usual answers to every association of a process fit in many times
_TIME: Final = "$time"
_TIME_MARK: Final = b"$time"  # most frames hold none
# What crosses by its own name; anything else is a StorageError in the process: keep nothing, the sender tries again.
_ERRORS: Final[Mapping[str, type[Exception]]] = {
    one.__name__: one
    for one in (
        StorageError,
        StorageFull,
        NodeError,
        errors.PeerUnavailable,
        errors.OutOfResources,
        errors.InputRejected,
        errors.CannotUnderstand,
        errors.DataSetMismatch,
    )
}

Frame = dict[str, Any]


class ChannelClosed(StorageError):
    """The other process is gone: nothing that waits for it will be answered."""


class Frames:
    """One end of the socket, as frames. One thread may read, any may write."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._send_lock = threading.Lock()
        self._writer = FrameWriter(end)
        self._unread = bytearray()

    def send(self, frame: Frame) -> None:
        """Send one frame; waits while the other end does not read. Raises OSError when it is gone."""
        encoded = _encoded(frame)
        with self._send_lock:
            self._socket.sendall(encoded)

    def send_at_once(self, frame: Frame) -> None:
        """Send one frame without waiting, because others wait for us: what has no room goes when there is.

        An end that leaves very much unread is hung up on. Not to be mixed with `send` on one end.
        """
        if not self._writer.write(_encoded(frame)):
            self.hang_up()

    def receive(self) -> list[Frame]:
        """Wait for at least one frame and return all that are there; none when the other end is gone."""
        frames: list[Frame] = []
        while not frames:
            try:
                arrived = self._socket.recv(_READ_BYTES)
            except OSError:  # reset, or closed here: nothing comes any more
                return []
            if not arrived:
                return []
            self._unread += arrived
            frames = self._whole_frames()
        return frames

    def hang_up(self) -> None:
        """Let both ends see the end of the stream. Harmless when they did already."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # not connected any more
            return

    def close(self) -> None:
        self._socket.close()

    def _whole_frames(self) -> list[Frame]:
        frames, start = [], 0
        while len(self._unread) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._unread, start)
            if length > _LONGEST_FRAME_BYTES:
                raise NodeError(f"a frame of {length} bytes between the processes: a fault of ours, report it")
            end = start + _LENGTH.size + length
            if len(self._unread) < end:
                break
            content = self._unread[start + _LENGTH.size : end]
            frames.append(json.loads(content, object_hook=_with_time if _TIME_MARK in content else None))
            start = end
        del self._unread[:start]
        return frames


class ChannelClient:
    """The receiver process' end: calls that wait for their answer, and news that do not. Safe for many threads."""

    def __init__(self, end: socket.socket, *, on_closed: Callable[[], None]) -> None:
        self._frames = Frames(end)
        self._on_closed = on_closed
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._calls: dict[int, queue.SimpleQueue[Frame]] = {}
        self._closed = False
        self._reader = threading.Thread(target=self._read, name="channel", daemon=True)

    def start(self) -> None:
        self._reader.start()

    def call(self, name: str, body: object) -> Any:
        """The supervisor's answer. Raises the error that it raised, or ChannelClosed when it is gone."""
        answer: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        number = next(self._numbers)
        with self._lock:
            if self._closed:
                raise ChannelClosed("the supervisor is gone: send the object again")
            self._calls[number] = answer
        try:
            self._frames.send({"call": name, "id": number, "body": body})
        except OSError as error:
            with self._lock:
                self._calls.pop(number, None)
            raise ChannelClosed("the supervisor is gone: send the object again") from error
        return _result(answer.get())

    def tell(self, name: str, body: object) -> None:
        """Say something that needs no answer; lost when the supervisor is gone."""
        try:
            self._frames.send({"call": name, "body": body})
        except OSError:  # the reader sees the end, too, and acts
            return

    def _read(self) -> None:
        while frames := self._frames.receive():
            for frame in frames:
                with self._lock:
                    waiting = self._calls.pop(frame["id"])
                waiting.put(frame)
        with self._lock:
            self._closed = True
            for waiting in self._calls.values():
                waiting.put({"error": ChannelClosed.__name__, "text": "the supervisor is gone: send the object again"})
            self._calls.clear()
        self._on_closed()


def answer(number: int, result: object) -> Frame:
    """The frame that answers a call: with an error's name and text when `result` is an exception."""
    if not isinstance(result, Exception):
        return {"id": number, "result": result}
    name = type(result).__name__
    if isinstance(result, CommitmentRefused):
        return {"id": number, "error": name, "text": str(result), "status": result.dimse_status}
    if name in _ERRORS:
        return {"id": number, "error": name, "text": str(result)}
    text = f"unexpected {name} in the supervisor; its log says more"
    return {"id": number, "error": StorageError.__name__, "text": text}


def with_tuples(value: Any) -> Any:
    """JSON has only lists; our frozen types have tuples."""
    if isinstance(value, list):
        return tuple(with_tuples(one) for one in value)
    if isinstance(value, dict):
        return {key: with_tuples(one) for key, one in value.items()}
    return value


def _result(frame: Frame) -> Any:
    if "status" in frame:
        raise CommitmentRefused(frame["text"], status=frame["status"])
    if "error" in frame:
        raise _ERRORS.get(frame["error"], ChannelClosed)(frame["text"])
    return frame["result"]


def _encoded(frame: Frame) -> bytes:
    # ASCII: a broken header may hold lone surrogates, which UTF-8 does not have
    content = json.dumps(frame, ensure_ascii=True, default=_written).encode("ascii")
    return _LENGTH.pack(len(content)) + content


def _written(value: object) -> object:
    if isinstance(value, datetime):
        return {_TIME: value.isoformat()}
    raise TypeError(f"{type(value).__name__} cannot cross to another process: a fault of ours, report it")


def _with_time(fields: Frame) -> Any:
    return datetime.fromisoformat(fields[_TIME]) if fields.keys() == {_TIME} else fields
