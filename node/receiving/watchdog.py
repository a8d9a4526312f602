"""Pings the receiver processes, so that one that hangs without dying is noticed, spared, and in the end replaced."""

import threading
from collections.abc import Sequence
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)


class Watched(Protocol):
    def ping(self) -> None:
        """Ask for a sign of life, and act when too many are missing; returns at once."""


class Watchdog:
    """Pings each of `watched` every `every_s` seconds until it is stopped."""

    def __init__(self, watched: Sequence[Watched], *, every_s: float) -> None:
        self._watched = tuple(watched)
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="receiver-watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            for one in self._watched:
                try:
                    one.ping()
                except Exception:  # thread boundary: the others go on being watched
                    log.exception("watchdog_fault")
