"""STOW-RS: the file arrives as it is on disk, and each kind of answer has its consequence."""

import errno
import gzip
import json
import logging
import os
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from config.settings import DicomWebDestinationSettings
from node.sending import stow
from node.sending.results import NoAnswer, Shipment, StoreOutcome, StoreResult
from node.sending.stow import StowCarrier
from node.sending.stow_answer import retry_after_s
from tests.http_service import HttpService
from tests.node.network.objects import mr_file
from tests.node.network.peers import DEADLINE_S, LOOPBACK, data_set_of
from tests.postgresql import free_port

SENT, WARNED = StoreOutcome.SENT, StoreOutcome.SENT_WITH_WARNING
LATER, REFUSED = StoreOutcome.REFUSED_FOR_NOW, StoreOutcome.REFUSED
SECRET = "s3cret-token"  # noqa: S105 - made for the test


@dataclass
class Script:
    """What the service answers, and what it was asked."""

    code: int = 200
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: bool = False
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def url(script: Script) -> Iterator[str]:
    class Service(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            script.requests.append((self.path, dict(self.headers), content))
            if script.hang_up:
                self.close_connection = True
                return
            self.send_response(script.code)
            for name, value in {**script.headers, "Content-Length": str(len(script.content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(script.content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HttpService((LOOPBACK, 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://{LOOPBACK}:{server.server_address[1]}/dicom-web/"
        server.shutdown()
        thread.join()


Send = Callable[..., list[StoreResult]]


@pytest.fixture
def send(url: str) -> Iterator[Send]:
    made: list[StowCarrier] = []

    def send(*files: Path, url: str = url, coerce: dict[str, str] | None = None, **settings: Any) -> list[StoreResult]:
        destination = DicomWebDestinationSettings(
            **{"name": "web", "url": url, "token": SecretStr(SECRET), "timeout_s": 5.0, **settings}
        )
        made.append(StowCarrier(destination))
        return list(made[-1].carry([Shipment(path=file, coerce=coerce or {}) for file in files]))

    yield send
    for carrier in made:
        carrier.close()


def only_part(headers: dict[str, str], content: bytes) -> tuple[str, bytes]:
    """Media type and content of the one part of a multipart body, read by the standard library."""
    message = message_from_bytes(
        b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + content, policy=HTTP
    )
    (part,) = message.iter_parts()
    boundary = message.get_boundary()
    assert boundary is not None
    return part.get_content_type(), content.split(b"\r\n\r\n", 1)[1].removesuffix(f"\r\n--{boundary}--\r\n".encode())


def test_the_file_arrives_as_it_is_on_disk_with_the_token(script: Script, send: Send, tmp_path: Path) -> None:
    image = mr_file(tmp_path)

    (result,) = send(image)

    ((path, headers, content),) = script.requests
    assert (result.outcome, result.status) == (SENT, 0)
    assert path == "/dicom-web/studies"
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert headers["Content-Type"].startswith('multipart/related; type="application/dicom"; boundary=')
    assert only_part(headers, content) == ("application/dicom", image.read_bytes())


def test_several_files_go_over_one_connection_each_with_its_answer(script: Script, send: Send, tmp_path: Path) -> None:
    results = send(*(mr_file(tmp_path, number) for number in range(5)))

    assert [one.outcome for one in results] == [SENT] * 5
    assert len(script.requests) == 5


def test_attributes_are_coerced_on_the_way(script: Script, send: Send, tmp_path: Path) -> None:
    image = mr_file(tmp_path)

    send(image, coerce={"InstitutionName": "Ours"})

    ((_, headers, content),) = script.requests
    (tmp_path / "arrived").write_bytes(only_part(headers, content)[1])
    assert b"\x08\x00\x80\x00LO\x04\x00Ours" in data_set_of(tmp_path / "arrived")
    assert b"Ours" not in image.read_bytes()


def failed(reason: int | str, uid: str | int = "2.25.10001") -> bytes:
    return response("00081198", uid, "00081197", reason)


def warned(reason: int, uid: str = "2.25.10001") -> bytes:
    return response("00081199", uid, "00081196", reason)


def response(sequence: str, uid: str | int, tag: str, reason: int | str) -> bytes:
    item = {"00081155": {"vr": "UI", "Value": [uid]}, tag: {"vr": "US", "Value": [reason]}}
    return json.dumps({sequence: {"vr": "SQ", "Value": [item]}}).encode()


def xml(sequence: str, uid: str, tag: str, reason: int) -> bytes:
    values = {"00081155": uid, tag: reason}
    item = "".join(
        f'<DicomAttribute tag="{one}"><Value number="1">{value}</Value></DicomAttribute>'
        for one, value in values.items()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">'
        f'<DicomAttribute tag="{sequence}" vr="SQ"><Item number="1">{item}</Item></DicomAttribute></NativeDicomModel>'
    ).encode()


@pytest.mark.parametrize(
    ("code", "content", "outcome", "reason"),
    [
        (200, b"", SENT, ""),
        (200, warned(0xB000), WARNED, "0xB000"),
        (200, failed(0xA700), LATER, "0xA700 out of resources"),
        (202, b"", WARNED, "with a warning"),
        (202, warned(0xB006), WARNED, "0xB006"),
        (202, failed(0xC000), REFUSED, "0xC000"),
        (202, failed(0x0110), LATER, "0x0110"),
        (200, failed(0xC000, uid="2.25.999"), REFUSED, "0xC000"),
        (200, failed("x", uid=5), LATER, "0x0110"),
        (200, response("0008119A", "", "00081197", 0xC000), REFUSED, "0xC000"),
        (200, b'{"00081190": {"vr": "UR", "Value": ["http://web"]}}', SENT, ""),
        (200, xml("00081199", "2.25.10001", "00081196", 0xB000), WARNED, "0xB000"),
        (200, xml("00081198", "2.25.10001", "00081197", 0xA700), LATER, "0xA700"),
        (200, xml("00081199", "2.25.10001", "00081196", 0), SENT, ""),
        (409, failed(0xA900), REFUSED, "0xA900"),
        (409, failed(0xA700), LATER, "0xA700"),
        (409, failed(0x0111), WARNED, "duplicate"),
        (409, b"", REFUSED, "HTTP 409"),
        (400, b"patient Musterfrau", REFUSED, "HTTP 400: bad request"),
        (413, b"", REFUSED, "too large"),
        (415, b"", REFUSED, "media type"),
        (418, b"", REFUSED, "HTTP 418"),
        (500, b"", LATER, "internal error"),
        (507, b"", LATER, "server error"),
    ],
)
def test_each_answer_about_an_object_has_its_outcome(
    script: Script, send: Send, tmp_path: Path, code: int, content: bytes, outcome: StoreOutcome, reason: str
) -> None:
    script.code, script.content = code, content

    (result,) = send(mr_file(tmp_path))

    assert (result.outcome, result.no_answer) == (outcome, None)
    assert reason in result.reason
    assert "Musterfrau" not in result.reason


LOGIN = b"<html><body>Please log in: Musterfrau</body></html>"
GOOD = response("00081199", "2.25.10001", "00081196", 0)


@pytest.mark.parametrize("code", [200, 202])
@pytest.mark.parametrize(
    "content",
    [
        LOGIN,
        b"<xml/>",
        b'<!DOCTYPE x [<!ENTITY a "b">]>' + xml("00081199", "2.25.10001", "00081196", 0).partition(b"?>")[2],
        GOOD[:-1],
        b"{}",
        b"[]",
        b"17",
        b'{"00081198": 7, "00081199": [1]}',
        b'{"00081199": {"Value": [1]}}',
        b"[" * 100_000,
        response("00081199", "2.25.999", "00081196", 0),
        GOOD + b" " * (2 << 20),
    ],
    ids=range(12),
)
def test_an_answer_that_no_store_gives_says_nothing_about_the_object(
    script: Script, send: Send, tmp_path: Path, code: int, content: bytes
) -> None:
    script.code, script.content = code, content

    (result,) = send(mr_file(tmp_path))

    assert (result.outcome, result.no_answer) == (LATER, NoAnswer.LOST)
    assert "Store Instances Response" in result.reason
    assert "Musterfrau" not in result.reason


@pytest.mark.parametrize(
    ("coding", "content", "outcome"),
    [
        ("gzip", gzip.compress(GOOD), SENT),
        ("deflate", zlib.compress(GOOD), SENT),
        ("gzip", gzip.compress(GOOD)[:-9], LATER),
        ("gzip", gzip.compress(bytes(100 << 20)), LATER),
        ("gzip", GOOD, LATER),
        ("br", GOOD, LATER),
    ],
    ids=["gzip", "zlib", "cut off", "bomb", "not compressed", "brotli"],
)
def test_a_compressed_answer_is_read_within_bounds(
    script: Script, send: Send, tmp_path: Path, coding: str, content: bytes, outcome: StoreOutcome
) -> None:
    script.content, script.headers = content, {"Content-Encoding": coding}

    (result,) = send(mr_file(tmp_path))

    assert result.outcome is outcome
    assert (result.no_answer is NoAnswer.LOST) == (outcome is LATER)


@pytest.fixture
def endless() -> Iterator[Callable[..., str]]:
    """Services that answer without an end: the URL of one that says something at first, and something ever again."""
    ended = threading.Event()
    threads: list[threading.Thread] = []
    listeners: list[socket.socket] = []

    def serve(listener: socket.socket, first: bytes, again: bytes) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.sendall(first)
            while not ended.wait(0.05):
                connection.sendall(again)

    def start(first: bytes, again: bytes) -> str:
        listeners.append(socket.create_server((LOOPBACK, 0)))
        threads.append(threading.Thread(target=serve, args=(listeners[-1], first, again)))
        threads[-1].start()
        return f"http://{LOOPBACK}:{listeners[-1].getsockname()[1]}/"

    yield start
    ended.set()
    for thread, listener in zip(threads, listeners, strict=True):
        thread.join()
        listener.close()


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"a"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"a"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
    ],
    ids=["slow headers", "informational", "slow body", "slow body without a length"],
)
def test_a_service_that_never_ends_its_answer_is_left(
    endless: Callable[..., str], send: Send, tmp_path: Path, first: bytes, again: bytes
) -> None:
    results: list[StoreResult] = []
    url = endless(first, again)
    sending = threading.Thread(
        target=lambda: results.extend(send(mr_file(tmp_path), url=url, timeout_s=1.0)), daemon=True
    )

    sending.start()
    sending.join(DEADLINE_S)

    assert [(one.outcome, one.no_answer) for one in results] == [(LATER, NoAnswer.LOST)]


@pytest.mark.parametrize("code", [301, 307, 401, 403, 404, 429, 503])
def test_an_answer_about_the_service_itself_leaves_the_rest_untried(
    script: Script, send: Send, tmp_path: Path, code: int
) -> None:
    script.code, script.headers = code, {"Location": "http://elsewhere.invalid/"}

    results = send(mr_file(tmp_path, 1), mr_file(tmp_path, 2))

    assert [(one.outcome, one.no_answer) for one in results] == [(LATER, NoAnswer.UNREACHED)] * 2
    assert len(script.requests) == 1


def test_the_time_that_a_busy_service_asks_for_is_kept(script: Script, send: Send, tmp_path: Path) -> None:
    script.code, script.headers = 503, {"Retry-After": "120"}

    (result,) = send(mr_file(tmp_path))

    assert result.retry_after_s == 120.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("17", 17.0),
        ("Mon, 02 Nov 2026 08:01:00 GMT", 60.0),
        ("Mon, 02 Nov 2026 07:00:00 GMT", 0.0),
        ("9999999999", 3600.0),
        ("", 0.0),
        ("-5", 0.0),
        ("soon", 0.0),
    ],
)
def test_retry_after_is_read_as_number_and_as_date(value: str, seconds: float) -> None:
    assert retry_after_s(value, datetime(2026, 11, 2, 8, 0, tzinfo=UTC)) == seconds


@pytest.mark.parametrize("code", [502, 504])
def test_behind_a_gateway_the_object_may_have_been_stored(
    script: Script, send: Send, tmp_path: Path, code: int
) -> None:
    script.code = code

    (result,) = send(mr_file(tmp_path))

    assert (result.outcome, result.no_answer) == (LATER, NoAnswer.LOST)


def test_a_service_that_hangs_up_may_hold_the_object(script: Script, send: Send, tmp_path: Path) -> None:
    script.hang_up = True

    (result,) = send(mr_file(tmp_path))

    assert (result.outcome, result.no_answer) == (LATER, NoAnswer.LOST)


def test_a_service_that_is_not_there_is_told_without_the_secrets_of_its_url(
    send: Send, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    (result,) = send(mr_file(tmp_path), url=f"http://user:{SECRET}@{LOOPBACK}:{free_port()}/web?key={SECRET}")

    assert result.no_answer is NoAnswer.UNREACHED
    assert f"http://{LOOPBACK}" in result.reason
    assert SECRET not in result.reason + caplog.text


def test_no_request_is_logged_with_its_url(
    url: str, send: Send, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    send(mr_file(tmp_path), url=url.replace("http://", f"http://user:{SECRET}@"))

    assert SECRET not in caplog.text


def test_images_and_token_do_not_follow_a_redirect(script: Script, send: Send, tmp_path: Path, url: str) -> None:
    script.code, script.headers = 307, {"Location": f"{url}elsewhere/studies"}

    (result,) = send(mr_file(tmp_path))

    assert [path for path, _, _ in script.requests] == ["/dicom-web/studies"]
    assert (result.outcome, result.no_answer) == (LATER, NoAnswer.UNREACHED)


def test_a_machine_without_room_blames_no_service_and_goes_on(
    script: Script, send: Send, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(stow, "coerced_file", no_room)

    results = send(mr_file(tmp_path, 1), mr_file(tmp_path, 2), coerce={"InstitutionName": "Ours"})

    assert {(one.outcome, one.no_answer, one.reason) for one in results} == {
        (LATER, NoAnswer.OWN_FAULT, "this node cannot send now: No space left on device")
    }
    assert script.requests == []


def test_a_machine_without_descriptors_does_not_call_the_service_unreachable(
    send: Send, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many(*_: Any, **__: Any) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket, "create_connection", too_many)

    (result,) = send(mr_file(tmp_path))

    assert (result.outcome, result.no_answer) == (LATER, NoAnswer.OWN_FAULT)


def test_a_file_that_is_gone_is_refused_and_the_others_are_sent(send: Send, tmp_path: Path) -> None:
    results = send(tmp_path / "gone.dcm", mr_file(tmp_path))

    assert [one.outcome for one in results] == [REFUSED, SENT]
