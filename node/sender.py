"""Empties the outbox: a group of threads per destination, so that a peer that is down delays no other.

A delivery is claimed under a lease, sent, and settled in the outbox. When a sender dies after the peer's success and
before our commit, the lease runs out; the peer is asked whether it holds the object, or the object is sent again under
the same SOP Instance UID: a peer that holds it already keeps one.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from config.settings import AnyDestination, SenderSettings
from node.dicom_stack import prepare_dicom_stack
from node.metrics import Metrics
from node.sending.circuit import Circuit, backoff_s
from node.sending.lane import Holdings, Lane, Office
from node.sending.ways import way_to
from storage.database import Database
from storage.errors import StorageError
from storage.files import FileStore

__all__ = ["Holdings", "Sender", "backoff_s"]

log = structlog.get_logger(__name__)

_LARGEST_EXPONENT: Final = 32  # beyond every cap
_LONGEST_FAULT_PAUSE_S: Final = 30.0  # a database that is back is noticed within half a minute


class Sender:
    """Delivers what the outbox holds for the given destinations."""

    def __init__(
        self,
        database: Database,
        files: FileStore,
        destinations: Sequence[AnyDestination],
        settings: SenderSettings,
        ae_title: str,
        owner: str,
        *,
        holdings: Holdings | None = None,
        metrics: Metrics | None = None,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`holdings`: asks a destination for objects whose last attempt ended without an answer; None: they are sent.

        `clock`: of the circuits' pauses.
        """
        prepare_dicom_stack()
        self._settings = settings
        rng = rng if rng is not None else random.Random()  # noqa: S311 - jitter, no secret
        office = Office(
            database=database,
            files=files,
            settings=settings,
            owner=owner,
            rng=rng,
            holdings=holdings,
            metrics=metrics if metrics is not None else Metrics(),
        )
        for destination in destinations:
            office.metrics.set("circuit_open", 0, destination=destination.name)
        self._lanes = {
            destination.name: Lane(
                destination,
                way_to(destination, ae_title),
                Circuit(
                    destination.name,
                    opens_after=settings.circuit_opens_after,
                    base_s=settings.retry_base_s,
                    probe_s=settings.circuit_probe_s,
                    rng=rng,
                    clock=clock,
                ),
                office,
            )
            for destination in destinations
        }
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start as many threads per destination as it has associations."""
        self._stopping.clear()
        self._threads = [
            threading.Thread(target=_Loop(lane, self._settings, self._stopping).run, name=f"sender-{name}", daemon=True)
            for name, lane in self._lanes.items()
            for _ in range(lane.destination.associations)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the threads after the object each one is sending; what is not sent stays in the outbox.

        A thread that waits for a peer longer than `timeout_s` is left behind: its lease runs out by itself.
        """
        self._stopping.set()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._threads = []
        for lane in self._lanes.values():
            lane.carrier.close()

    def deliver_once(self, destination: str) -> int:
        """Send one batch of what is due for a destination; returns how many deliveries were tried."""
        return self._lanes[destination].deliver_batch(self._stopping)


class _Loop:
    """What one thread of a destination does until the sender stops."""

    def __init__(self, lane: Lane, settings: SenderSettings, stopping: threading.Event) -> None:
        self._lane = lane
        self._settings = settings
        self._stopping = stopping
        self._faults_in_a_row = 0  # our own, not the peer's
        self._database_is_away = False

    def run(self) -> None:
        name = self._lane.destination.name
        while not self._stopping.is_set():
            try:
                tried = self._lane.deliver_batch(self._stopping)
            except StorageError as error:
                if not self._database_is_away:
                    log.warning("database_away", destination=name, reason=str(error))
                self._database_is_away = True
                self._pause_after_fault()
                continue
            except Exception:  # thread boundary: no fault must end the thread
                log.exception("delivery_failed", destination=name)
                self._pause_after_fault()
                continue
            if self._database_is_away:
                log.info("database_back", destination=name)
            self._database_is_away, self._faults_in_a_row = False, 0
            if not tried or self._lane.circuit.has_failed or self._lane.is_hindered:
                self._lane.carrier.rest()
                self._stopping.wait(max(self._settings.poll_s, self._lane.circuit.wait_s))

    def _pause_after_fault(self) -> None:
        doublings = min(self._faults_in_a_row, _LARGEST_EXPONENT)
        self._faults_in_a_row += 1
        self._stopping.wait(min(self._settings.poll_s * 2.0**doublings, _LONGEST_FAULT_PAUSE_S))
