"""What the worker does with a case: claim it under a lease, renew, fail an attempt, report.

A case is run by the holder of the newest fence. A worker that was away longer than its lease finds LeaseLost at its
next step and writes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import and_, or_, select
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session

from storage.case_moves import move
from storage.case_states import CaseEvent
from storage.database import translated
from storage.errors import LeaseLost, StorageError
from storage.outbox import RESULT_PRIORITY
from storage.rows import LEASE_OWNER_CHARACTERS, change, locked
from storage.schema import (
    CaseEventRow,
    CaseResultRow,
    CaseRow,
    CaseState,
    DeliveryRow,
    DeliveryState,
    ReportObjectRow,
)

PUT_BACK: Final = "not counted"  # first words of the reason of an attempt that says nothing about case or model


class AnswerRefused(StorageError):
    """The database refuses an answer for what it holds: the same answer will be refused again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to run one attempt of one revision, until the lease runs out."""

    case_id: int
    group_key: str
    route: str
    revision: int
    attempt: int  # counts from 1
    fence: int
    owner: str
    give_up_reason: str | None  # set: run no model, report "not analysed" with this reason
    state_since: datetime  # when this revision became complete; the same for each attempt
    last_instance_at: datetime  # when its last instance was received; the same for each attempt
    claimed_at: datetime  # when this attempt began


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReportObject:
    """A DICOM object the node made, already durable in `file`."""

    kind: str  # "sr", "overlay", "summary"
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    file: str  # relative to the file store
    content_sha256: str


def claim(session: Session, *, owner: str, now: datetime, lease_s: float, maximum_attempts: int) -> Claim | None:
    """Claim the case that waits longest, or one whose worker's lease ran out; None when there is none.

    The claim is valid once the transaction is committed. Two workers never get the same case: PostgreSQL skips
    rows that another transaction holds, SQLite lets one transaction in at a time.
    """
    due = or_(
        and_(CaseRow.state == CaseState.READY.value, CaseRow.available_at <= now),
        and_(CaseRow.state == CaseState.RUNNING.value, CaseRow.lease_until <= now),
    )
    oldest = select(CaseRow).where(due).order_by(CaseRow.available_at, CaseRow.id).limit(1)
    found = locked(session, oldest, skip_locked=True)
    if not found:
        return None
    case = found[0]
    if case.state == CaseState.RUNNING.value:
        lost = f"the lease of {case.lease_owner} ran out in attempt {case.attempts}"
        move(session, case, CaseEvent.LEASE_RAN_OUT, now=now, reason=lost)
    completed = _last_completion(session, case.id)
    give_up_reason = None
    if completed.event == CaseEvent.REJECTED.value:
        give_up_reason = completed.reason
    elif case.attempts >= maximum_attempts:
        give_up_reason = f"{case.attempts} attempts failed; the last: {_last_failure(session, case)}"
    move(
        session,
        case,
        CaseEvent.CLAIMED,
        now=now,
        attempts=case.attempts + 1,
        lease_owner=owner[:LEASE_OWNER_CHARACTERS],
        lease_until=now + timedelta(seconds=lease_s),
    )
    return Claim(
        case_id=case.id,
        group_key=case.group_key,
        route=case.route,
        revision=case.revision,
        attempt=case.attempts,
        fence=case.fence,
        owner=owner,
        give_up_reason=give_up_reason,
        state_since=completed.at,
        last_instance_at=case.last_instance_at,
        claimed_at=now,
    )


def renew(session: Session, claim: Claim, *, now: datetime, lease_s: float) -> None:
    """Hold the case for longer. Raises LeaseLost when someone else has it or it is finished."""
    held = (
        CaseRow.id == claim.case_id,
        CaseRow.state == CaseState.RUNNING.value,
        CaseRow.fence == claim.fence,
    )
    if change(session, CaseRow, held, {"lease_until": now + timedelta(seconds=lease_s)}) != 1:
        raise _lost(claim)


def attempt_failed(session: Session, claim: Claim, *, reason: str, now: datetime, available_at: datetime) -> None:
    """Give the case back, to be claimed again at `available_at`. Raises LeaseLost."""
    move(
        session,
        _claimed_case(session, claim),
        CaseEvent.ATTEMPT_FAILED,
        now=now,
        reason=reason,
        available_at=available_at,
    )


def put_back(session: Session, claim: Claim, *, reason: str, now: datetime, available_at: datetime) -> None:
    """Give the case back as if it had not been claimed: attempts stay as they were before. Raises LeaseLost."""
    case = _claimed_case(session, claim)
    move(
        session,
        case,
        CaseEvent.ATTEMPT_FAILED,
        now=now,
        reason=f"{PUT_BACK}: {reason}",
        available_at=available_at,
        attempts=case.attempts - 1,
    )


def report(
    session: Session,
    claim: Claim,
    *,
    findings: dict[str, Any],
    objects: Sequence[NewReportObject],
    destinations: Sequence[str],
    failed_reason: str | None,
    now: datetime,
) -> None:
    """Answer one revision: its findings, its objects and their deliveries, all or nothing.

    With `failed_reason` the case is failed and the objects say "not analysed". A revision is answered once: a second
    call, be it of the same worker or of one that came late, raises LeaseLost and writes nothing. Raises AnswerRefused
    when the content of a row is refused, which no repetition mends.
    """
    case = _claimed_case(session, claim)
    event = CaseEvent.REPORTED if failed_reason is None else CaseEvent.GAVE_UP
    move(session, case, event, now=now, reason=failed_reason or "")
    session.add(CaseResultRow(case_id=case.id, revision=case.revision, created_at=now, findings=findings))
    rows = [_object_row(claim, new) for new in objects]
    session.add_all(rows)
    try:
        session.flush()  # gives the ids that the deliveries refer to
    except (IntegrityError, DataError) as error:  # not chained: the driver's message can hold the row
        raise AnswerRefused(str(translated(error))) from None
    session.add_all(
        DeliveryRow(
            destination=destination,
            report_object_id=row.id,
            case_id=case.id,
            state=DeliveryState.PENDING.value,
            priority=RESULT_PRIORITY,
            available_at=now,
            created_at=now,
        )
        for row in rows
        for destination in dict.fromkeys(destinations)
    )
    session.flush()  # a refused row is known here, not at the commit


def finish_delivered(session: Session, now: datetime) -> int:
    """Close the reported cases whose report objects are all sent or dead letters; returns how many."""
    on_its_way = (
        select(DeliveryRow.id)
        .where(
            DeliveryRow.case_id == CaseRow.id,
            DeliveryRow.report_object_id.is_not(None),  # a forwarded original does not keep its case open
            DeliveryRow.state.in_([DeliveryState.PENDING.value, DeliveryState.SENDING.value]),
        )
        .exists()
    )
    delivered = select(CaseRow).where(CaseRow.state == CaseState.REPORTED.value, ~on_its_way).order_by(CaseRow.id)
    cases = locked(session, delivered, skip_locked=True)
    for case in cases:
        move(session, case, CaseEvent.DELIVERED, now=now)
    return len(cases)


def _last_completion(session: Session, case_id: int) -> CaseEventRow:
    """The event by which the present revision was last declared complete, or rejected by a person."""
    return session.scalars(
        select(CaseEventRow)
        .where(
            CaseEventRow.case_id == case_id,
            CaseEventRow.event.in_([CaseEvent.COMPLETED.value, CaseEvent.REJECTED.value]),
        )
        .order_by(CaseEventRow.id.desc())
        .limit(1)
    ).one()


def _last_failure(session: Session, case: CaseRow) -> str:
    """Why the last attempt that counts failed."""
    failures = CaseEventRow.event.in_([CaseEvent.ATTEMPT_FAILED.value, CaseEvent.LEASE_RAN_OUT.value])
    counted = CaseEventRow.case_id == case.id, failures, ~CaseEventRow.reason.startswith(PUT_BACK)
    found = session.scalars(select(CaseEventRow).where(*counted).order_by(CaseEventRow.id.desc()).limit(1)).first()
    return case.reason if found is None else found.reason


def _claimed_case(session: Session, claim: Claim) -> CaseRow:
    for case in locked(session, select(CaseRow).where(CaseRow.id == claim.case_id)):
        if case.state == CaseState.RUNNING.value and case.fence == claim.fence:
            return case
    raise _lost(claim)


def _lost(claim: Claim) -> LeaseLost:
    return LeaseLost(
        f"case {claim.case_id} revision {claim.revision}: attempt {claim.attempt} of {claim.owner} is no longer the "
        "one that counts (lease ran out, or answered already); drop its result"
    )


def _object_row(claim: Claim, new: NewReportObject) -> ReportObjectRow:
    return ReportObjectRow(
        case_id=claim.case_id,
        revision=claim.revision,
        kind=new.kind,
        sop_class_uid=new.sop_class_uid,
        sop_instance_uid=new.sop_instance_uid,
        series_instance_uid=new.series_instance_uid,
        study_instance_uid=new.study_instance_uid,
        file=new.file,
        content_sha256=new.content_sha256,
    )
