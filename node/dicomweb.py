"""The one way to make an HTTP client for a DICOMweb service, and to end what it does after a time."""

import logging
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Final

import httpx

from config.settings import DicomWebDestinationSettings
from node.tls import client_context


def dicomweb_client(destination: DicomWebDestinationSettings) -> httpx.Client:
    """One connection to the service, for one thread at a time. Raises NodeError when its TLS files cannot be used."""
    _quiet_http_logs()
    token = destination.token
    return httpx.Client(
        timeout=destination.timeout_s,
        verify=ssl.create_default_context() if destination.tls is None else client_context(destination.tls),
        limits=httpx.Limits(max_connections=1),
        headers={} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"},
        follow_redirects=False,  # a redirect could carry images and token to somewhere else
        trust_env=False,  # and so could a proxy of the environment
    )


_CONNECTED: Final = frozenset({"connection.connect_tcp.complete", "connection.start_tls.complete"})
_ONCE_MORE_S: Final = 1.0


class Deadline:
    """Of the requests of one client, one after the other.

    The client's own timeout is of one read or write: a service that now and then sends a byte, of its answer's head as
    well, would be waited for as long as it likes. So the connection is shut down from outside.
    """

    def __init__(self) -> None:
        self._connection: Any = None
        self.extensions: Final = {"trace": self._trace}  # for each request

    @contextmanager
    def within(self, seconds: float) -> Iterator[threading.Event]:
        """Shut the connection down after so long; the event tells that it was."""
        ended, over = threading.Event(), threading.Event()

        def watch() -> None:
            waited_s = seconds
            while not ended.wait(waited_s):
                over.set()
                self._shut_down()
                waited_s = _ONCE_MORE_S  # it may have been about to connect

        threading.Thread(target=watch, name="dicomweb-deadline", daemon=True).start()
        try:
            yield over
        finally:
            ended.set()

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event in _CONNECTED:
            self._connection = info["return_value"]

    def _shut_down(self) -> None:
        connected = None if self._connection is None else self._connection.get_extra_info("socket")
        if connected is not None:
            with suppress(OSError):  # it ended meanwhile
                socket.socket.shutdown(connected, socket.SHUT_RDWR)  # not TLS's: another thread is reading


@cache
def _quiet_http_logs() -> None:
    """The library logs each request with its URL, in which there are UIDs, and a site may have put a password."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
