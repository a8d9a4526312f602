"""The outbox: one row per object and destination, claimed by senders under leases, until sent or dead.

A crash between a peer's success and our commit cannot be excluded: the object is then sent again, under the same
SOP Instance UID, so that the peer holds one.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from storage.delivery_moves import move
from storage.delivery_states import DeliveryEvent, advance
from storage.errors import IllegalTransition, LeaseLost
from storage.rows import LEASE_OWNER_CHARACTERS, change, fresh, locked, show
from storage.schema import DeliveryRow, DeliveryState, InstanceRow, ReportObjectRow

ORIGINAL_PRIORITY: Final = 0
RESULT_PRIORITY: Final = 10  # a result must not wait behind a thousand forwarded images

# First words of the reason of a delivery whose peer may hold the object already; they stay until the peer answers.
UNANSWERED: Final = "no answer"

_IDS_PER_STATEMENT: Final = 500  # well below the number of values that a statement may have


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryClaim:
    """The right to send one object to one destination, until the lease runs out."""

    delivery_id: int
    destination: str
    fence: int
    attempt: int  # counts from 1
    perhaps_held: bool  # an earlier attempt ended without an answer: the peer may hold the object already
    file: str  # relative to the file store
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str | None  # of a forwarded original; of a report object it is in the file
    is_original: bool
    case_id: int | None


def forward(session: Session, instance: InstanceRow, destinations: Sequence[str], now: datetime) -> int:
    """Put a received original into the outbox, once per destination; returns how many deliveries are new."""
    return forward_all(session, [(instance, destinations)], now)


def forward_all(session: Session, originals: Sequence[tuple[InstanceRow, Sequence[str]]], now: datetime) -> int:
    """Put received originals into the outbox, each once per destination of its; returns how many deliveries are new."""
    ids = [instance.id for instance, destinations in originals if destinations]
    columns = DeliveryRow.instance_id, DeliveryRow.destination
    known = {
        (instance_id, destination)
        for start in range(0, len(ids), _IDS_PER_STATEMENT)
        for instance_id, destination in session.execute(
            select(*columns).where(DeliveryRow.instance_id.in_(ids[start : start + _IDS_PER_STATEMENT]))
        )
    }
    new = [
        DeliveryRow(
            destination=destination,
            instance_id=instance.id,
            case_id=instance.case_id,
            state=DeliveryState.PENDING.value,
            priority=ORIGINAL_PRIORITY,
            available_at=now,
            created_at=now,
        )
        for instance, destinations in originals
        for destination in dict.fromkeys(destinations)
        if (instance.id, destination) not in known
    ]
    session.add_all(new)
    session.flush()
    return len(new)


def claim(
    session: Session, *, destination: str, owner: str, now: datetime, lease_s: float, limit: int
) -> list[DeliveryClaim]:
    """Claim up to `limit` deliveries that are due, results before originals, older before newer.

    Deliveries whose sender's lease ran out are due as well. The claims are valid once the transaction is committed.
    """
    pending = DeliveryRow.state == DeliveryState.PENDING.value, DeliveryRow.available_at <= now
    lost = DeliveryRow.state == DeliveryState.SENDING.value, DeliveryRow.lease_until <= now
    order = DeliveryRow.priority.desc(), DeliveryRow.id
    found = []
    for due in (pending, lost):  # two statements: each can take its rows from an index in their order
        first = select(DeliveryRow).where(DeliveryRow.destination == destination, *due).order_by(*order).limit(limit)
        found += locked(session, first, skip_locked=True)
    rows = sorted(found, key=lambda row: (-row.priority, row.id))[:limit]
    for row in rows:
        if row.state == DeliveryState.SENDING.value:
            reason = f"{UNANSWERED}: the lease of {row.lease_owner} ran out"
            move(session, row, DeliveryEvent.LEASE_RAN_OUT, reason=reason)
    _take(session, rows, owner=owner, until=now + timedelta(seconds=lease_s))
    return _with_objects(session, rows)


def renew(session: Session, claims: Sequence[DeliveryClaim], until: datetime) -> int:
    """Let the leases of these claims run until then; returns how many of them still count."""
    return change(session, DeliveryRow, [_are_claimed(claims)], {"lease_until": until})


def sent(session: Session, claim: DeliveryClaim, *, now: datetime, note: str = "") -> None:
    """The peer answered success, or a warning that the note tells. Raises LeaseLost."""
    move(session, _claimed_delivery(session, claim), DeliveryEvent.SENT, reason=note, sent_at=now)


def sent_all(session: Session, notes: Sequence[tuple[DeliveryClaim, str]], *, now: datetime) -> list[DeliveryClaim]:
    """As `sent`, for many claims, each with its note. Returns those whose lease was lost; nothing of them changed."""
    claims_of_note: dict[str, list[DeliveryClaim]] = {}
    for claim, note in notes:
        claims_of_note.setdefault(note, []).append(claim)
    changed: set[int] = set()
    for note, claims in claims_of_note.items():
        values = {"reason": note, "sent_at": now}
        changed |= _settle_all(session, claims, DeliveryEvent.SENT, values)
    return [claim for claim, _ in notes if claim.delivery_id not in changed]


def put_back(
    session: Session, claims: Sequence[DeliveryClaim], *, until: datetime | None = None
) -> list[DeliveryClaim]:
    """Undo claims whose objects were not sent: attempts not counted. Returns those whose lease was lost.

    They are due as before, or at `until`.

    The reason stays: whether an earlier attempt had an answer must not be forgotten.
    """
    values: dict[str, Any] = {"attempts": DeliveryRow.attempts - 1}
    if until is not None:
        values["available_at"] = until
    changed = _settle_all(session, claims, DeliveryEvent.POSTPONED, values)
    return [claim for claim in claims if claim.delivery_id not in changed]


def retry_later(
    session: Session, claim: DeliveryClaim, *, reason: str, available_at: datetime, unanswered: bool = False
) -> None:
    """A fault that may pass: the delivery is due again at `available_at`. Raises LeaseLost.

    `unanswered`: the peer may hold the object; it can be asked before the next attempt.
    """
    row = _claimed_delivery(session, claim)
    reason = f"{UNANSWERED}: {reason}" if unanswered else reason
    move(session, row, DeliveryEvent.POSTPONED, reason=reason, available_at=available_at)


def dead(session: Session, claim: DeliveryClaim, *, reason: str, now: datetime) -> None:
    """A fault that will not pass: a dead letter from `now` on, until a person asks again. Raises LeaseLost."""
    move(session, _claimed_delivery(session, claim), DeliveryEvent.GAVE_UP, reason=reason, available_at=now)


def end_leases(session: Session, now: datetime) -> int:
    """Whoever was sending is dead: what it had claimed is due now. Returns how many deliveries that is."""
    sending = DeliveryRow.state == DeliveryState.SENDING.value, DeliveryRow.lease_until > now
    return change(session, DeliveryRow, sending, {"lease_until": now})


def strand(session: Session, known: Collection[str], now: datetime) -> Counter[str]:
    """Make dead letters of what waits for destinations that are not known; returns how many, by destination.

    A delivery under a living lease is left to its sender: it is stranded when the lease has run out.
    """
    waits = or_(
        DeliveryRow.state == DeliveryState.PENDING.value,
        and_(DeliveryRow.state == DeliveryState.SENDING.value, DeliveryRow.lease_until <= now),
    )
    stranded = select(DeliveryRow).where(waits, DeliveryRow.destination.not_in(list(known))).order_by(DeliveryRow.id)
    rows = locked(session, stranded, skip_locked=True)
    for row in rows:
        if row.state == DeliveryState.SENDING.value:
            move(session, row, DeliveryEvent.LEASE_RAN_OUT)
        reason = f"destination {row.destination} is not in the settings: add it and run `spinenode outbox retry`"
        move(session, row, DeliveryEvent.DESTINATION_GONE, reason=reason, available_at=now)
    return Counter(row.destination for row in rows)


def is_settled(with_commitment: Collection[str]) -> ColumnElement[bool]:
    """The condition that nothing more will happen to a delivery by itself.

    It is committed, or a dead letter, or sent to a destination that is not among those asked for commitment.
    """
    sent_is_all = DeliveryRow.destination.not_in(list(with_commitment))
    final = [DeliveryState.COMMITTED.value, DeliveryState.DEAD.value]
    return or_(DeliveryRow.state.in_(final), and_(DeliveryRow.state == DeliveryState.SENT.value, sent_is_all))


def listing(session: Session, *, states: Iterable[DeliveryState] | None = None, limit: int = 200) -> list[DeliveryRow]:
    """The newest deliveries, optionally only those in some states."""
    statement = select(DeliveryRow)
    if states is not None:
        statement = statement.where(DeliveryRow.state.in_([DeliveryState(state).value for state in states]))
    return fresh(session, statement.order_by(DeliveryRow.id.desc()).limit(limit))


def counts(session: Session) -> dict[tuple[str, DeliveryState], int]:
    """How many deliveries there are, by (destination, state)."""
    columns = DeliveryRow.destination, DeliveryRow.state
    rows = session.execute(select(*columns, func.count()).group_by(*columns).order_by(*columns))
    return {(destination, DeliveryState(state)): number for destination, state, number in rows}


def notes(session: Session) -> dict[tuple[str, DeliveryState], int]:
    """How many deliveries arrived with a note, by (destination, state): a warning of the peer, mostly."""
    arrived = DeliveryRow.state.in_([DeliveryState.SENT.value, DeliveryState.COMMITTED.value])
    columns = DeliveryRow.destination, DeliveryRow.state
    noted = select(*columns, func.count()).where(arrived, DeliveryRow.reason != "").group_by(*columns)
    return {(destination, DeliveryState(state)): number for destination, state, number in session.execute(noted)}


def _take(session: Session, rows: Sequence[DeliveryRow], *, owner: str, until: datetime) -> None:
    """Move locked rows that are pending into the hands of a sender, with one statement."""
    if not rows:
        return
    state = advance(DeliveryState.PENDING, DeliveryEvent.CLAIMED)
    values = {"state": state.value, "lease_owner": owner[:LEASE_OWNER_CHARACTERS], "lease_until": until}
    counted = {"attempts": DeliveryRow.attempts + 1, "fence": DeliveryRow.fence + 1}
    pending = DeliveryRow.id.in_([row.id for row in rows]), DeliveryRow.state == DeliveryState.PENDING.value
    if change(session, DeliveryRow, pending, values | counted) != len(rows):
        raise IllegalTransition("deliveries that are locked for a claim are pending no longer; claim again")
    for row in rows:
        show(row, values | {"attempts": row.attempts + 1, "fence": row.fence + 1})


def _settle_all(
    session: Session, claims: Sequence[DeliveryClaim], event: DeliveryEvent, values: dict[str, Any]
) -> set[int]:
    """Move claimed rows by one event, with one statement; returns the ids of those that were still claimed so."""
    if not claims:
        return set()
    state = advance(DeliveryState.SENDING, event)
    changed = session.scalars(
        update(DeliveryRow)
        .where(_are_claimed(claims))
        .values(state=state.value, fence=DeliveryRow.fence + 1, lease_owner="", lease_until=None, **values)
        .returning(DeliveryRow.id),
        execution_options={"synchronize_session": False},
    )
    return set(changed)


def _are_claimed(claims: Sequence[DeliveryClaim]) -> ColumnElement[bool]:
    claimed = tuple_(DeliveryRow.id, DeliveryRow.fence).in_([(claim.delivery_id, claim.fence) for claim in claims])
    return and_(claimed, DeliveryRow.state == DeliveryState.SENDING.value)


def _claimed_delivery(session: Session, claim: DeliveryClaim) -> DeliveryRow:
    for row in locked(session, select(DeliveryRow).where(DeliveryRow.id == claim.delivery_id)):
        if row.state == DeliveryState.SENDING.value and row.fence == claim.fence:
            return row
    raise LeaseLost(
        f"delivery {claim.delivery_id} to {claim.destination}: attempt {claim.attempt} is no longer the one that "
        "counts (its lease ran out, or it is settled); leave the row to the other sender"
    )


def _with_objects(session: Session, rows: Sequence[DeliveryRow]) -> list[DeliveryClaim]:
    """The claims of the rows, each with the object it is about, in the order of the rows."""
    made, received = ReportObjectRow, InstanceRow
    objects = session.execute(
        select(
            DeliveryRow.id,
            func.coalesce(made.file, received.file),
            func.coalesce(made.sop_class_uid, received.sop_class_uid),
            func.coalesce(made.sop_instance_uid, received.sop_instance_uid),
            received.transfer_syntax_uid,
        )
        .outerjoin(made, made.id == DeliveryRow.report_object_id)
        .outerjoin(received, received.id == DeliveryRow.instance_id)
        .where(DeliveryRow.id.in_([row.id for row in rows]))
    )
    by_delivery = {delivery_id: values for delivery_id, *values in objects}
    claims = []
    for row in rows:
        file, sop_class_uid, sop_instance_uid, transfer_syntax_uid = by_delivery[row.id]
        claims.append(
            DeliveryClaim(
                delivery_id=row.id,
                destination=row.destination,
                fence=row.fence,
                attempt=row.attempts,
                perhaps_held=row.reason.startswith(UNANSWERED),
                file=file,
                sop_class_uid=sop_class_uid,
                sop_instance_uid=sop_instance_uid,
                transfer_syntax_uid=transfer_syntax_uid,
                is_original=row.instance_id is not None,
                case_id=row.case_id,
            )
        )
    return claims
