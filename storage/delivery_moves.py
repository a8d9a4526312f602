"""The one place that changes the state of a single delivery: optimistic, the old state in the WHERE clause."""

from typing import Any

from sqlalchemy.orm import Session

from storage.delivery_states import DeliveryEvent, advance
from storage.errors import IllegalTransition
from storage.rows import change, show
from storage.schema import DeliveryRow, DeliveryState


def move(
    session: Session, row: DeliveryRow, event: DeliveryEvent, *, reason: str | None = None, **changes: Any
) -> None:
    """Move a locked row by one event, with further column changes; without a reason it keeps the one it has.

    Raises IllegalTransition when the table has no such step, or when the row is no longer as `row` shows it.
    """
    old = DeliveryState(row.state)
    new = advance(old, event)
    values: dict[str, Any] = {"state": new.value, "fence": row.fence + 1, **changes}
    if reason is not None:
        values["reason"] = reason
    if new is not DeliveryState.SENDING:
        values |= {"lease_owner": "", "lease_until": None}
    unchanged = DeliveryRow.id == row.id, DeliveryRow.state == old.value, DeliveryRow.fence == row.fence
    if change(session, DeliveryRow, unchanged, values) != 1:
        raise IllegalTransition(f"delivery {row.id}: {event} came too late, it is no longer {old}; read it again")
    show(row, values)
