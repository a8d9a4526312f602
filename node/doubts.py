"""Doubts about the identity of a case: found among its images, and what a person decided about them."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from node.identity import Identity, conflicts
from storage import cases
from storage.case_states import TRANSITIONS, CaseEvent
from storage.schema import CaseRow, CaseState, InstanceRow, Placement

log = structlog.get_logger(__name__)

_IN_CASE: Final = InstanceRow.placement == Placement.IN_CASE.value


def contradictions(session: Session, case: CaseRow) -> frozenset[str]:
    """What speaks against the case being one patient, without patient data; see `node.identity.conflicts`."""
    return conflicts(identity for identity, _, _ in _identities(session, case))


def hold_when_in_doubt(session: Session, case: CaseRow, newcomers: Collection[int], now: datetime) -> None:
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
            hold(session, one, "; ".join(sorted(doubts)), now)


def hold(session: Session, case: CaseRow, reason: str, now: datetime) -> None:
    """Hold the case, unless it is held; a running one cannot be, which is logged as an error."""
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


def identity_of(instance: InstanceRow) -> Identity:
    """What an image says about whose it is."""
    return Identity(**{name: getattr(instance, name) for name in Identity.__slots__})
