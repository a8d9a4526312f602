"""Instances find their case, cases find their end. Each step is one transaction and may be run at any time, by any
number of processes: what is due stands in the database.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, exists, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from config.settings import Settings
from node.completeness import completeness
from node.identity import Identity, collision, conflicts
from node.routing import NO_ROUTE, Destiny, destiny
from storage import cases, outbox
from storage.case_states import TRANSITIONS, CaseEvent
from storage.database import Database
from storage.errors import IllegalTransition, StorageError
from storage.schema import CaseRow, CaseState, InstanceRow, Placement, ReportObjectRow

log = structlog.get_logger(__name__)

_PAGE: Final = 100  # instances placed in one transaction: under 100 ms, so that receivers do not wait long
_SECOND_CONTENT_EXAMINED: Final = "second content of a known SOP Instance UID; "
_IN_CASE: Final = InstanceRow.placement == Placement.IN_CASE.value


def place_new_instances(database: Database, settings: Settings) -> int:
    """Place every new instance, a page per transaction; returns how many were placed.

    An instance whose study is in a running case stays new and is placed later.
    """
    total, last_id, full = 0, 0, True
    while full:
        with database.transaction() as session:
            page = cases.unplaced(session, limit=_PAGE, after_id=last_id)
            full, last_id = len(page) == _PAGE, page[-1].id if page else last_id
            total += _place_page(session, settings, page, database.now())
    with database.transaction() as session:
        _examine_second_contents(session, settings, database.now())
    return total


def complete_cases(database: Database, settings: Settings) -> int:
    """Make every collecting case ready that is complete; returns how many. One transaction for each."""
    with database.reading() as session:
        collecting = [case.id for case in cases.in_state(session, CaseState.COLLECTING)]
    completed = 0
    for case_id in collecting:
        try:
            with database.transaction() as session:
                completed += _complete(session, settings, case_id, database.now())
        except IllegalTransition:  # an instance arrived meanwhile (PostgreSQL): the next run looks again
            log.info("case_completion_postponed", case_id=case_id)
        except StorageError:  # the database itself: no case would fare better
            raise
        except Exception:  # a fault in one case must not keep all others from their answer
            log.exception("case_completion_failed", case_id=case_id)
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


def _complete(session: Session, settings: Settings, case_id: int, now: datetime) -> bool:
    case = session.get_one(CaseRow, case_id)
    if case.state != CaseState.COLLECTING.value:
        return False
    instances = cases.instances_of(session, case.id)
    reason = completeness(instances, quiet_for=now - case.last_instance_at, settings=settings.grouping)
    if reason is None or _has_unplaced(session, instances):
        return False
    cases.mark_ready(session, case, reason, now)
    log.info("case_complete", case_id=case.id, revision=case.revision, reason=reason, instances=len(instances))
    return True


def _place_page(session: Session, settings: Settings, page: Sequence[InstanceRow], now: datetime) -> int:
    """Returns how many instances were placed."""
    own = _own_objects(session, page)
    group_of_study = _groups_of_studies(session, page)
    being_answered = _being_answered(session, page)
    groups: dict[str, list[tuple[InstanceRow, Destiny]]] = {}
    placed = 0
    fates: Counter[str] = Counter()
    for instance in page:
        goes = destiny(instance, settings, made_by_node=instance.sop_instance_uid in own)
        if goes.set_aside:
            step = partial(_set_aside, session, instance, goes, now)
            fates[goes.set_aside] += _alone(session, step, instance_id=instance.id)
            continue
        key = group_of_study.setdefault(_study(_identity(instance)), goes.group_key)
        if being_answered.isdisjoint((instance.study_instance_uid, instance.series_instance_uid)):
            groups.setdefault(key, []).append((instance, goes))
    for key, members in groups.items():
        step = partial(_place_group, session, key, members, now)
        placed += _alone(session, step, first_instance_id=members[0][0].id, instances=len(members))
    for reason, count in (+fates).items():
        log.info("instances_set_aside", reason=reason, count=count)
    return placed + fates.total()


def _alone(session: Session, step: Callable[[], int], **names: int) -> int:
    """Do one step entirely or not at all: what fails is logged and tried again later, the others go on."""
    try:
        with session.begin_nested():
            return step()
    except SQLAlchemyError:  # the database itself: no other step would fare better
        raise
    except Exception:
        log.exception("grouping_failed", **names)
        session.expire_all()  # the rows show what was undone
        return 0


def _set_aside(session: Session, instance: InstanceRow, goes: Destiny, now: datetime) -> int:
    cases.set_aside(session, instance, Placement.SET_ASIDE, goes.set_aside)
    outbox.forward(session, instance, goes.forward_to, now)
    return 1


def _place_group(session: Session, key: str, members: Sequence[tuple[InstanceRow, Destiny]], now: datetime) -> int:
    """Place instances of one case and look at once whether they contradict each other."""
    for instance, goes in members:
        case = cases.place(session, instance, group_key=key, route=goes.route, now=now)
        if case is None:
            return 0
        if not goes.forward_with_answer:
            outbox.forward(session, instance, goes.forward_to, now)
    assert case is not None  # noqa: S101 - for the type checker: a group has a member
    _hold_when_in_doubt(session, case, {instance.id for instance, _ in members}, now)
    log.info("instances_placed", count=len(members), case_id=case.id)
    return len(members)


def _groups_of_studies(session: Session, page: Sequence[InstanceRow]) -> dict[tuple[str, str, str], str]:
    """Study and patient -> key of the case that has images of them already.

    A study is never split: its later images join the first ones, also when their dates say otherwise.
    """
    columns = InstanceRow.study_instance_uid, InstanceRow.patient_id, InstanceRow.issuer_of_patient_id
    statement = (
        select(*columns, CaseRow.group_key)
        .join(CaseRow, CaseRow.id == InstanceRow.case_id)
        .where(columns[0].in_({instance.study_instance_uid for instance in page}), _IN_CASE)
        .group_by(*columns, CaseRow.id, CaseRow.group_key)
        .order_by(CaseRow.id.desc())  # the oldest case has the last word
    )
    return {
        (study, patient_id.strip(), issuer.strip()): key
        for study, patient_id, issuer, key in session.execute(statement)
    }


def _study(identity: Identity) -> tuple[str, str, str]:
    return identity.study_instance_uid, *identity.patient


def _being_answered(session: Session, page: Sequence[InstanceRow]) -> set[str]:
    """Studies and series of the page of which a running case has images.

    What shares them may contradict that case, which cannot be held before its answer is out: it waits as well.
    """
    study, series = InstanceRow.study_instance_uid, InstanceRow.series_instance_uid
    of_page = or_(
        study.in_({instance.study_instance_uid for instance in page}),
        series.in_({instance.series_instance_uid for instance in page}),
    )
    running = select(CaseRow.id).where(CaseRow.state == CaseState.RUNNING.value)
    rows = session.execute(select(study, series).where(of_page, _IN_CASE, InstanceRow.case_id.in_(running)).distinct())
    return {uid for row in rows for uid in row}


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

    What a person has decided stays decided: only a contradiction that the newcomers brought holds such a case again.
    Of a rejected case any further image is one.
    """
    seen = _identities(session, case)
    found = conflicts(identity for identity, _, _ in seen)
    if not found:
        return
    brought = found - conflicts(identity for identity, first_id, _ in seen if first_id not in newcomers)
    for case_id in sorted({case.id, *(case_id for _, _, case_id in seen)}):
        one = session.get_one(CaseRow, case_id, populate_existing=True)
        decision = last_decision(session, one.id)
        decided = decision == CaseEvent.RELEASED or (decision == CaseEvent.REJECTED and case_id != case.id)
        if doubts := brought if decided else found:
            _hold(session, one, "; ".join(sorted(doubts)), now)


def _hold(session: Session, case: CaseRow, reason: str, now: datetime) -> None:
    if case.state == CaseState.HELD.value:
        return
    if (CaseState(case.state), CaseEvent.HELD) not in TRANSITIONS:
        log.error("identity_conflict_came_too_late", case_id=case.id, state=case.state, reason=reason)
        return
    cases.hold(session, case, reason, now)
    next_step = f"spinenode case show {case.id}"
    log.warning("case_held", case_id=case.id, revision=case.revision, reason=reason, next_step=next_step)


def _identities(session: Session, case: CaseRow) -> list[tuple[Identity, int, int]]:
    """Each distinct identity among the images of the case and of those that share its studies and series.

    With it the id of the first image that bears it, and its case.
    """
    of_case = InstanceRow.case_id == case.id, _IN_CASE
    shares: list[ColumnElement[bool]] = [
        column.in_(select(column).where(*of_case).distinct())
        for column in (InstanceRow.study_instance_uid, InstanceRow.series_instance_uid)
    ]
    columns: list[Any] = [getattr(InstanceRow, name) for name in Identity.__slots__]
    statement = (
        select(*columns, func.min(InstanceRow.id).label("first_id"), InstanceRow.case_id)
        .where(_IN_CASE, or_(*shares))
        .group_by(*columns, InstanceRow.case_id)
    )
    return [
        (Identity(**dict(zip(Identity.__slots__, row, strict=False))), *row[-2:]) for row in session.execute(statement)
    ]


def last_decision(session: Session, case_id: int) -> str | None:
    """What a person decided last; `held` where the decision is still to come, None where there was no doubt."""
    decisions = (CaseEvent.HELD.value, CaseEvent.RELEASED.value, CaseEvent.REJECTED.value)
    taken = [step.event for step in cases.history(session, case_id) if step.event in decisions]
    return taken[-1] if taken else None


def _examine_second_contents(session: Session, settings: Settings, now: datetime) -> None:
    """A known SOP Instance UID with other bytes is harmless unless it names another patient: then hold its case."""
    second_contents = session.scalars(
        select(InstanceRow)
        .where(
            InstanceRow.placement == Placement.OTHER_CONTENT.value,
            ~InstanceRow.placement_reason.startswith(_SECOND_CONTENT_EXAMINED),
        )
        .order_by(InstanceRow.id)
    ).all()
    own = _own_objects(session, second_contents)
    for second in second_contents:
        goes = destiny(second, settings, made_by_node=second.sop_instance_uid in own)
        _alone(session, partial(_examine_second_content, session, second, goes, now), instance_id=second.id)


def _examine_second_content(session: Session, second: InstanceRow, goes: Destiny, now: datetime) -> int:
    same_uid = InstanceRow.sop_instance_uid == second.sop_instance_uid
    first = session.scalar(select(InstanceRow).where(same_uid, InstanceRow.placement != Placement.OTHER_CONTENT.value))
    if first is None or first.placement == Placement.NEW.value:
        return 0  # placed first, examined then
    case = None if first.case_id is None else session.get_one(CaseRow, first.case_id, populate_existing=True)
    if case is not None and case.state == CaseState.RUNNING.value:
        return 0  # cannot be held now: examined when its answer is out
    one, other = _identity(first), _identity(second)
    found = {*conflicts([one, other]), collision(one, other)} - {""}
    second.placement_reason = f"{_SECOND_CONTENT_EXAMINED}{'; '.join(sorted(found)) or 'same identity'}"
    outbox.forward(session, second, goes.forward_to, now)
    if found and case is not None:
        _hold(session, case, second.placement_reason, now)
    return 1


def _identity(instance: InstanceRow) -> Identity:
    return Identity(**{name: getattr(instance, name) for name in Identity.__slots__})
