"""One destination: claims its deliveries, sends them over its way, and minds its circuit. Its threads share it."""

import random
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from config.settings import AnyDestination, SenderSettings
from node.errors import NodeError
from node.lease import Heartbeat
from node.metrics import Metrics
from node.sending.circuit import Admission, Circuit, CircuitState
from node.sending.results import Carrier, NoAnswer, Shipment
from node.sending.settlement import BatchReport, Settlement
from storage import outbox
from storage.database import Database
from storage.files import FileStore
from storage.outbox import DeliveryClaim

log = structlog.get_logger(__name__)

Holdings = Callable[[AnyDestination, Sequence[DeliveryClaim], float], Collection[int]]
"""Asks a destination, until the deadline, which objects it holds: the ids of their deliveries."""

_FIRST_BATCH: Final = 8
_LARGEST_BATCH: Final = 64
# A result that becomes due waits for the batches under way, not longer.
_BATCH_S: Final = 2.0
_PROBE: Final = 1
# One object may wait for a connection, an association and an answer; a lease leaves time for one more of these.
_TIMEOUTS_PER_OBJECT: Final = 3
_TIMEOUTS_PER_LEASE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What all lanes work with."""

    database: Database
    files: FileStore
    settings: SenderSettings
    owner: str
    rng: random.Random
    holdings: Holdings | None
    metrics: Metrics


class Lane:
    """Safe for as many threads as the destination has associations."""

    def __init__(self, destination: AnyDestination, carrier: Carrier, circuit: Circuit, office: Office) -> None:
        self.destination = destination
        self.carrier = carrier
        self.circuit = circuit
        self._office = office
        self._batch_size = _FIRST_BATCH
        self.is_hindered = False  # by a fault of this machine, in the latest batch

    def deliver_batch(self, stopping: threading.Event) -> int:
        """Send one batch of what is due; returns how many deliveries were tried. Raises StorageError."""
        admission = self.circuit.admit()
        if admission is Admission.NOTHING:
            return 0
        told = False
        try:
            claims = self._claim(_PROBE if admission is Admission.PROBE else self._batch_size)
            if not claims:
                return 0
            started = time.monotonic()
            tried, report = self._deliver(claims, stopping)
            told = self._tell_circuit(report)
            self._adapt(report, seconds_per_object=(time.monotonic() - started) / max(1, tried))
            return tried
        finally:
            if admission is Admission.PROBE and not told:
                self.circuit.probe_dropped()

    @property
    def _lease_s(self) -> float:
        return max(self._office.settings.lease_s, _TIMEOUTS_PER_LEASE * self.destination.timeout_s)

    def _claim(self, limit: int) -> list[DeliveryClaim]:
        database = self._office.database
        with database.transaction() as session:
            return outbox.claim(
                session,
                destination=self.destination.name,
                owner=self._office.owner,
                now=database.now(),
                lease_s=self._lease_s,
                limit=limit,
            )

    def _deliver(self, claims: Sequence[DeliveryClaim], stopping: threading.Event) -> tuple[int, BatchReport]:
        """Send and settle claims; those that the lease left no time for are put back.

        The lease is renewed meanwhile: one object of gigabytes over a slow link may take longer. A peer that stops
        reading is given up by the deadlines of the way to it, not by the lease.
        """
        office = self._office
        enough_s = _TIMEOUTS_PER_OBJECT * self.destination.timeout_s
        deadline = time.monotonic() + self._lease_s
        settlement = Settlement(office.database, office.settings, office.rng)
        waiting = {office.files.path(claim.file): claim for claim in claims}
        try:
            with self._kept(claims):
                at_peer = self._at_peer(claims, deadline - enough_s)
                for path in [path for path, claim in waiting.items() if claim.delivery_id in at_peer]:
                    settlement.found_at_peer(waiting.pop(path))
                shipments = [Shipment(path=path, coerce=self._coercion(claim)) for path, claim in waiting.items()]
                with closing(self.carrier.carry(shipments)) as results:
                    for result in results:
                        settlement.note(waiting.pop(result.path), result)
                        if stopping.is_set() or deadline - time.monotonic() < enough_s:
                            break
            settlement.put_back(list(waiting.values()))
        finally:  # what the peer has answered is written, whatever ended the batch
            settlement.flush()
        return len(claims) - len(waiting), settlement.report

    def _kept(self, claims: Sequence[DeliveryClaim]) -> Heartbeat:
        database, lease = self._office.database, timedelta(seconds=self._lease_s)

        def renew() -> None:
            with database.transaction() as session:
                outbox.renew(session, claims, database.now() + lease)

        return Heartbeat(renew, lease_s=self._lease_s)

    def _at_peer(self, claims: Sequence[DeliveryClaim], deadline: float) -> Collection[int]:
        """The deliveries whose last attempt ended without an answer and whose objects the peer holds all the same."""
        unanswered = [claim for claim in claims if claim.perhaps_held]
        if not unanswered or self._office.holdings is None or not self.destination.query:
            return ()
        try:
            return self._office.holdings(self.destination, unanswered, deadline)
        except NodeError as error:
            log.info("holdings_unknown", destination=self.destination.name, reason=str(error))
            return ()

    def _coercion(self, claim: DeliveryClaim) -> dict[str, str]:
        return dict(self.destination.coerce) if claim.is_original else {}

    def _tell_circuit(self, report: BatchReport) -> bool:
        """False when the batch says nothing about the destination."""
        if report.reached:
            self.circuit.reached()
        elif report.unreached_reason:
            self.circuit.unreached(report.unreached_reason, at_least_s=report.retry_after_s)
        else:
            return False
        is_open = self.circuit.state is not CircuitState.CLOSED
        self._office.metrics.set("circuit_open", is_open, destination=self.destination.name)
        return True

    def _adapt(self, report: BatchReport, *, seconds_per_object: float) -> None:
        """Log and count the batch, and choose the size of the next one."""
        name = self.destination.name
        for outcome, number in report.outcomes.items():
            self._office.metrics.count("deliveries", number, destination=name, outcome=outcome)
        if report.dead:
            log.error(
                "deliveries_dead",
                destination=name,
                deliveries=report.dead,
                remedy="`spinenode outbox list` shows the reasons; send again when the peer is mended",
            )
        self.is_hindered = bool(report.own_fault)
        if self.is_hindered:
            log.error(
                "sending_hindered_here",
                destination=name,
                deliveries=report.outcomes[NoAnswer.OWN_FAULT.value],
                reason=report.own_fault,
                remedy="see to the room in the temporary folder, the memory and the open files of this machine",
            )
        elif report.outcomes and not report.unreached_reason:
            log.info("batch_delivered", destination=name, **report.outcomes)
        if report.reached:
            time_s = min(_BATCH_S, self._lease_s / 2)
            self._batch_size = max(1, min(_LARGEST_BATCH, int(time_s / max(seconds_per_object, 1e-3))))
