"""Cases: what grouping and a person do with them, and how they are read. Every step runs in the caller's transaction.

Each change of a case raises its `fence`, and each change checks the state and the fence that its caller saw: nobody
acts on a stale view. The worker's steps are in `storage.case_claims` and offered here too.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage.case_claims import Claim, NewReportObject, attempt_failed, claim, finish_delivered, renew, report
from storage.case_moves import move, write_history
from storage.case_states import CaseEvent
from storage.errors import IllegalTransition
from storage.rows import change, fresh, locked, show
from storage.schema import (
    CaseEventRow,
    CaseResultRow,
    CaseRow,
    CaseState,
    InstanceRow,
    Placement,
    ReportObjectRow,
)

__all__ = [
    "Claim",
    "NewReportObject",
    "attempt_failed",
    "claim",
    "finish_delivered",
    "history",
    "hold",
    "in_state",
    "instances_of",
    "made_by_node",
    "mark_ready",
    "place_all",
    "previous_report",
    "reject",
    "release",
    "renew",
    "report",
    "result",
    "set_aside",
    "unplaced",
]

REJECTION: Final = "identity_conflict"  # first word of the reason of a case that a person rejected
_ANSWERED: Final = frozenset({CaseState.REPORTED, CaseState.DONE, CaseState.FAILED})
_GROUPING_LOCK: Final = 0x5350_494E_46  # any number that no other program on the same database uses


def unplaced(session: Session, limit: int = 500, after_id: int = 0) -> list[InstanceRow]:
    """The instances that grouping has not placed, oldest first, from the one after `after_id` on.

    Those whose case is running stay unplaced: page on by id, or they hide what came after them.

    One process groups at a time: while another transaction is grouping (PostgreSQL; on SQLite it cannot), the
    answer is empty, and the caller comes again later.
    """
    if session.get_bind().dialect.name == "postgresql":
        alone = session.execute(select(func.pg_try_advisory_xact_lock(_GROUPING_LOCK))).scalar_one()
        if not alone:
            return []
    waiting = InstanceRow.placement == Placement.NEW.value, InstanceRow.id > after_id
    return locked(session, select(InstanceRow).where(*waiting).order_by(InstanceRow.id).limit(limit))


def place_all(
    session: Session, instances: Sequence[InstanceRow], *, group_key: str, route: str, now: datetime
) -> CaseRow | None:
    """Put new instances, at least one, into their case, which is made if there is none, and return the case.

    A case that waited for a worker collects again; one that was answered begins a new revision; one that is held
    stays held. While the case is running nothing changes and None is returned: the instances stay NEW and are
    offered again by `unplaced`. The case keeps the route of its first instance.
    """
    case = _find(session, group_key)
    if case is None:
        case = _open(session, instances[0], group_key=group_key, route=route, now=now)
    if case.state == CaseState.RUNNING.value:
        return None
    _set_placement(session, instances, Placement.IN_CASE, reason="", case_id=case.id)
    state = CaseState(case.state)
    last_instance_at = max(case.last_instance_at, *(_received(instance, now) for instance in instances))
    if state in (CaseState.COLLECTING, CaseState.HELD):
        move(session, case, CaseEvent.INSTANCE_ARRIVED, now=now, last_instance_at=last_instance_at)
        return case
    move(
        session,
        case,
        CaseEvent.INSTANCE_ARRIVED,
        now=now,
        reason=f"an instance arrived when the case was {state}",
        last_instance_at=last_instance_at,
        revision=case.revision + (state in _ANSWERED),
        attempts=0,  # earlier attempts failed on other content
        available_at=now,
    )
    return case


def set_aside(session: Session, instances: Sequence[InstanceRow], placement: Placement, reason: str) -> None:
    """Keep new instances out of every case, with the reason. Raises IllegalTransition when one was placed already."""
    if placement not in (Placement.SET_ASIDE, Placement.OTHER_CONTENT):
        raise IllegalTransition(f"{placement} is no place aside; use place_all()")
    _set_placement(session, instances, placement, reason=reason, case_id=None)


def made_by_node(session: Session, instances: Sequence[InstanceRow]) -> set[str]:
    """The SOP Instance UIDs among them that are the node's own report objects, come back."""
    uids = [instance.sop_instance_uid for instance in instances]
    known = select(ReportObjectRow.sop_instance_uid).where(ReportObjectRow.sop_instance_uid.in_(uids))
    return set(session.scalars(known))


def in_state(session: Session, *states: CaseState) -> list[CaseRow]:
    """The cases in one of the states, in the order they were made."""
    names = [CaseState(state).value for state in states]
    return fresh(session, select(CaseRow).where(CaseRow.state.in_(names)).order_by(CaseRow.id))


def instances_of(session: Session, case_id: int) -> list[InstanceRow]:
    """The instances placed in the case, in the order they arrived."""
    mine = InstanceRow.case_id == case_id, InstanceRow.placement == Placement.IN_CASE.value
    return fresh(session, select(InstanceRow).where(*mine).order_by(InstanceRow.id))


def mark_ready(session: Session, case: CaseRow, reason: str, now: datetime) -> None:
    """The case is complete, because of the reason: a worker may claim it.

    Raises IllegalTransition when an instance was placed in it since `case` was read.
    """
    move(session, case, CaseEvent.COMPLETED, now=now, reason=reason, available_at=now)


def hold(session: Session, case: CaseRow, reason: str, now: datetime) -> None:
    """Identity is in doubt: the case waits for a person.

    An answer that is out is not taken back: what the person decides is answered by a new revision, which replaces it.
    """
    new_revision = {"revision": case.revision + 1, "attempts": 0} if CaseState(case.state) in _ANSWERED else {}
    move(session, case, CaseEvent.HELD, now=now, reason=reason, **new_revision)


def release(session: Session, case: CaseRow, reason: str, now: datetime) -> None:
    """A person decided that the held case is one patient: it collects again."""
    move(session, case, CaseEvent.RELEASED, now=now, reason=reason, available_at=now)


def reject(session: Session, case: CaseRow, reason: str, now: datetime) -> None:
    """A person decided that the held case must not be analysed: its claim will carry the reason to report."""
    reason = reason if reason.startswith(REJECTION) else f"{REJECTION}: {reason}"
    move(session, case, CaseEvent.REJECTED, now=now, reason=reason, available_at=now)


def history(session: Session, case_id: int) -> list[CaseEventRow]:
    """The transitions of a case, oldest first."""
    return fresh(session, select(CaseEventRow).where(CaseEventRow.case_id == case_id).order_by(CaseEventRow.id))


def result(session: Session, case_id: int, revision: int | None = None) -> CaseResultRow | None:
    """The findings of one revision; without a revision, of the newest one that has any."""
    statement = select(CaseResultRow).where(CaseResultRow.case_id == case_id)
    if revision is not None:
        statement = statement.where(CaseResultRow.revision == revision)
    return session.scalars(statement.order_by(CaseResultRow.revision.desc()).limit(1)).one_or_none()


def earlier_results(session: Session, case_id: int, revision: int) -> list[CaseResultRow]:
    """The findings of the revisions before this one, newest first."""
    earlier = CaseResultRow.case_id == case_id, CaseResultRow.revision < revision
    return list(session.scalars(select(CaseResultRow).where(*earlier).order_by(CaseResultRow.revision.desc())))


def previous_report(session: Session, case_id: int, revision: int) -> ReportObjectRow | None:
    """The SR of the newest revision before this one: the document that this revision's SR replaces."""
    earlier = ReportObjectRow.case_id == case_id, ReportObjectRow.revision < revision, ReportObjectRow.kind == "sr"
    newest = select(ReportObjectRow).where(*earlier).order_by(ReportObjectRow.revision.desc(), ReportObjectRow.id)
    return session.scalars(newest.limit(1)).one_or_none()


def _find(session: Session, group_key: str) -> CaseRow | None:
    return next(iter(locked(session, select(CaseRow).where(CaseRow.group_key == group_key))), None)


def _open(session: Session, instance: InstanceRow, *, group_key: str, route: str, now: datetime) -> CaseRow:
    case = CaseRow(
        group_key=group_key,
        route=route,
        state=CaseState.COLLECTING.value,
        reason="the first instance arrived",
        revision=1,
        created_at=now,
        state_since=now,
        last_instance_at=_received(instance, now),
        available_at=now,
        attempts=0,
        fence=0,
    )
    try:
        with session.begin_nested():
            session.add(case)
    except IntegrityError:  # another process made it between our look and our insert
        found = _find(session, group_key)
        if found is None:
            raise
        return found
    write_history(session, case, CaseEvent.INSTANCE_ARRIVED, from_state="", at=now)
    return case


def _set_placement(
    session: Session, instances: Sequence[InstanceRow], placement: Placement, *, reason: str, case_id: int | None
) -> None:
    values = {"placement": placement.value, "placement_reason": reason, "case_id": case_id}
    ids = [instance.id for instance in instances]
    still_new = InstanceRow.id.in_(ids), InstanceRow.placement == Placement.NEW.value
    if change(session, InstanceRow, still_new, values) != len(ids):
        raise IllegalTransition(f"one of the instances {ids} was placed already; read the unplaced instances again")
    for instance in instances:
        show(instance, values)


def _received(instance: InstanceRow, now: datetime) -> datetime:
    """When it was received; never later than now, for a receiver's clock that is ahead must not delay its case."""
    return min(instance.received_at, now)
