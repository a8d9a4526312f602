"""What must be true of every case: a legal state that its history explains, and one result for each answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.case_states import TRANSITIONS, CaseEvent
from storage.database import Database
from storage.discrepancies import Discrepancy, Kind
from storage.schema import CaseEventRow, CaseResultRow, CaseRow, CaseState, InstanceRow, Placement

_ANSWERED: Final = frozenset({CaseState.REPORTED, CaseState.DONE, CaseState.FAILED})


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What the other tables say about the cases of one page, by case id."""

    histories: dict[int, list[tuple[str, str, str]]]  # event, from, to; oldest first
    answered_revisions: dict[int, list[int]]
    with_instances: set[int]


def look_at_cases(database: Database, ids: Sequence[int], *, stuck_after_s: float | None) -> list[Discrepancy]:
    """The faults of these cases. See `storage.verify.Depth` for `stuck_after_s`."""
    now = database.now()
    overdue = None if stuck_after_s is None else now - timedelta(seconds=stuck_after_s)
    with database.reading() as session:
        cases = list(session.scalars(select(CaseRow).where(CaseRow.id.in_(ids)).order_by(CaseRow.id)))
        around = _surroundings(session, ids)
    found = []
    for case in cases:
        for kind, what in _faults(case, around, overdue):
            where = f"case {case.id} revision {case.revision} ({case.state})"
            found.append(Discrepancy(kind=kind, row=case.id, where=where, what=what))
    return found


def _surroundings(session: Session, ids: Sequence[int]) -> _Surroundings:
    histories: dict[int, list[tuple[str, str, str]]] = {}
    steps = select(CaseEventRow.case_id, CaseEventRow.event, CaseEventRow.from_state, CaseEventRow.to_state)
    for case_id, *step in session.execute(
        steps.where(CaseEventRow.case_id.in_(ids)).order_by(CaseEventRow.case_id, CaseEventRow.id)
    ):
        histories.setdefault(case_id, []).append((step[0], step[1], step[2]))
    answered: dict[int, list[int]] = {}
    results = select(CaseResultRow.case_id, CaseResultRow.revision).where(CaseResultRow.case_id.in_(ids))
    for case_id, revision in session.execute(results.order_by(CaseResultRow.case_id, CaseResultRow.revision)):
        answered.setdefault(case_id, []).append(revision)
    placed = InstanceRow.case_id.in_(ids), InstanceRow.placement == Placement.IN_CASE.value
    counted = session.execute(select(InstanceRow.case_id, func.count()).where(*placed).group_by(InstanceRow.case_id))
    return _Surroundings(histories, answered, {case_id for case_id, _ in counted if case_id is not None})


def _faults(case: CaseRow, around: _Surroundings, overdue: datetime | None) -> list[tuple[Kind, str]]:
    try:
        state = CaseState(case.state)
    except ValueError:
        return [(Kind.CASE_STATE, f"no case can be {case.state!r}")]
    found = []
    if what := _history_fault(around.histories.get(case.id, []), case.state):
        found.append((Kind.CASE_HISTORY, what))
    # each revision before this one was answered, for only an answered case gets a new one
    expected = list(range(1, case.revision + (state in _ANSWERED)))
    if (results := around.answered_revisions.get(case.id, [])) != expected:
        found.append((Kind.CASE_RESULTS, f"has results of the revisions {results}, not of {expected}"))
    if state not in _ANSWERED and case.id not in around.with_instances:
        found.append((Kind.CASE_EMPTY, "waits for its answer and has no instance"))
    if state is CaseState.RUNNING:
        if case.lease_until is None or not case.lease_owner:
            found.append((Kind.CASE_STATE, "runs without a lease"))
        elif overdue is not None and case.lease_until < overdue:
            found.append((Kind.CASE_STUCK, f"the lease of {case.lease_owner} ran out at {case.lease_until:%F %T}Z"))
    return found


def _history_fault(history: Sequence[tuple[str, str, str]], state: str) -> str | None:
    """The first step that the table of transitions does not know, or that does not begin where the last one ended."""
    if not history:
        return "has no history"
    previous = ""
    for event, from_state, to_state in history:
        if from_state != previous:
            return f"its history goes from {previous!r} on with a step from {from_state!r}"
        if not _is_legal(event, from_state, to_state):
            return f"its history has the step {from_state!r} to {to_state!r} by {event!r}"
        previous = to_state
    return None if previous == state else f"its history ends in {previous!r}"


def _is_legal(event: str, from_state: str, to_state: str) -> bool:
    if from_state == "":
        return (event, to_state) == (CaseEvent.INSTANCE_ARRIVED.value, CaseState.COLLECTING.value)
    try:
        return TRANSITIONS.get((CaseState(from_state), CaseEvent(event))) == CaseState(to_state)
    except ValueError:
        return False
