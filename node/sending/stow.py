"""STOW-RS: files to a DICOMweb service, one object per request, so that each has an answer of its own.

The body is streamed from the file. Neither token nor user information of the URL reaches a log or a reason.
Source: PS3.18 10.5 (Store transaction), 8.6.1.2.1 (multipart/related).
"""

import threading
import time
import uuid
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import httpx

from config.settings import DicomWebDestinationSettings
from node.dicomweb import Deadline, dicomweb_client
from node.errors import CannotUnderstand, InputRejected, NodeError
from node.outgoing import OutgoingObject, in_syntax, read_outgoing
from node.own_faults import is_own_fault_of_a_connection
from node.part10 import read_file_meta
from node.sending.coercion import coerced_file
from node.sending.results import NoAnswer, Shipment, StoreOutcome, StoreResult
from node.sending.store_path import SLOWEST_LINK_BYTES_PER_S
from node.sending.stow_answer import Answer, understand
from node.sending.unreadable import unreadable

_READ_BYTES: Final = 1 << 18
_LARGEST_ANSWER_BYTES: Final = 1 << 20  # of one object: some hundred bytes are usual
_INFLATABLE: Final = ("gzip", "x-gzip", "deflate")  # of a service that compresses although it was asked not to
_GZIP_OR_ZLIB: Final = 32  # zlib looks which
_IDLE_S: Final = 4.0  # as of an association that nobody uses
_LONGEST_LIFE_S: Final = 300.0  # then certificates are read again


class StowCarrier:
    """The way to a DICOMweb service, over connections that are kept between two batches."""

    def __init__(self, destination: DicomWebDestinationSettings) -> None:
        self._destination = destination
        url = httpx.URL(str(destination.url))
        self._url = url.copy_with(path=f"{url.path.rstrip('/')}/studies", fragment=None)
        self._name = str(url.copy_with(username=None, password=None, query=None, fragment=None))
        self._lock = threading.Lock()
        self._idle: list[_Client] = []

    def carry(self, shipments: Sequence[Shipment]) -> Generator[StoreResult, None, None]:
        """Files are sent in their order. After one that did not reach the service the rest is not tried."""
        away = ""
        for shipment in shipments:
            try:
                outgoing = read_outgoing(shipment.path)
            except (CannotUnderstand, OSError, MemoryError) as error:
                yield unreadable(shipment.path, error)
                continue
            if away:
                yield _result(outgoing, _unreached(away))
                continue
            try:
                answer = self._store(outgoing, shipment)
            except (OSError, MemoryError) as error:
                yield unreadable(shipment.path, error)
                continue
            if answer.no_answer in (NoAnswer.UNREACHED, NoAnswer.LOST):
                away = answer.reason
            yield _result(outgoing, answer)

    def rest(self) -> None:
        self._close(lambda client: time.monotonic() - client.used_at >= _IDLE_S)

    def close(self) -> None:
        self._close(lambda client: True)

    def _store(self, outgoing: OutgoingObject, shipment: Shipment) -> Answer:
        """Raises OSError or MemoryError for its file; what the network does is an answer."""
        try:
            with _as_sent(outgoing, shipment) as path:
                return self._post(path, outgoing.sop_instance_uid)
        except InputRejected as error:
            return Answer(outcome=StoreOutcome.REFUSED, reason=str(error))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if is_own_fault_of_a_connection(error):
                reason = f"this node cannot send now: {_told(error)}"
                return Answer(outcome=StoreOutcome.REFUSED_FOR_NOW, reason=reason, no_answer=NoAnswer.OWN_FAULT)
            return _unreached(f"{self._name} cannot be reached: {_told(error)}")
        except httpx.HTTPError as error:
            reason = f"{self._name} gave no answer: {_told(error)}"
            return Answer(outcome=StoreOutcome.REFUSED_FOR_NOW, reason=reason, no_answer=NoAnswer.LOST)
        except NodeError as error:  # TLS files of the settings
            return _unreached(f"{self._name} cannot be reached over TLS: {error}")

    def _post(self, path: Path, sop_instance_uid: str) -> Answer:
        boundary = uuid.uuid4().hex
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        size = len(head) + path.stat().st_size + len(tail)
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(size),  # known: some services refuse a chunked body
            "Accept": "application/dicom+json",
            "Accept-Encoding": "identity",
        }
        seconds = self._destination.timeout_s + size / SLOWEST_LINK_BYTES_PER_S
        with self._borrowed() as client, client.deadline.within(seconds) as over:
            try:
                with client.http.stream(
                    "POST",
                    self._url,
                    headers=headers,
                    content=_body(head, path, tail),
                    extensions=client.deadline.extensions,
                ) as response:
                    content = _content(response)
                    read = None if over.is_set() else content
                    return understand(response.status_code, response.headers, read, sop_instance_uid)
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as error:
                if over.is_set():
                    raise httpx.ReadTimeout(f"no whole answer within {seconds:.0f} s") from error
                raise

    @contextmanager
    def _borrowed(self) -> Iterator["_Client"]:
        with self._lock:
            kept = self._idle.pop() if self._idle else None
        if kept is not None and time.monotonic() - kept.made_at > _LONGEST_LIFE_S:
            kept.http.close()
            kept = None
        client = kept if kept is not None else _Client(self._destination)
        try:
            yield client
        except BaseException:
            client.http.close()
            raise
        client.used_at = time.monotonic()
        with self._lock:
            self._idle.append(client)

    def _close(self, condition: Callable[["_Client"], bool]) -> None:
        with self._lock:
            ended = [client for client in self._idle if condition(client)]
            self._idle = [client for client in self._idle if client not in ended]
        for client in ended:
            client.http.close()


class _Client:
    """One connection to the service, for one thread at a time."""

    def __init__(self, destination: DicomWebDestinationSettings) -> None:
        """Raises NodeError when the TLS files of the settings cannot be used."""
        self.http = dicomweb_client(destination)
        self.deadline = Deadline()
        self.made_at = self.used_at = time.monotonic()


@contextmanager
def _as_sent(outgoing: OutgoingObject, shipment: Shipment) -> Iterator[Path]:
    """The original file, or a temporary one where file meta information or attributes had to be changed."""
    with ExitStack() as temporary:
        path = temporary.enter_context(in_syntax(outgoing, outgoing.transfer_syntax_uid))
        if shipment.coerce:
            offset = read_file_meta(path).data_set_offset
            syntax = outgoing.transfer_syntax_uid
            path = temporary.enter_context(coerced_file(path, offset, syntax, shipment.coerce))
        yield path


def _body(head: bytes, path: Path, tail: bytes) -> Iterator[bytes]:
    yield head
    with path.open("rb", buffering=0) as file:
        while content := file.read(_READ_BYTES):
            yield content
    yield tail


def _content(response: httpx.Response) -> bytes | None:
    """What the service answered; None when it is longer than any answer, or cannot be read."""
    content = bytearray()
    for chunk in response.iter_raw():  # undecoded: a small chunk can become a large one
        content += chunk
        if len(content) > _LARGEST_ANSWER_BYTES:
            return None
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if not content or coding == "identity":
        return bytes(content)
    return _inflated(bytes(content)) if coding in _INFLATABLE else None


def _inflated(content: bytes) -> bytes | None:
    inflater = zlib.decompressobj(zlib.MAX_WBITS | _GZIP_OR_ZLIB)
    try:
        plain = inflater.decompress(content, _LARGEST_ANSWER_BYTES)
    except zlib.error:
        return None
    return plain if inflater.eof else None


def _unreached(reason: str) -> Answer:
    return Answer(outcome=StoreOutcome.REFUSED_FOR_NOW, reason=reason, no_answer=NoAnswer.UNREACHED)


def _result(outgoing: OutgoingObject, answer: Answer) -> StoreResult:
    return StoreResult(
        path=outgoing.path,
        sop_instance_uid=outgoing.sop_instance_uid,
        status=answer.status,
        outcome=answer.outcome,
        reason=answer.reason,
        no_answer=answer.no_answer,
        retry_after_s=answer.retry_after_s,
    )


def _told(error: Exception) -> str:
    """The kind of fault and the system's word; the library's message may hold the URL."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    cause = error.__cause__
    while cause is not None and not (isinstance(cause, OSError) and cause.strerror):
        cause = cause.__cause__ or cause.__context__
    return f"{type(error).__name__}: {cause.strerror}" if isinstance(cause, OSError) else type(error).__name__
