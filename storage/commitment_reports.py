"""Storage commitments that peers ask of us (PS3.4 annex J, as SCP): the result is owed until it is reported.

What is held is looked up when the result is reported, not when it was asked: the answer is true when it is given.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage.commitment_states import CommitmentReportEvent, advance_report
from storage.errors import IllegalTransition, LeaseLost
from storage.rows import LEASE_OWNER_CHARACTERS, change, locked, show
from storage.schema import CommitmentReportRow, CommitmentReportState, InstanceRow

_UIDS_PER_STATEMENT: Final = 500


class Requested(StrEnum):
    NEW = "new"
    REPEATED = "repeated"  # the same question again: the result is reported once more
    CONFLICT = "conflict"  # the transaction UID is known with other instances: nothing was changed


class Attempt(Protocol):
    """Which attempt to report a result this is; `ReportClaim` is one."""

    @property
    def report_id(self) -> int: ...

    @property
    def fence(self) -> int: ...

    @property
    def attempt(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportClaim:
    """The right to report one result, until the lease runs out."""

    report_id: int
    fence: int
    attempt: int  # counts from 1
    transaction_uid: str
    calling_ae_title: str
    address: str  # where the question came from
    instances: tuple[tuple[str, str], ...]  # SOP Class UID, SOP Instance UID


def request(
    session: Session,
    *,
    calling_ae_title: str,
    address: str,
    transaction_uid: str,
    instances: Iterable[tuple[str, str]],
    now: datetime,
    report_at: datetime,
) -> Requested:
    """Write down what a peer asks; the result is due at `report_at`. Durable when the transaction is committed."""
    wanted = [list(pair) for pair in instances]
    new = CommitmentReportRow(
        transaction_uid=transaction_uid,
        calling_ae_title=calling_ae_title,
        address=address,
        instances=wanted,
        state=CommitmentReportState.PENDING.value,
        requested_at=now,
        available_at=report_at,
    )
    try:
        with session.begin_nested():
            session.add(new)
    except IntegrityError:
        (row,) = locked(session, _of(calling_ae_title, transaction_uid))
        if row.instances != wanted:
            return Requested.CONFLICT
        changes = {"attempts": 0, "address": address, "requested_at": now, "available_at": report_at}
        _move(session, row, CommitmentReportEvent.REQUESTED_AGAIN, reason="", **changes)
        return Requested.REPEATED
    return Requested.NEW


def pending_callers(session: Session, now: datetime) -> set[str]:
    """The AE titles of all peers that are owed a result by now."""
    return set(session.scalars(select(CommitmentReportRow.calling_ae_title).where(*_due(now)).distinct()))


def claim(
    session: Session, *, calling_ae_title: str, owner: str, now: datetime, lease_s: float, limit: int
) -> list[ReportClaim]:
    """Claim up to `limit` results that are owed to a peer, older first. Valid once the transaction is committed."""
    due = select(CommitmentReportRow).where(*_due(now), CommitmentReportRow.calling_ae_title == calling_ae_title)
    rows = locked(session, due.order_by(CommitmentReportRow.id).limit(limit), skip_locked=True)
    return _claim_all(session, rows, owner=owner, now=now, lease_s=lease_s)


def claim_one(
    session: Session, *, calling_ae_title: str, transaction_uid: str, owner: str, now: datetime, lease_s: float
) -> ReportClaim | None:
    """Claim the result of one transaction, before it is due; None when it is settled, or being reported."""
    free = _free(now), CommitmentReportRow.state == CommitmentReportState.PENDING.value
    rows = locked(session, _of(calling_ae_title, transaction_uid).where(*free), skip_locked=True)
    return next(iter(_claim_all(session, rows, owner=owner, now=now, lease_s=lease_s)), None)


def _claim_all(
    session: Session, rows: Iterable[CommitmentReportRow], *, owner: str, now: datetime, lease_s: float
) -> list[ReportClaim]:
    claims = []
    for row in rows:
        _move(
            session,
            row,
            CommitmentReportEvent.CLAIMED,
            attempts=row.attempts + 1,
            lease_owner=owner[:LEASE_OWNER_CHARACTERS],
            lease_until=now + timedelta(seconds=lease_s),
        )
        claims.append(_claim_of(row))
    return claims


def reported(session: Session, claim: Attempt, *, now: datetime, note: str = "") -> None:
    """The peer took the result. Raises LeaseLost."""
    _move(session, _claimed(session, claim), CommitmentReportEvent.REPORTED, reason=note, reported_at=now)


def report_later(session: Session, claim: Attempt, *, reason: str, available_at: datetime) -> None:
    """The peer could not be told: due again at `available_at`. Raises LeaseLost."""
    row = _claimed(session, claim)
    _move(session, row, CommitmentReportEvent.POSTPONED, reason=reason, available_at=available_at)


def give_up(session: Session, claim: Attempt, *, reason: str) -> None:
    """Nobody to tell, or too many attempts; the peer may ask again. Raises LeaseLost."""
    _move(session, _claimed(session, claim), CommitmentReportEvent.GAVE_UP, reason=reason)


def prune(session: Session, *, before: datetime, limit: int) -> int:
    """Forget up to `limit` questions of before that whose result was reported or given up; returns how many."""
    settled = CommitmentReportRow.state != CommitmentReportState.PENDING.value
    old = select(CommitmentReportRow).where(settled, CommitmentReportRow.requested_at <= before)
    rows = locked(session, old.order_by(CommitmentReportRow.id).limit(limit), skip_locked=True)
    for row in rows:
        session.delete(row)
    return len(rows)


def kept(session: Session, sop_instance_uids: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
    """What the node has acknowledged and not removed since: SOP Instance UID -> [(SOP Class UID, file)].

    The file is relative to the file store. One instance may be there with several contents.
    """
    uids = sorted(set(sop_instance_uids))
    found: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for start in range(0, len(uids), _UIDS_PER_STATEMENT):
        columns = select(InstanceRow.sop_instance_uid, InstanceRow.sop_class_uid, InstanceRow.file).order_by(
            InstanceRow.id
        )
        some = uids[start : start + _UIDS_PER_STATEMENT]
        for uid, sop_class_uid, file in session.execute(columns.where(InstanceRow.sop_instance_uid.in_(some))):
            found[uid].append((sop_class_uid, file))
    return dict(found)


def _of(calling_ae_title: str, transaction_uid: str) -> Any:
    return select(CommitmentReportRow).where(
        CommitmentReportRow.calling_ae_title == calling_ae_title,
        CommitmentReportRow.transaction_uid == transaction_uid,
    )


def _due(now: datetime) -> tuple[Any, ...]:
    pending = CommitmentReportRow.state == CommitmentReportState.PENDING.value
    return pending, CommitmentReportRow.available_at <= now, _free(now)


def _free(now: datetime) -> Any:
    return or_(CommitmentReportRow.lease_until.is_(None), CommitmentReportRow.lease_until <= now)


def _claim_of(row: CommitmentReportRow) -> ReportClaim:
    return ReportClaim(
        report_id=row.id,
        fence=row.fence,
        attempt=row.attempts,
        transaction_uid=row.transaction_uid,
        calling_ae_title=row.calling_ae_title,
        address=row.address,
        instances=tuple((sop_class_uid, uid) for sop_class_uid, uid in row.instances),
    )


def _claimed(session: Session, claim: Attempt) -> CommitmentReportRow:
    for row in locked(session, select(CommitmentReportRow).where(CommitmentReportRow.id == claim.report_id)):
        if row.state == CommitmentReportState.PENDING.value and row.fence == claim.fence:
            return row
    raise LeaseLost(
        f"commitment report {claim.report_id}: attempt {claim.attempt} is no longer the one that counts (its lease "
        "ran out, it is settled, or the peer asked again); leave the row to the other attempt"
    )


def _move(
    session: Session,
    row: CommitmentReportRow,
    event: CommitmentReportEvent,
    *,
    reason: str | None = None,
    **changes: Any,
) -> None:
    """Move a locked row by one event. Raises IllegalTransition when it is no longer as `row` shows it."""
    old = CommitmentReportState(row.state)
    values: dict[str, Any] = {"state": advance_report(old, event).value, "fence": row.fence + 1}
    values |= {"lease_owner": "", "lease_until": None, **changes}
    if reason is not None:
        values["reason"] = reason
    table = CommitmentReportRow
    if change(session, table, [table.id == row.id, table.state == old.value, table.fence == row.fence], values) != 1:
        raise IllegalTransition(f"commitment report {row.id}: {event} came too late; read it again")
    show(row, values)
