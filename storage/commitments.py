"""Storage commitments that we ask of archives for what we sent them (PS3.4 annex J, as SCU).

A question is durable before it is sent, so that no answer meets an unknown transaction. A delivery that is `sent` is
due to be asked about at its `available_at`: asking moves that to the time when the answer is overdue, so that a
question nobody answered is asked again by itself.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, delete, exists, func, not_, select
from sqlalchemy.orm import Session

from storage.commitment_states import CommitmentEvent, advance
from storage.delivery_moves import move
from storage.delivery_states import DeliveryEvent
from storage.errors import IllegalTransition
from storage.rows import change, locked, show
from storage.schema import CommitmentRow, CommitmentState, DeliveryRow, DeliveryState, InstanceRow, ReportObjectRow

_UIDS_PER_STATEMENT: Final = 500  # SQLite takes 32,766 parameters; plans get no better above some hundred


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One storage commitment to ask: durable, not yet sent."""

    commitment_id: int
    transaction_uid: str
    destination: str
    instances: tuple[tuple[str, str], ...]  # SOP Class UID, SOP Instance UID


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an archive reported about one transaction."""

    committed: frozenset[tuple[str, str]]  # SOP Class UID, SOP Instance UID
    failed: Mapping[str, str]  # SOP Instance UID -> why, in words


@dataclass(slots=True)
class Settled:
    """What an answer changed."""

    committed: int = 0
    sent_again: int = 0  # not held by the archive: pending again
    dead: list[int] = field(default_factory=list)  # deliveries whose attempts are used up
    unmentioned: int = 0  # asked about, but not in the answer: asked about again


@dataclass(frozen=True, slots=True)
class _Delivered:
    row: DeliveryRow
    sop_class_uid: str
    sop_instance_uid: str
    is_purged: bool  # by retention


def is_due(session: Session, *, destination: str, now: datetime, sent_before: datetime) -> bool:
    """Whether there is anything to ask the destination about."""
    statement = select(DeliveryRow.id).where(*_due(destination, now, sent_before)).limit(1)
    return session.scalar(statement) is not None


def is_overdue(session: Session, *, destination: str, now: datetime) -> bool:
    """Whether a question to the destination waits for an answer longer than it should."""
    return session.scalar(select(CommitmentRow.id).where(*_overdue(destination, now)).limit(1)) is not None


def ask(
    session: Session,
    *,
    destination: str,
    transaction_uid: str,
    now: datetime,
    sent_before: datetime,
    answer_due_at: datetime,
    limit: int,
) -> Question | None:
    """Group what is due into one question, oldest first; None when nothing is.

    It may be sent once the transaction is committed.
    """
    due = select(DeliveryRow).where(*_due(destination, now, sent_before)).order_by(DeliveryRow.id).limit(limit)
    rows = locked(session, due, skip_locked=True)
    if not rows:
        return None
    commitment = CommitmentRow(
        transaction_uid=transaction_uid,
        destination=destination,
        state=CommitmentState.ASKED.value,
        asked_at=now,
        answer_due_at=answer_due_at,
    )
    session.add(commitment)
    session.flush()
    ids = [row.id for row in rows]
    values = {"commitment_id": commitment.id, "available_at": answer_due_at}
    change(session, DeliveryRow, [DeliveryRow.id.in_(ids), DeliveryRow.state == DeliveryState.SENT.value], values)
    asked = _delivered(session, DeliveryRow.id.in_(ids))
    return Question(
        commitment_id=commitment.id,
        transaction_uid=transaction_uid,
        destination=destination,
        # two contents under one UID are two deliveries, but one instance to the archive
        instances=tuple(dict.fromkeys((one.sop_class_uid, one.sop_instance_uid) for one in asked)),
    )


def not_answered(session: Session, commitment_id: int, *, reason: str, ask_again_at: datetime) -> None:
    """The archive refused the question, or went away over it: asked again at `ask_again_at`.

    Harmless when the answer came meanwhile.
    """
    for row in locked(session, select(CommitmentRow).where(CommitmentRow.id == commitment_id)):
        if row.state == CommitmentState.ASKED.value:
            _move(session, row, CommitmentEvent.NOT_ANSWERED, reason=reason)
            _ask_again(session, row, ask_again_at)


def expire(session: Session, *, destination: str, now: datetime) -> int:
    """Close the destination's questions whose answers are overdue; their deliveries are due again by now."""
    overdue = select(CommitmentRow).where(*_overdue(destination, now)).order_by(CommitmentRow.id)
    rows = locked(session, overdue, skip_locked=True)
    for row in rows:
        _move(session, row, CommitmentEvent.NOT_ANSWERED, reason="no answer in time")
    return len(rows)


def destination_of(session: Session, transaction_uid: str) -> str | None:
    """Whom the transaction was asked of; None when it is unknown."""
    return session.scalar(select(CommitmentRow.destination).where(CommitmentRow.transaction_uid == transaction_uid))


def settle(
    session: Session,
    transaction_uid: str,
    answer: Answer,
    *,
    now: datetime,
    ask_again_at: datetime,
    send_again_at: Callable[[int], datetime | None],
) -> Settled:
    """Write an archive's answer down, for the transaction and all its deliveries at once.

    `send_again_at` says, from the attempts made, when an object is sent again that the archive does not hold; None
    makes it a dead letter. An answer that came late counts: what the archive holds, it holds, provided that it was
    sent before the question; what it lacks is sent again only when no younger question is open about it.
    Raises IllegalTransition when the transaction is unknown.
    """
    rows = locked(session, select(CommitmentRow).where(CommitmentRow.transaction_uid == transaction_uid))
    if not rows:
        raise IllegalTransition(f"commitment transaction {transaction_uid} is unknown")
    commitment = rows[0]
    settled = Settled()
    uids = {uid for _, uid in answer.committed} | answer.failed.keys()
    for one in _sent_to(session, commitment.destination, uids):
        if one.sop_instance_uid in answer.failed:
            if one.row.commitment_id == commitment.id:
                again_at = None if one.is_purged else send_again_at(one.row.attempts)
                _not_committed(session, one, answer.failed[one.sop_instance_uid], again_at, now, settled)
        elif (one.sop_class_uid, one.sop_instance_uid) in answer.committed and _sent_before(one.row, commitment):
            move(session, one.row, DeliveryEvent.COMMITTED, commitment_id=commitment.id)
            settled.committed += 1
    settled.unmentioned = _ask_again(session, commitment, ask_again_at)
    _move(session, commitment, CommitmentEvent.ANSWERED, reason="", answered_at=now)
    return settled


def never_answered(session: Session, *, destination: str, sent_before: datetime) -> int:
    """How many deliveries the destination acknowledged before that and has not committed since."""
    open_since = _open(destination), DeliveryRow.sent_at <= sent_before
    return session.scalar(select(func.count()).select_from(DeliveryRow).where(*open_since)) or 0


def prune(session: Session, *, before: datetime, limit: int) -> int:
    """Forget up to `limit` questions that were settled before that and that no open delivery waits for.

    Returns how many that is. A result that comes again for one of them is refused as unknown.
    """
    waits = exists().where(DeliveryRow.commitment_id == CommitmentRow.id, DeliveryRow.state == DeliveryState.SENT.value)
    settled = CommitmentRow.state != CommitmentState.ASKED.value, CommitmentRow.answer_due_at <= before
    old = select(CommitmentRow).where(*settled, ~waits).order_by(CommitmentRow.id).limit(limit)
    ids = [row.id for row in locked(session, old, skip_locked=True)]
    if ids:
        change(session, DeliveryRow, [DeliveryRow.commitment_id.in_(ids)], {"commitment_id": None})
        session.execute(
            delete(CommitmentRow).where(CommitmentRow.id.in_(ids)), execution_options={"synchronize_session": False}
        )
    return len(ids)


def _due(destination: str, now: datetime, sent_before: datetime) -> tuple[ColumnElement[bool], ...]:
    return _open(destination), DeliveryRow.available_at <= now, DeliveryRow.sent_at <= sent_before


def _open(destination: str) -> ColumnElement[bool]:
    """Sent, not committed, and still here: what retention has removed could not be sent again."""
    is_purged = exists().where(
        ReportObjectRow.id == DeliveryRow.report_object_id, ReportObjectRow.purged_at.is_not(None)
    )
    return and_(DeliveryRow.destination == destination, DeliveryRow.state == DeliveryState.SENT.value, not_(is_purged))


def _overdue(destination: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        CommitmentRow.state == CommitmentState.ASKED.value,
        CommitmentRow.answer_due_at <= now,
        CommitmentRow.destination == destination,
    )


def _sent_before(row: DeliveryRow, commitment: CommitmentRow) -> bool:
    return row.sent_at is not None and row.sent_at <= commitment.asked_at


def _not_committed(
    session: Session, one: _Delivered, reason: str, again_at: datetime | None, now: datetime, settled: Settled
) -> None:
    row = one.row
    if again_at is None:
        why = "removed by retention" if one.is_purged else f"gave up after {row.attempts} attempts"
        reason = f"{why}: {reason}"
        move(session, row, DeliveryEvent.GAVE_UP, reason=reason, available_at=now, commitment_id=None)
        settled.dead.append(row.id)
        return
    # without a commitment: a repeated report must not count against the object that is sent again
    move(session, row, DeliveryEvent.NOT_COMMITTED, reason=reason, available_at=again_at, commitment_id=None)
    settled.sent_again += 1


def _ask_again(session: Session, commitment: CommitmentRow, at: datetime) -> int:
    """Make due again what the question was about and is still open; returns how many deliveries."""
    about = DeliveryRow.commitment_id == commitment.id, DeliveryRow.state == DeliveryState.SENT.value
    return change(session, DeliveryRow, about, {"available_at": at})


def _sent_to(session: Session, destination: str, sop_instance_uids: Iterable[str]) -> Iterator[_Delivered]:
    """What is sent to the destination, locked, of these instances."""
    uids = sorted(sop_instance_uids)
    for start in range(0, len(uids), _UIDS_PER_STATEMENT):
        some = uids[start : start + _UIDS_PER_STATEMENT]
        for table, column in (
            (InstanceRow, DeliveryRow.instance_id),
            (ReportObjectRow, DeliveryRow.report_object_id),
        ):
            wanted = select(table.id).where(table.sop_instance_uid.in_(some))
            sent = DeliveryRow.destination == destination, DeliveryRow.state == DeliveryState.SENT.value
            statement = select(DeliveryRow).where(column.in_(wanted), *sent).order_by(DeliveryRow.id)
            rows = {row.id: row for row in locked(session, statement)}
            yield from _delivered(session, DeliveryRow.id.in_(rows)) if rows else ()


def _delivered(session: Session, which: ColumnElement[bool]) -> list[_Delivered]:
    """The deliveries with the SOP class and instance of their objects, in the order of their making."""
    made, received = ReportObjectRow, InstanceRow
    statement = (
        select(
            DeliveryRow,
            func.coalesce(made.sop_class_uid, received.sop_class_uid),
            func.coalesce(made.sop_instance_uid, received.sop_instance_uid),
            made.purged_at.is_not(None),
        )
        .outerjoin(made, made.id == DeliveryRow.report_object_id)
        .outerjoin(received, received.id == DeliveryRow.instance_id)
        .where(which)
        .order_by(DeliveryRow.id)
    )
    return [_Delivered(*values) for values in session.execute(statement)]


def _move(session: Session, row: CommitmentRow, event: CommitmentEvent, *, reason: str, **changes: Any) -> None:
    """Move a locked row by one event. Raises IllegalTransition when it is no longer as `row` shows it."""
    old = CommitmentState(row.state)
    values: dict[str, Any] = {"state": advance(old, event).value, "reason": reason, **changes}
    if change(session, CommitmentRow, [CommitmentRow.id == row.id, CommitmentRow.state == old.value], values) != 1:
        raise IllegalTransition(f"commitment {row.id}: {event} came too late, it is no longer {old}; read it again")
    show(row, values)
