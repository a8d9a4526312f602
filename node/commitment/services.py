"""What peers' storage commitment messages do to the node's memory. Durable when a method returns."""

from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.orm import Session

from config.settings import DestinationSettings, Settings
from node.commitment.delay import delay_s
from node.commitment.parsing import (
    DUPLICATE_TRANSACTION,
    FAILURE_REASONS,
    INVALID_ARGUMENT,
    CommitmentRefused,
    CommitmentRequest,
    CommitmentResult,
    OwedResult,
    ToldResult,
)
from node.commitment.report import report_caller, result_of
from node.errors import SUCCESS
from node.metrics import Metrics
from storage import commitment_reports, commitments
from storage.commitment_reports import Requested
from storage.commitments import Answer, Settled
from storage.database import Database
from storage.errors import IllegalTransition
from storage.files import FileStore

log = structlog.get_logger(__name__)

# A peer releases its association first: many do not listen before that.
_REPORT_AFTER_S: Final = 1.0
# Without an address for results they go over the peer's own association; if that ends first, there is no way.
_REPORT_HERE_WITHIN_S: Final = 15.0
_OWNER: Final = "association"


class CommitmentMemory:
    """The storage commitment part of the receiver's services, on the database."""

    def __init__(
        self, database: Database, files: FileStore, settings: Settings, metrics: Metrics | None = None
    ) -> None:
        self._database = database
        self._files = files
        self._settings = settings
        self._metrics = metrics if metrics is not None else Metrics()

    def commitment_requested(self, request: CommitmentRequest) -> None:
        """A peer asks (N-ACTION). Raises CommitmentRefused for a transaction UID in use, StorageError."""
        elsewhere = self._has_address(request)
        with self._database.transaction() as session:
            now = self._database.now()
            requested = commitment_reports.request(
                session,
                calling_ae_title=request.calling_ae_title,
                address=request.address,
                transaction_uid=request.transaction_uid,
                instances=request.instances,
                now=now,
                report_at=now + timedelta(seconds=_REPORT_AFTER_S if elsewhere else _REPORT_HERE_WITHIN_S),
            )
        if requested is Requested.CONFLICT:
            raise CommitmentRefused(
                f"transaction {request.transaction_uid} is known with other instances; a new question needs a new "
                "transaction UID",
                status=DUPLICATE_TRANSACTION,
            )
        log.info(
            "commitment_requested",
            ae_title=request.calling_ae_title,
            transaction_uid=request.transaction_uid,
            instances=len(request.instances),
            repeated=requested is Requested.REPEATED,
        )

    def commitment_outcome(self, request: CommitmentRequest) -> OwedResult | None:
        """What to report over the association of the request; None for a caller whose results go to its own address.

        Raises StorageError.
        """
        if self._has_address(request):
            return None
        with self._database.transaction() as session:
            claim = commitment_reports.claim_one(
                session,
                calling_ae_title=request.calling_ae_title,
                transaction_uid=request.transaction_uid,
                owner=_OWNER,
                now=self._database.now(),
                lease_s=2 * self._settings.receiver.dimse_timeout_s,
            )
        if claim is None:
            return None
        result = result_of(self._database, self._files, claim)
        return OwedResult(
            report_id=claim.report_id,
            fence=claim.fence,
            attempt=claim.attempt,
            committed=result.committed,
            failed=result.failed,
        )

    def commitment_told(self, told: ToldResult) -> None:
        """How the peer answered a result over its own association. Raises StorageError."""
        with self._database.transaction() as session:
            now = self._database.now()
            if told.status == SUCCESS:
                commitment_reports.reported(session, told, now=now)
            elif told.status is None:
                reason = "over the association of its request: no answer"
                again_at = now + timedelta(seconds=delay_s(told.attempt, self._settings.sender))
                commitment_reports.report_later(session, told, reason=reason, available_at=again_at)
            else:
                reason = f"over the association of its request: 0x{told.status:04X}"
                commitment_reports.give_up(session, told, reason=reason)
        log.info("commitment_reported_here", report=told.report_id, taken=told.status == SUCCESS)

    def _has_address(self, request: CommitmentRequest) -> bool:
        return report_caller(self._settings.callers, request.calling_ae_title, request.address) is not None

    def commitment_result(self, result: CommitmentResult) -> None:
        """An archive answers (N-EVENT-REPORT).

        Raises CommitmentRefused for a transaction that was not asked of this archive, StorageError.
        """
        with self._database.transaction() as session:
            destination = commitments.destination_of(session, result.transaction_uid)
            if destination is None or result.calling_ae_title not in self._titles(destination):
                # the same answer for both: whose transaction it is, is nobody else's business
                raise CommitmentRefused(
                    f"transaction {result.transaction_uid} was not asked of {result.calling_ae_title} by this node "
                    f"(asked of: {destination or 'nobody'})",
                    status=INVALID_ARGUMENT,
                )
            settled = self._settle(session, destination, result)
        self._count(destination, settled)
        _tell(destination, result, settled)

    def _count(self, destination: str, settled: Settled) -> None:
        outcomes = {
            "committed": settled.committed,
            "sent_again": settled.sent_again,
            "dead": len(settled.dead),
            "unmentioned": settled.unmentioned,
        }
        for outcome, number in outcomes.items():
            self._metrics.count("commitments", number, destination=destination, outcome=outcome)

    def _titles(self, destination: str) -> set[str]:
        """The AE titles that may answer for a destination."""
        known = self._settings.destination(destination)
        if not isinstance(known, DestinationSettings):
            return set()
        other = known.commitment.ae_title if known.commitment is not None else None
        return {known.ae_title} | ({other} if other is not None else set())

    def _settle(self, session: Session, destination: str, result: CommitmentResult) -> Settled:
        sender, now = self._settings.sender, self._database.now()
        answer = Answer(
            committed=frozenset(result.committed),
            failed={uid: _reason(destination, code) for _, uid, code in result.failed},
        )
        try:
            return commitments.settle(
                session,
                result.transaction_uid,
                answer,
                now=now,
                ask_again_at=now + timedelta(seconds=sender.commitment_wait_s),
                send_again_at=lambda attempts: (
                    now + timedelta(seconds=delay_s(attempts, sender)) if attempts < sender.maximum_attempts else None
                ),
            )
        except IllegalTransition as error:
            raise CommitmentRefused(str(error), status=INVALID_ARGUMENT) from error


def _reason(destination: str, code: int) -> str:
    return f"{destination} does not commit itself: 0x{code:04X} {FAILURE_REASONS.get(code, 'unknown reason')}"


def _tell(destination: str, result: CommitmentResult, settled: Settled) -> None:
    log.info(
        "commitment_answered",
        destination=destination,
        transaction_uid=result.transaction_uid,
        committed=settled.committed,
        sent_again=settled.sent_again,
        unmentioned=settled.unmentioned,
    )
    if result.failed:
        reasons = sorted({_reason(destination, code) for _, _, code in result.failed})
        log.warning("not_committed", destination=destination, objects=len(result.failed), reasons=reasons)
    if settled.dead:
        log.error(
            "deliveries_dead",
            destination=destination,
            deliveries=settled.dead,
            remedy="`spinenode outbox` shows the reasons; send again when the peer is mended",
        )
