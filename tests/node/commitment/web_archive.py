"""A DICOMweb service for the tests, over HTTP or HTTPS."""

import json
import ssl
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import HttpUrl, SecretStr

from config.settings import DicomWebDestinationSettings
from tests.http_service import HttpService
from tests.node.commitment.peers import DEADLINE_S, LOOPBACK


class WebArchive:
    """A DICOMweb service on loopback that answers searches with `answer(path, parameters)`: status and body."""

    def __init__(
        self,
        answer: Callable[[str, dict[str, list[str]]], tuple[int, bytes]],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.asked: list[tuple[str, dict[str, list[str]], str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                parameters = parse_qs(parts.query)
                outer.asked.append((parts.path, parameters, self.headers.get("Authorization")))
                status, body = answer(parts.path, parameters)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                pass

        self.server = HttpService((LOOPBACK, 0), Handler)
        self._scheme = "http"
        if tls is not None:
            # the handshake in the thread of the connection: its failure must not end the accepting one
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
            self._scheme = "https"
        self._thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self) -> "WebArchive":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(DEADLINE_S)

    @property
    def destination(self) -> DicomWebDestinationSettings:
        url = HttpUrl(f"{self._scheme}://{LOOPBACK}:{self.server.server_address[1]}/dicom-web/")
        return DicomWebDestinationSettings(name="web", url=url, token=SecretStr("secret"), timeout_s=5.0)


def dicom_json(uids: Sequence[str]) -> bytes:
    return json.dumps([{"00080018": {"vr": "UI", "Value": [uid]}} for uid in uids]).encode()
