"""Reports to peers whether the node holds what they asked about (storage commitment, as SCP).

Held is what the node acknowledged and still has the bytes of; what retention removed is not held any more, so that
nobody deletes the last copy.
"""

from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Final

import structlog
from pynetdicom import build_role
from pynetdicom.presentation import build_context

from config.settings import CallerSettings, Settings
from node.commitment.delay import delay_s
from node.commitment.parsing import (
    CLASS_INSTANCE_CONFLICT,
    NO_SUCH_INSTANCE,
    PUSH_MODEL,
    CommitmentResult,
)
from node.commitment.peer import PeerAddress, open_association
from node.commitment.results import SYNTAXES, send_result
from node.errors import SUCCESS, PeerUnavailable
from storage import commitment_reports
from storage.commitment_reports import ReportClaim
from storage.database import Database
from storage.errors import LeaseLost
from storage.files import FileStore

log = structlog.get_logger(__name__)

_RESULTS_PER_ASSOCIATION: Final = 8
# Connection, association and one answer per result, and one more of these.
_TIMEOUTS_PER_LEASE: Final = _RESULTS_PER_ASSOCIATION + 3


class CommitmentReporter:
    """Brings peers the results that they are owed."""

    def __init__(self, database: Database, files: FileStore, settings: Settings, *, owner: str) -> None:
        self._database = database
        self._files = files
        self._settings = settings
        self._owner = owner
        self._timeout_s = settings.receiver.dimse_timeout_s

    def waiting(self) -> set[str]:
        """The AE titles of the peers that are owed a result by now."""
        with self._database.reading() as session:
            return commitment_reports.pending_callers(session, self._database.now())

    def report_once(self, calling_ae_title: str) -> int:
        """Report up to some results to one peer and return how many it took.

        Raises PeerUnavailable when nobody of that title can be reached; the results are due again later. StorageError.
        """
        by_address: dict[PeerAddress | None, list[ReportClaim]] = {}  # peers may share a title
        for claim in self._claim(calling_ae_title):
            by_address.setdefault(self._address(claim), []).append(claim)
        for claim in by_address.pop(None, []):
            self._give_up(claim, "no address to report to: give its [[callers]] table report_host and report_port")
        taken = 0
        away: PeerUnavailable | None = None
        for address, claims in by_address.items():
            assert address is not None  # noqa: S101 - for the type checker: taken out above
            try:
                taken += self._report_all(address, claims)
            except PeerUnavailable as error:
                away = error
                for claim in claims:
                    self._later(claim, str(error))
        if away is not None and not taken:
            raise away
        return taken

    def _claim(self, calling_ae_title: str) -> list[ReportClaim]:
        with self._database.transaction() as session:
            return commitment_reports.claim(
                session,
                calling_ae_title=calling_ae_title,
                owner=self._owner,
                now=self._database.now(),
                lease_s=max(self._settings.sender.lease_s, _TIMEOUTS_PER_LEASE * self._timeout_s),
                limit=_RESULTS_PER_ASSOCIATION,
            )

    def _address(self, claim: ReportClaim) -> PeerAddress | None:
        caller = report_caller(self._settings.callers, claim.calling_ae_title, claim.address)
        if caller is None or caller.report_host is None or caller.report_port is None:
            return None
        return PeerAddress(
            host=caller.report_host,
            port=caller.report_port,
            tls=caller.report_tls,
            called_ae_title=caller.ae_title,
            calling_ae_title=self._settings.receiver.ae_title,
            timeout_s=self._timeout_s,
        )

    def _report_all(self, address: PeerAddress, claims: list[ReportClaim]) -> int:
        """Take each claim that is settled off the list. Raises PeerUnavailable."""
        taken = 0
        # PS3.4 J.3.3: over an association of its own the SCP negotiates its role
        roles = [build_role(PUSH_MODEL, scp_role=True)]
        with open_association(address, [build_context(PUSH_MODEL, SYNTAXES)], roles=roles) as association:
            while claims:
                result = result_of(self._database, self._files, claims[0])
                status = send_result(association, result)
                if status is None:
                    raise PeerUnavailable(f"{address} gave no answer to the result of its storage commitment")
                taken += self._settle(claims.pop(0), result, status)
        return taken

    def _settle(self, claim: ReportClaim, result: CommitmentResult, status: int) -> bool:
        if status != SUCCESS:
            self._give_up(claim, f"the peer refused the result: 0x{status:04X}")
            return False
        try:
            with self._database.transaction() as session:
                commitment_reports.reported(session, claim, now=self._database.now())
        except LeaseLost:
            log.warning("commitment_report_lease_lost", report=claim.report_id)
        log.info(
            "commitment_reported",
            ae_title=claim.calling_ae_title,
            transaction_uid=claim.transaction_uid,
            committed=len(result.committed),
            failed=len(result.failed),
        )
        return True

    def _later(self, claim: ReportClaim, reason: str) -> None:
        sender = self._settings.sender
        if claim.attempt >= sender.maximum_attempts:
            self._give_up(claim, f"gave up after {claim.attempt} attempts: {reason}")
            return
        delay = timedelta(seconds=delay_s(claim.attempt, sender))
        try:
            with self._database.transaction() as session:
                available_at = self._database.now() + delay
                commitment_reports.report_later(session, claim, reason=reason, available_at=available_at)
        except LeaseLost:
            log.warning("commitment_report_lease_lost", report=claim.report_id)

    def _give_up(self, claim: ReportClaim, reason: str) -> None:
        try:
            with self._database.transaction() as session:
                commitment_reports.give_up(session, claim, reason=reason)
        except LeaseLost:
            log.warning("commitment_report_lease_lost", report=claim.report_id)
            return
        log.error(
            "commitment_not_reported",
            ae_title=claim.calling_ae_title,
            transaction_uid=claim.transaction_uid,
            reason=reason,
            effect="the peer keeps its copies, and may ask again",
        )


def result_of(database: Database, files: FileStore, claim: ReportClaim) -> CommitmentResult:
    """What the node holds, now, of the instances that were asked about."""
    with database.reading() as session:
        kept = commitment_reports.kept(session, (uid for _, uid in claim.instances))
    committed: list[tuple[str, str]] = []
    failed: list[tuple[str, str, int]] = []
    for sop_class_uid, uid in claim.instances:
        held = [known for known, file in kept.get(uid, ()) if files.path(file).is_file()]
        if sop_class_uid in held:
            committed.append((sop_class_uid, uid))
        else:
            failed.append((sop_class_uid, uid, CLASS_INSTANCE_CONFLICT if held else NO_SUCH_INSTANCE))
    return CommitmentResult(
        calling_ae_title=claim.calling_ae_title,
        transaction_uid=claim.transaction_uid,
        committed=tuple(committed),
        failed=tuple(failed),
    )


def report_caller(callers: Sequence[CallerSettings], ae_title: str, address: str) -> CallerSettings | None:
    """Who takes the results for a peer: of the callers of its title the one of its address, else the first."""
    able = [one for one in callers if one.ae_title == ae_title and one.report_host is not None]
    return next((one for one in able if _is_from(one, address)), able[0] if able else None)


def _is_from(caller: CallerSettings, address: str) -> bool:
    try:
        known = ip_address(address)
    except ValueError:
        return False
    if known.version == 6 and known.ipv4_mapped is not None:  # a socket on "::" shows IPv4 peers so
        known = known.ipv4_mapped
    return any(known in ip_network(network, strict=False) for network in caller.addresses)
