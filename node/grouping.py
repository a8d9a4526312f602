"""Instances find their case, cases find their end. Each step is one transaction and may be run at any time, by any
number of processes: what is due stands in the database.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

import structlog
from sqlalchemy import exists, or_, select, update
from sqlalchemy.orm import Session

from config.settings import Settings
from node.completeness import completeness
from node.doubts import hold_when_in_doubt, identity_of
from node.identity import Identity, significant
from node.routing import NO_ROUTE, Destiny, destiny
from node.second_contents import examine_second_contents
from node.steps import alone, one_by_one_if_need_be
from storage import cases, outbox
from storage.database import Database
from storage.errors import IllegalTransition, StorageError
from storage.schema import CaseRow, CaseState, InstanceRow, Placement

log = structlog.get_logger(__name__)

_PAGE: Final = 100  # instances placed in one transaction: under 100 ms, so that receivers do not wait long
_IN_CASE: Final = InstanceRow.placement == Placement.IN_CASE.value

_Member = tuple[InstanceRow, Destiny]


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
        examine_second_contents(session, settings, database.now())
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
    own = cases.made_by_node(session, page)
    group_of_study = _groups_of_studies(session, page)
    being_answered = _being_answered(session, page)
    groups: dict[str, list[_Member]] = defaultdict(list)
    aside: dict[str, list[_Member]] = defaultdict(list)
    for instance in page:
        goes = destiny(instance, settings, made_by_node=instance.sop_instance_uid in own)
        if goes.set_aside:
            aside[goes.set_aside].append((instance, goes))
            continue
        key = group_of_study.setdefault(_study(identity_of(instance)), goes.group_key)
        if being_answered.isdisjoint((instance.study_instance_uid, instance.series_instance_uid)):
            groups[key].append((instance, goes))
    placed = sum(alone(session, partial(_place_group, session, key, now), members) for key, members in groups.items())
    for reason, members in aside.items():
        count = one_by_one_if_need_be(session, partial(_set_aside, session, reason, now), members)
        placed += count
        log.info("instances_set_aside", reason=reason, count=count)
    return placed


def _set_aside(session: Session, reason: str, now: datetime, members: Sequence[_Member]) -> int:
    cases.set_aside(session, [instance for instance, _ in members], Placement.SET_ASIDE, reason)
    outbox.forward_all(session, [(instance, goes.forward_to) for instance, goes in members], now)
    return len(members)


def _place_group(session: Session, key: str, now: datetime, members: Sequence[_Member]) -> int:
    """Place instances of one case and look at once whether they contradict each other."""
    instances = [instance for instance, _ in members]
    case = cases.place_all(session, instances, group_key=key, route=members[0][1].route, now=now)
    if case is None:
        return 0
    at_once = [(instance, goes.forward_to) for instance, goes in members if not goes.forward_with_answer]
    outbox.forward_all(session, at_once, now)
    hold_when_in_doubt(session, case, {instance.id for instance in instances}, now)
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
        (study, significant(patient_id), significant(issuer)): key
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


def _has_unplaced(session: Session, instances: Sequence[InstanceRow]) -> bool:
    """Whether received instances of the same studies still wait for grouping, which may lag behind a fast sender."""
    studies = {instance.study_instance_uid for instance in instances}
    waiting = InstanceRow.placement == Placement.NEW.value, InstanceRow.study_instance_uid.in_(studies)
    return bool(session.scalar(select(exists().where(*waiting))))
