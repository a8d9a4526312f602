"""Instances find their case, cases find their end. Each step is one transaction and may be run at any time, by any
number of processes: what is due stands in the database.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, exists, func, or_, select, update
from sqlalchemy.orm import Session

from config.settings import Settings
from node.completeness import completeness
from node.identity import Identity, conflicts
from node.routing import NO_ROUTE, destiny
from storage import cases, outbox
from storage.case_states import TRANSITIONS, CaseEvent
from storage.database import Database
from storage.errors import IllegalTransition
from storage.schema import CaseRow, CaseState, InstanceRow, Placement, ReportObjectRow

log = structlog.get_logger(__name__)

_BATCH: Final = 100  # instances placed in one transaction: under 100 ms, so that receivers do not wait long
_SECOND_CONTENT_EXAMINED: Final = "second content of a known SOP Instance UID; "


def place_new_instances(database: Database, settings: Settings) -> int:
    """Place every new instance, a batch per transaction; returns how many were placed.

    An instance whose case is running stays new and is placed later.
    """
    total = 0
    while True:
        with database.transaction() as session:
            offered, placed = _place_batch(session, settings, database.now())
        total += placed
        if offered < _BATCH or placed == 0:
            break
    with database.transaction() as session:
        _examine_second_contents(session, database.now())
    return total


def complete_cases(database: Database, settings: Settings) -> int:
    """Make every collecting case ready that is complete; returns how many. One transaction."""
    completed = 0
    with database.transaction() as session:
        now = database.now()
        for case in cases.in_state(session, CaseState.COLLECTING):
            instances = cases.instances_of(session, case.id)
            quiet_for = now - case.last_instance_at
            reason = completeness(instances, quiet_for=quiet_for, settings=settings.grouping)
            if reason is None or _has_unplaced(session, instances):
                continue
            try:
                cases.mark_ready(session, case, reason, now)
            except IllegalTransition:  # an instance arrived meanwhile (PostgreSQL): the next run looks again
                log.info("case_completion_postponed", case_id=case.id)
                continue
            completed += 1
            log.info("case_complete", case_id=case.id, revision=case.revision, reason=reason, instances=len(instances))
    return completed


def reconsider_unrouted(database: Database, settings: Settings) -> int:
    """Offer instances again that were set aside for want of a route, where there is one now; returns how many.

    Without this a sender that sends them once more would only hear that they are known. Run when the node starts.
    """
    with database.transaction() as session:
        unrouted = InstanceRow.placement == Placement.SET_ASIDE.value, InstanceRow.placement_reason.startswith(NO_ROUTE)
        callers = session.scalars(select(InstanceRow.calling_ae_title).where(*unrouted).distinct())
        routed = [caller for caller in callers if settings.route_for(caller) is not None]
        if not routed:
            return 0
        ids = list(session.scalars(select(InstanceRow.id).where(*unrouted, InstanceRow.calling_ae_title.in_(routed))))
        again = {"placement": Placement.NEW.value, "placement_reason": ""}
        session.execute(update(InstanceRow).where(InstanceRow.id.in_(ids)).values(**again))
    log.info("instances_offered_again", count=len(ids), callers=routed)
    return len(ids)


def contradictions(session: Session, case: CaseRow) -> frozenset[str]:
    """What speaks against the case being one patient, without patient data; see `node.identity.conflicts`."""
    return conflicts(identity for identity, _, _ in _identities(session, case))


def _place_batch(session: Session, settings: Settings, now: datetime) -> tuple[int, int]:
    """Returns how many instances were offered, and how many were placed."""
    batch = cases.unplaced(session, limit=_BATCH)
    own = _own_objects(session, batch)
    touched: dict[int, CaseRow] = {}
    newcomers: set[int] = set()
    fates: Counter[str] = Counter()
    for instance in batch:
        goes = destiny(instance, settings, made_by_node=instance.sop_instance_uid in own)
        if goes.set_aside:
            cases.set_aside(session, instance, Placement.SET_ASIDE, goes.set_aside)
            fates[goes.set_aside] += 1
        else:
            case = cases.place(session, instance, group_key=goes.group_key, route=goes.route, now=now)
            if case is None:
                continue
            touched[case.id] = case
            newcomers.add(instance.id)
        if goes.forward_to:
            outbox.forward(session, instance, goes.forward_to, now)
    for case in touched.values():
        _hold_when_in_doubt(session, case, newcomers, now)
    for reason, count in fates.items():
        log.info("instances_set_aside", reason=reason, count=count)
    if newcomers:
        log.info("instances_placed", count=len(newcomers), cases=sorted(touched))
    return len(batch), len(newcomers) + fates.total()


def _own_objects(session: Session, batch: Sequence[InstanceRow]) -> set[str]:
    uids = [instance.sop_instance_uid for instance in batch]
    known = select(ReportObjectRow.sop_instance_uid).where(ReportObjectRow.sop_instance_uid.in_(uids))
    return set(session.scalars(known))


def _has_unplaced(session: Session, instances: Sequence[InstanceRow]) -> bool:
    """Whether received instances of the same studies still wait for grouping, which may lag behind a fast sender."""
    studies = {instance.study_instance_uid for instance in instances}
    waiting = InstanceRow.placement == Placement.NEW.value, InstanceRow.study_instance_uid.in_(studies)
    return bool(session.scalar(select(exists().where(*waiting))))


def _hold_when_in_doubt(session: Session, case: CaseRow, newcomers: Collection[int], now: datetime) -> None:
    """Hold the case, and every case that shares a study or series with it, when their images contradict each other.

    What a person has released stays released: only a contradiction that the newcomers brought holds it again.
    """
    seen = _identities(session, case)
    found = conflicts(identity for identity, _, _ in seen)
    if found and _was_released(session, case):
        found -= conflicts(identity for identity, first_id, _ in seen if first_id not in newcomers)
    if not found:
        return
    reason = "; ".join(sorted(found))
    others = {case_id for _, _, case_id in seen} - {case.id}
    for one in (case, *(session.get_one(CaseRow, case_id) for case_id in sorted(others))):
        _hold(session, one, reason, now)


def _hold(session: Session, case: CaseRow, reason: str, now: datetime) -> None:
    if case.state == CaseState.HELD.value:
        return
    if (CaseState(case.state), CaseEvent.HELD) not in TRANSITIONS:
        log.error("identity_conflict_came_too_late", case_id=case.id, state=case.state, reason=reason)
        return
    cases.hold(session, case, reason, now)
    log.warning("case_held", case_id=case.id, reason=reason, next_step=f"spinenode case show {case.id}")


def _identities(session: Session, case: CaseRow) -> list[tuple[Identity, int, int]]:
    """Each distinct identity among the images of the case and of those that share its studies and series.

    With it the id of the first image that bears it, and its case.
    """
    of_case = InstanceRow.case_id == case.id, InstanceRow.placement == Placement.IN_CASE.value
    shares: list[ColumnElement[bool]] = [
        column.in_(select(column).where(*of_case).distinct())
        for column in (InstanceRow.study_instance_uid, InstanceRow.series_instance_uid)
    ]
    columns: list[Any] = [getattr(InstanceRow, name) for name in Identity.__slots__]
    statement = (
        select(*columns, func.min(InstanceRow.id).label("first_id"), InstanceRow.case_id)
        .where(InstanceRow.placement == Placement.IN_CASE.value, or_(*shares))
        .group_by(*columns, InstanceRow.case_id)
    )
    return [
        (Identity(**dict(zip(Identity.__slots__, row, strict=False))), *row[-2:]) for row in session.execute(statement)
    ]


def _was_released(session: Session, case: CaseRow) -> bool:
    decisions = (CaseEvent.HELD.value, CaseEvent.RELEASED.value, CaseEvent.REJECTED.value)
    taken = [step.event for step in cases.history(session, case.id) if step.event in decisions]
    return bool(taken) and taken[-1] == CaseEvent.RELEASED.value


def _examine_second_contents(session: Session, now: datetime) -> None:
    """A known SOP Instance UID with other bytes is harmless unless it names another patient: then hold its case."""
    second_contents = session.scalars(
        select(InstanceRow).where(
            InstanceRow.placement == Placement.OTHER_CONTENT.value,
            ~InstanceRow.placement_reason.startswith(_SECOND_CONTENT_EXAMINED),
        )
    ).all()
    for second in second_contents:
        same_uid = InstanceRow.sop_instance_uid == second.sop_instance_uid
        first = session.scalar(
            select(InstanceRow).where(same_uid, InstanceRow.placement != Placement.OTHER_CONTENT.value)
        )
        if first is None or first.placement == Placement.NEW.value:
            continue  # placed first, examined then
        found = conflicts([_identity(first), _identity(second)])
        outcome = "; ".join(sorted(found)) or "same identity"
        second.placement_reason = f"{_SECOND_CONTENT_EXAMINED}{outcome}"
        if found and first.case_id is not None:
            _hold(session, session.get_one(CaseRow, first.case_id), second.placement_reason, now)


def _identity(instance: InstanceRow) -> Identity:
    return Identity(**{name: getattr(instance, name) for name in Identity.__slots__})
