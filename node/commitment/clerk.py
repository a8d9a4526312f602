"""Runs storage commitment: asks archives, and reports to peers, each in a thread of its own while there is work.

A slow or dead peer holds up nobody else. All state that matters is in the database: after a restart it goes on.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from config.settings import DestinationSettings, SenderSettings, Settings
from node.commitment.delay import delay_s
from node.commitment.handlers import CommitmentServices
from node.commitment.report import CommitmentReporter
from node.commitment.request import CommitmentAsker
from node.errors import NodeError, PeerUnavailable
from storage.database import Database
from storage.errors import StorageError
from storage.files import FileStore

log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 1.0


@dataclass(slots=True)
class _Errand:
    """What is done for one peer, and how it went lately."""

    name: str
    run: Callable[[], object]
    thread: threading.Thread | None = None
    failures_in_a_row: int = 0
    not_before: float = field(default=0.0)  # time.monotonic()

    @property
    def is_free(self) -> bool:
        return (self.thread is None or not self.thread.is_alive()) and time.monotonic() >= self.not_before


class CommitmentClerk:
    """Storage commitment of one node, in both directions."""

    def __init__(
        self,
        askers: Sequence[CommitmentAsker],
        reporter: CommitmentReporter,
        settings: SenderSettings,
        *,
        look_every_s: float = _LOOK_EVERY_S,
    ) -> None:
        self._settings = settings
        self._look_every_s = look_every_s
        self._reporter = reporter
        self._asking = [_Errand(f"commitment-ask-{asker.name}", asker.ask_once) for asker in askers]
        self._reporting: dict[str, _Errand] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._database_is_away = False

    def start(self) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="commitment-clerk", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Begin nothing new and wait for what runs; a thread that waits for a peer longer is left behind."""
        self._stopping.set()
        deadline = time.monotonic() + timeout_s
        errands = [errand.thread for errand in (*self._asking, *self._reporting.values())]
        for thread in (self._thread, *errands):
            if thread is not None:
                thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while not self._stopping.wait(self._look_every_s):
            try:
                waiting = self._reporter.waiting()
            except StorageError as error:
                if not self._database_is_away:
                    log.warning("database_away", part="commitment", reason=str(error))
                self._database_is_away = True
                continue
            except Exception:  # thread boundary: no fault must end the thread
                log.exception("commitment_clerk_failed")
                continue
            self._database_is_away = False
            for ae_title in waiting:
                self._reporting.setdefault(ae_title, self._report_to(ae_title))
            for errand in (*self._asking, *(self._reporting[ae_title] for ae_title in waiting)):
                if errand.is_free:
                    errand.thread = threading.Thread(target=self._do, args=(errand,), name=errand.name, daemon=True)
                    errand.thread.start()

    def _report_to(self, ae_title: str) -> _Errand:
        return _Errand(f"commitment-report-{ae_title}", lambda: self._reporter.report_once(ae_title))

    def _do(self, errand: _Errand) -> None:
        try:
            errand.run()
        except PeerUnavailable as error:
            if errand.failures_in_a_row == 0:
                log.warning("commitment_peer_unavailable", errand=errand.name, reason=str(error))
        except (NodeError, StorageError) as error:
            if errand.failures_in_a_row == 0:
                log.error("commitment_failed", errand=errand.name, reason=str(error))  # noqa: TRY400 - expected
        except Exception:  # thread boundary
            log.exception("commitment_failed", errand=errand.name)
        else:
            if errand.failures_in_a_row:
                log.info("commitment_works_again", errand=errand.name)
            errand.failures_in_a_row = 0
            return
        errand.failures_in_a_row += 1
        errand.not_before = time.monotonic() + delay_s(errand.failures_in_a_row, self._settings)


def make_clerk(
    database: Database, files: FileStore, settings: Settings, services: CommitmentServices, *, owner: str
) -> CommitmentClerk:
    """The clerk of a node, not yet started; `services` takes results that come over our own associations."""
    askers = [
        CommitmentAsker(database, destination, settings.sender, settings.receiver.ae_title, services)
        for destination in settings.destinations
        if isinstance(destination, DestinationSettings) and destination.commitment is not None
    ]
    return CommitmentClerk(askers, CommitmentReporter(database, files, settings, owner=owner), settings.sender)
