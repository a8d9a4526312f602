"""What became of a batch, written into the outbox: a few results per transaction, so that the disk keeps up."""

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.orm import Session

from config.settings import SenderSettings
from node.sending.circuit import backoff_s
from node.sending.results import NoAnswer, StoreOutcome, StoreResult
from storage import outbox
from storage.database import Database
from storage.errors import LeaseLost
from storage.outbox import DeliveryClaim

log = structlog.get_logger(__name__)

# A commit costs as much as sending some objects; what a crash leaves unwritten is asked about, or sent again.
_RESULTS_PER_COMMIT: Final = 32
_LONGEST_DELAY_S: Final = 0.25
# What this machine has no room for now lets others go first; a full disk is seldom emptied sooner.
_PAUSE_AFTER_OWN_FAULT: Final = timedelta(seconds=30)


@dataclass(slots=True)
class BatchReport:
    """One batch, for the circuit and the log."""

    reached: bool = False  # the peer took part, whatever it answered
    unreached_reason: str = ""
    retry_after_s: float = 0.0
    own_fault: str = ""  # of this machine: the latest
    outcomes: Counter[str] = field(default_factory=Counter)
    dead: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Settled:
    claim: DeliveryClaim
    result: StoreResult


class Settlement:
    """Of one batch. The caller notes each result and calls `flush` at the end."""

    def __init__(self, database: Database, settings: SenderSettings, rng: random.Random) -> None:
        self.report = BatchReport()
        self._database = database
        self._settings = settings
        self._rng = rng
        self._results: list[_Settled] = []
        self._to_put_back: list[DeliveryClaim] = []
        self._hindered: list[DeliveryClaim] = []
        self._flushed_at = time.monotonic()

    def note(self, claim: DeliveryClaim, result: StoreResult) -> None:
        """Take one result; from time to time all that came since are written. Raises StorageError."""
        report = self.report
        if result.no_answer is NoAnswer.OWN_FAULT:
            report.own_fault = result.reason
            report.outcomes[NoAnswer.OWN_FAULT.value] += 1
            self._hindered.append(claim)
            return
        if result.no_answer is None:
            report.reached = report.reached or bool(result.sop_instance_uid)  # without, the file could not be read
        elif result.no_answer is NoAnswer.UNREACHED and report.unreached_reason:
            # the destination is away: that uses up one attempt of one delivery, not of all that wait
            self._to_put_back.append(claim)
            return
        else:
            report.unreached_reason = report.unreached_reason or result.reason
            report.retry_after_s = max(report.retry_after_s, result.retry_after_s)
        report.outcomes[result.outcome.value] += 1
        self._results.append(_Settled(claim, result))
        if len(self._results) >= _RESULTS_PER_COMMIT or time.monotonic() - self._flushed_at > _LONGEST_DELAY_S:
            self.flush()

    def found_at_peer(self, claim: DeliveryClaim) -> None:
        """The peer was asked and holds the object of an earlier attempt."""
        result = StoreResult(
            path=Path(claim.file),
            sop_instance_uid=claim.sop_instance_uid,
            status=None,
            outcome=StoreOutcome.SENT,
            reason="found at the peer",
        )
        self.report.outcomes["found_at_peer"] += 1
        self._results.append(_Settled(claim, result))

    def put_back(self, claims: Sequence[DeliveryClaim]) -> None:
        """These were not tried."""
        self._to_put_back += claims

    def flush(self) -> None:
        """Write what was noted. Raises StorageError; then the leases run out and the objects are due again."""
        results, self._results = self._results, []
        put_back, self._to_put_back = self._to_put_back, []
        hindered, self._hindered = self._hindered, []
        if not (results or put_back or hindered):
            return
        with self._database.transaction() as session:
            now = self._database.now()
            held = [(one.claim, one.result.reason) for one in results if one.result.is_held]
            lost = [*outbox.sent_all(session, held, now=now), *outbox.put_back(session, put_back)]
            lost += outbox.put_back(session, hindered, until=now + _PAUSE_AFTER_OWN_FAULT)
            not_held = [one for one in results if not one.result.is_held]
            lost += [one.claim for one in not_held if not self._settle(session, one.claim, one.result, now)]
        for claim in lost:
            log.warning("delivery_lease_lost", delivery=claim.delivery_id, destination=claim.destination)
        self._flushed_at = time.monotonic()

    def _settle(self, session: Session, claim: DeliveryClaim, result: StoreResult, now: datetime) -> bool:
        """One object that the peer does not hold, as far as we know. False when the lease was lost."""
        gave_up = claim.attempt >= self._settings.maximum_attempts
        try:
            if result.outcome is StoreOutcome.REFUSED or gave_up:
                times = (
                    f"gave up after {claim.attempt} attempts: " if result.outcome is not StoreOutcome.REFUSED else ""
                )
                outbox.dead(session, claim, reason=f"{times}{result.reason}", now=now)
                self.report.dead.append(claim.delivery_id)
            else:
                may_be_held = result.no_answer is NoAnswer.LOST or (claim.perhaps_held and result.no_answer is not None)
                delay_s = max(result.retry_after_s, self._backoff_s(claim.attempt))
                later = now + timedelta(seconds=delay_s)
                outbox.retry_later(session, claim, reason=result.reason, available_at=later, unanswered=may_be_held)
        except LeaseLost:
            return False
        return True

    def _backoff_s(self, attempt: int) -> float:
        return backoff_s(attempt, base_s=self._settings.retry_base_s, cap_s=self._settings.retry_cap_s, rng=self._rng)
