"""Dead letters, and what waits for its next attempt, sent again because a person asks for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.delivery_moves import move
from storage.delivery_states import TRANSITIONS, DeliveryEvent
from storage.rows import locked
from storage.schema import DeliveryRow, DeliveryState, ReportObjectRow


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedAgain:
    """What became of a person's wish to send again."""

    due: int  # deliveries that are due now
    removed: tuple[int, ...]  # deliveries whose objects retention has removed


def resend(session: Session, ids: Iterable[int] | None, now: datetime) -> AskedAgain:
    """A person asks again: with attempts counted anew and due now.

    With ids: those of them that are dead letters or wait for their next attempt. None: all dead letters. What
    retention has removed stays as it is.
    """
    statement = select(DeliveryRow).order_by(DeliveryRow.id)
    if ids is None:
        statement = statement.where(DeliveryRow.state == DeliveryState.DEAD.value)
    else:
        possible = [state.value for state, event in TRANSITIONS if event is DeliveryEvent.ASKED_AGAIN]
        statement = statement.where(DeliveryRow.id.in_(list(ids)), DeliveryRow.state.in_(possible))
    rows = locked(session, statement)
    # looked up under the locks, which retention takes as well; of a removed original not even the delivery is left
    purged = select(DeliveryRow.id).join(ReportObjectRow).where(ReportObjectRow.purged_at.is_not(None))
    removed = set(session.scalars(purged))
    for row in rows:
        if row.id not in removed:
            reason = "asked for again by a person"
            move(session, row, DeliveryEvent.ASKED_AGAIN, reason=reason, attempts=0, available_at=now)
    left_out = tuple(row.id for row in rows if row.id in removed)
    return AskedAgain(due=len(rows) - len(left_out), removed=left_out)
