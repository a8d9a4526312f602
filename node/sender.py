"""Empties the outbox: one thread per destination, so that a peer that is down delays no other.

A delivery is claimed under a lease, sent, and settled in the outbox. When a sender dies after the peer's success and
before our commit, the lease runs out and the object is sent again under the same SOP Instance UID: a peer that holds
it already keeps one.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from config.settings import DestinationSettings, SenderSettings
from node.store_scu import Peer, StoreOutcome, StoreResult, store_each
from storage import outbox
from storage.database import Database
from storage.errors import LeaseLost, StorageError
from storage.files import FileStore
from storage.outbox import DeliveryClaim

log = structlog.get_logger(__name__)

_FIRST_BATCH: Final = 8
_LARGEST_BATCH: Final = 64
# While a peer is down one delivery probes it: the attempts of all others are not used up by one outage.
_PROBE: Final = 1
# A peer that is up again is noticed within a minute, however long it was down.
_LONGEST_PAUSE_S: Final = 60.0
# One object may wait for a connection, an association and an answer; a lease leaves time for one more of these.
_TIMEOUTS_PER_OBJECT: Final = 3
_TIMEOUTS_PER_LEASE: Final = 4
_LARGEST_EXPONENT: Final = 32  # beyond every cap
_LONGEST_FAULT_PAUSE_S: Final = 30.0  # a database that is back is noticed within half a minute


def backoff_s(attempt: int, *, base_s: float, cap_s: float, rng: random.Random) -> float:
    """Seconds to wait after the `attempt`-th try (from 1): evenly drawn up to base * 2^attempt, never above the cap.

    The full range is drawn from, so that senders that failed together do not come back together.
    """
    return rng.uniform(0.0, min(cap_s, base_s * 2.0 ** min(attempt, _LARGEST_EXPONENT)))


@dataclass(slots=True)
class _Channel:
    """What one destination's thread knows between two batches."""

    destination: DestinationSettings
    batch_size: int = _FIRST_BATCH
    failures_in_a_row: int = 0
    faults_in_a_row: int = 0  # our own, not the peer's
    database_is_away: bool = False

    @property
    def is_down(self) -> bool:
        return self.failures_in_a_row > 0


@dataclass(slots=True)
class _BatchReport:
    """One batch, for its log lines."""

    reached: bool = False  # the peer took part, whatever it answered
    unreached: bool = False
    outcomes: Counter[str] = field(default_factory=Counter)
    dead: list[int] = field(default_factory=list)
    reason: str = ""

    def add(self, result: StoreResult) -> None:
        self.outcomes[result.outcome.value] += 1
        if result.status is None and result.outcome is StoreOutcome.REFUSED_FOR_NOW:
            self.unreached = True
            self.reason = self.reason or result.reason
        elif result.sop_instance_uid:  # without, the file could not even be read
            self.reached = True


class Sender:
    """Delivers what the outbox holds for the given destinations."""

    def __init__(
        self,
        database: Database,
        files: FileStore,
        destinations: Sequence[DestinationSettings],
        settings: SenderSettings,
        ae_title: str,
        owner: str,
        *,
        rng: random.Random | None = None,
    ) -> None:
        self._database = database
        self._files = files
        self._settings = settings
        self._ae_title = ae_title
        self._owner = owner
        self._rng = rng if rng is not None else random.Random()  # noqa: S311 - jitter, no secret
        self._channels = {destination.name: _Channel(destination) for destination in destinations}
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start one thread per destination."""
        self._stopping.clear()
        self._threads = [
            threading.Thread(target=self._run, args=(channel,), name=f"sender-{name}", daemon=True)
            for name, channel in self._channels.items()
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

    def deliver_once(self, destination: str) -> int:
        """Send one batch of what is due for a destination; returns how many deliveries were tried."""
        channel = self._channels[destination]
        claims = self._claim(channel)
        if not claims:
            return 0
        started = time.monotonic()
        report, untried = self._send(channel, claims)
        self._put_back(untried)
        tried = len(claims) - len(untried)
        self._adapt(channel, report, seconds_per_object=(time.monotonic() - started) / max(1, tried))
        return tried

    def _run(self, channel: _Channel) -> None:
        name = channel.destination.name
        while not self._stopping.is_set():
            try:
                tried = self.deliver_once(name)
            except StorageError as error:
                if not channel.database_is_away:
                    log.warning("database_away", destination=name, reason=str(error))
                channel.database_is_away = True
                self._pause_after_fault(channel)
                continue
            except Exception:  # thread boundary: no fault must end the thread
                log.exception("delivery_failed", destination=name)
                self._pause_after_fault(channel)
                continue
            if channel.database_is_away:
                log.info("database_back", destination=name)
            channel.database_is_away, channel.faults_in_a_row = False, 0
            if channel.is_down:
                self._stopping.wait(self._pause_s(channel))
            elif not tried:
                self._stopping.wait(self._settings.poll_s)

    def _pause_after_fault(self, channel: _Channel) -> None:
        doublings = min(channel.faults_in_a_row, _LARGEST_EXPONENT)
        channel.faults_in_a_row += 1
        self._stopping.wait(min(self._settings.poll_s * 2.0**doublings, _LONGEST_FAULT_PAUSE_S))

    def _pause_s(self, channel: _Channel) -> float:
        jittered = backoff_s(
            channel.failures_in_a_row, base_s=self._settings.retry_base_s, cap_s=_LONGEST_PAUSE_S, rng=self._rng
        )
        return max(self._settings.poll_s, jittered)

    def _lease_s(self, channel: _Channel) -> float:
        return max(self._settings.lease_s, _TIMEOUTS_PER_LEASE * channel.destination.timeout_s)

    def _claim(self, channel: _Channel) -> list[DeliveryClaim]:
        with self._database.transaction() as session:
            return outbox.claim(
                session,
                destination=channel.destination.name,
                owner=self._owner,
                now=self._database.now(),
                lease_s=self._lease_s(channel),
                limit=channel.batch_size,
            )

    def _send(self, channel: _Channel, claims: Sequence[DeliveryClaim]) -> tuple[_BatchReport, list[DeliveryClaim]]:
        """Send and settle claims one by one; gives back those that the lease leaves no time for."""
        enough_s = _TIMEOUTS_PER_OBJECT * channel.destination.timeout_s
        deadline = time.monotonic() + self._lease_s(channel)
        report = _BatchReport()
        waiting = {self._files.path(claim.file): claim for claim in claims}
        with closing(store_each(list(waiting), self._peer(channel.destination))) as results:
            for result in results:
                report.add(result)
                self._settle(waiting.pop(result.path), result, report)
                if self._stopping.is_set() or deadline - time.monotonic() < enough_s:
                    break
        return report, list(waiting.values())

    def _peer(self, destination: DestinationSettings) -> Peer:
        return Peer(
            host=destination.host,
            port=destination.port,
            called_ae_title=destination.ae_title,
            calling_ae_title=self._ae_title,
            timeout_s=destination.timeout_s,
        )

    def _settle(self, claim: DeliveryClaim, result: StoreResult, report: _BatchReport) -> None:
        """Write into the outbox what became of one delivery."""
        try:
            with self._database.transaction() as session:
                now = self._database.now()
                if result.outcome in (StoreOutcome.SENT, StoreOutcome.SENT_WITH_WARNING):
                    outbox.sent(session, claim, now=now, note=result.reason)
                elif result.outcome is StoreOutcome.REFUSED:
                    outbox.dead(session, claim, reason=result.reason, now=now)
                    report.dead.append(claim.delivery_id)
                elif claim.attempt >= self._settings.maximum_attempts:
                    outbox.dead(
                        session, claim, reason=f"gave up after {claim.attempt} attempts: {result.reason}", now=now
                    )
                    report.dead.append(claim.delivery_id)
                else:
                    delay = timedelta(seconds=self._backoff_s(claim.attempt))
                    outbox.retry_later(session, claim, reason=result.reason, available_at=now + delay)
        except LeaseLost:
            log.warning("delivery_lease_lost", delivery=claim.delivery_id, destination=claim.destination)

    def _backoff_s(self, attempt: int) -> float:
        return backoff_s(attempt, base_s=self._settings.retry_base_s, cap_s=self._settings.retry_cap_s, rng=self._rng)

    def _put_back(self, untried: Sequence[DeliveryClaim]) -> None:
        """Give claims back that were not tried. Only a try that failed makes a delivery dead, so nothing is lost."""
        for claim in untried:
            try:
                with self._database.transaction() as session:
                    outbox.retry_later(
                        session, claim, reason="put back: the batch ended before it", available_at=self._database.now()
                    )
            except LeaseLost:
                log.warning("delivery_lease_lost", delivery=claim.delivery_id, destination=claim.destination)

    def _adapt(self, channel: _Channel, report: _BatchReport, *, seconds_per_object: float) -> None:
        """Log what changed, and choose the next batch so that it ends well within its lease."""
        name = channel.destination.name
        if report.dead:
            log.error(
                "deliveries_dead",
                destination=name,
                deliveries=report.dead,
                remedy="`spinenode outbox` shows the reasons; send again when the peer is mended",
            )
        if report.reached:
            if channel.is_down:
                log.info("destination_reachable", destination=name)
            channel.failures_in_a_row = 0
            half_a_lease = self._lease_s(channel) / 2
            channel.batch_size = max(1, min(_LARGEST_BATCH, int(half_a_lease / max(seconds_per_object, 1e-3))))
            log.info("batch_delivered", destination=name, **report.outcomes)
        elif report.unreached:
            if not channel.is_down:
                log.warning("destination_unreachable", destination=name, reason=report.reason)
            channel.failures_in_a_row += 1
            channel.batch_size = _PROBE
