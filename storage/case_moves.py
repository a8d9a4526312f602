"""The one place that changes the state of a case row: optimistic, with the history row in the same transaction."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from storage.case_states import CaseEvent, advance
from storage.errors import IllegalTransition
from storage.rows import change, show
from storage.schema import CaseEventRow, CaseRow, CaseState


def move(
    session: Session, case: CaseRow, event: CaseEvent, *, now: datetime, reason: str | None = None, **changes: Any
) -> None:
    """Move the row by one event, with further column changes; `case` shows the new values afterwards.

    Without a reason the case keeps the one it has. An event that leaves the state as it is adds no history row.
    Raises IllegalTransition when the table has no such step, or when the row is no longer as `case` shows it.
    """
    old = CaseState(case.state)
    new = advance(old, event)
    values: dict[str, Any] = {"state": new.value, "fence": case.fence + 1, **changes}
    if reason is not None:
        values["reason"] = reason
    if new is not old:
        values["state_since"] = now
    if new is not CaseState.RUNNING:
        values |= {"lease_owner": "", "lease_until": None}
    unchanged = (CaseRow.id == case.id, CaseRow.state == old.value, CaseRow.fence == case.fence)
    if change(session, CaseRow, unchanged, values) != 1:
        raise IllegalTransition(
            f"case {case.id}: {event} came too late, it is no longer {old} as it was read; read it again"
        )
    show(case, values)
    if new is not old:
        write_history(session, case, event, from_state=old.value, at=now)


def write_history(session: Session, case: CaseRow, event: CaseEvent, *, from_state: str, at: datetime) -> None:
    session.add(
        CaseEventRow(
            case_id=case.id,
            at=at,
            event=event.value,
            from_state=from_state,
            to_state=case.state,
            revision=case.revision,
            attempt=case.attempts,
            reason=case.reason,
        )
    )
