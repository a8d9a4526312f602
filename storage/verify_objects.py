"""What must be true of every instance, report object, delivery and quarantined object, and of their files."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, and_, func, select
from sqlalchemy.orm import Session

from storage.database import Database
from storage.discrepancies import Discrepancy, Kind
from storage.file_checks import Recorded, file_fault
from storage.files import FileStore
from storage.schema import (
    CaseRow,
    DeliveryRow,
    DeliveryState,
    InstanceRow,
    Placement,
    PurgedInstanceRow,
    QuarantineRow,
    ReportObjectRow,
)

_PLACEMENTS: Final = frozenset(placement.value for placement in Placement)
_ASIDE: Final = frozenset({Placement.SET_ASIDE.value, Placement.OTHER_CONTENT.value})
_DELIVERY_STATES: Final = frozenset(state.value for state in DeliveryState)
_ON_ITS_WAY: Final = frozenset({DeliveryState.PENDING.value, DeliveryState.SENDING.value})
_ARRIVED: Final = frozenset({DeliveryState.SENT.value, DeliveryState.COMMITTED.value})


def look_at_instances(
    database: Database, files: FileStore, ids: Sequence[int], *, read_contents: bool
) -> list[Discrepancy]:
    """The faults of these instances: of their state, and of their files."""
    columns = (
        *(InstanceRow.id, InstanceRow.sop_instance_uid, InstanceRow.content_sha256, InstanceRow.byte_count),
        *(InstanceRow.file, InstanceRow.placement, InstanceRow.placement_reason, InstanceRow.case_id),
        CaseRow.id.label("found_case_id"),
    )
    with database.reading() as session:
        statement = select(*columns).outerjoin(CaseRow, CaseRow.id == InstanceRow.case_id)
        rows = session.execute(statement.where(InstanceRow.id.in_(ids)).order_by(InstanceRow.id)).all()
        resurrected = _resurrected(session, ids)
    found = []
    for row in rows:
        where = f"instance {row.id} (UID {row.sop_instance_uid})"
        if what := _placement_fault(row):
            found.append(Discrepancy(kind=Kind.INSTANCE_STATE, row=row.id, where=where, what=what))
        if row.id in resurrected:
            what = "retention removed it, and its row is there again"
            found.append(Discrepancy(kind=Kind.INSTANCE_RESURRECTED, row=row.id, where=where, what=what))
        found += _file_faults(files, row, where, read_contents=read_contents)
    return found


def look_at_report_objects(
    database: Database, files: FileStore, ids: Sequence[int], *, read_contents: bool
) -> list[Discrepancy]:
    """The faults of these report objects. The file of a purged one is not asked for."""
    with database.reading() as session:
        statement = select(ReportObjectRow, CaseRow.revision).outerjoin(CaseRow, CaseRow.id == ReportObjectRow.case_id)
        rows = session.execute(statement.where(ReportObjectRow.id.in_(ids)).order_by(ReportObjectRow.id)).all()
    found = []
    for row, case_revision in rows:
        where = f"report object {row.id} of case {row.case_id} revision {row.revision} (UID {row.sop_instance_uid})"
        if case_revision is None or row.revision > case_revision:
            what = "its case does not exist" if case_revision is None else f"its case is at revision {case_revision}"
            found.append(Discrepancy(kind=Kind.REPORT_OBJECT, row=row.id, where=where, what=what))
        if row.purged_at is not None:
            continue
        recorded = Recorded(file=row.file, content_sha256=row.content_sha256, byte_count=None)
        if fault := file_fault(files, recorded, read_contents=read_contents):
            found.append(Discrepancy(kind=fault[0], row=row.id, where=where, what=fault[1]))
    return found


def look_at_quarantined(
    database: Database, files: FileStore, ids: Sequence[int], *, read_contents: bool
) -> list[Discrepancy]:
    """The faults of the files of these quarantined objects."""
    with database.reading() as session:
        rows = session.scalars(select(QuarantineRow).where(QuarantineRow.id.in_(ids)).order_by(QuarantineRow.id)).all()
    found = []
    for row in rows:
        found += _file_faults(files, row, f"quarantined object {row.id}", read_contents=read_contents)
    return found


def look_at_deliveries(database: Database, ids: Sequence[int], *, stuck_after_s: float | None) -> list[Discrepancy]:
    """The faults of these deliveries. See `storage.verify.Depth` for `stuck_after_s`."""
    overdue = None if stuck_after_s is None else database.now() - timedelta(seconds=stuck_after_s)
    columns = (
        *(DeliveryRow.id, DeliveryRow.destination, DeliveryRow.state, DeliveryRow.lease_until, DeliveryRow.lease_owner),
        *(DeliveryRow.sent_at, DeliveryRow.report_object_id, DeliveryRow.instance_id, DeliveryRow.case_id),
        *(ReportObjectRow.id.label("made"), ReportObjectRow.purged_at),
        *(InstanceRow.id.label("received"), CaseRow.id.label("found_case_id")),
    )
    with database.reading() as session:
        rows = session.execute(
            select(*columns)
            .outerjoin(ReportObjectRow, ReportObjectRow.id == DeliveryRow.report_object_id)
            .outerjoin(InstanceRow, InstanceRow.id == DeliveryRow.instance_id)
            .outerjoin(CaseRow, CaseRow.id == DeliveryRow.case_id)
            .where(DeliveryRow.id.in_(ids))
            .order_by(DeliveryRow.id)
        ).all()
    found = []
    for row in rows:
        for kind, what in _delivery_faults(row, overdue):
            where = f"delivery {row.id} to {row.destination} ({row.state})"
            found.append(Discrepancy(kind=kind, row=row.id, where=where, what=what))
    return found


def instances_twice(database: Database) -> list[Discrepancy]:
    """SOP Instance UIDs under which more than one content counts: only the first may."""
    counts = func.count() > 1
    uid, first = InstanceRow.sop_instance_uid, func.min(InstanceRow.id)
    counted = select(uid, first, func.count()).where(InstanceRow.placement != Placement.OTHER_CONTENT.value)
    with database.reading() as session:
        rows = session.execute(counted.group_by(uid).having(counts)).all()
    return [
        Discrepancy(
            kind=Kind.INSTANCE_TWICE,
            row=row_id,
            where=f"instance {row_id} (UID {known_uid})",
            what=f"{count} rows of this UID count as its first content",
        )
        for known_uid, row_id, count in rows
    ]


def deliveries_twice(database: Database) -> list[Discrepancy]:
    """Objects that are to go to one destination more than once."""
    found = []
    with database.reading() as session:
        for name, column in (("report object", DeliveryRow.report_object_id), ("instance", DeliveryRow.instance_id)):
            columns = column, DeliveryRow.destination, func.min(DeliveryRow.id), func.count()
            doubled = select(*columns).where(column.is_not(None)).group_by(column, DeliveryRow.destination)
            for object_id, destination, row_id, count in session.execute(doubled.having(func.count() > 1)):
                where = f"delivery {row_id} to {destination}"
                what = f"{name} {object_id} has {count} deliveries there"
                found.append(Discrepancy(kind=Kind.DELIVERY_TWICE, row=row_id, where=where, what=what))
    return found


def _placement_fault(row: Row[*tuple[Any, ...]]) -> str | None:
    if row.placement not in _PLACEMENTS:
        return f"no instance can be {row.placement!r}"
    if row.placement == Placement.IN_CASE.value:
        if row.case_id is None:
            return "is in a case, but in none"
        return None if row.found_case_id is not None else f"is in case {row.case_id}, which does not exist"
    if row.case_id is not None:
        return f"is {row.placement} and in case {row.case_id} at once"
    if row.placement in _ASIDE and not row.placement_reason:
        return f"is {row.placement} without a reason"
    return None


def _resurrected(session: Session, ids: Sequence[int]) -> set[int]:
    """Rows that retention removed. The same content sent again later is a new instance with another time."""
    same = and_(
        PurgedInstanceRow.sop_instance_uid == InstanceRow.sop_instance_uid,
        PurgedInstanceRow.content_sha256 == InstanceRow.content_sha256,
        PurgedInstanceRow.received_at == InstanceRow.received_at,
    )
    return set(session.scalars(select(InstanceRow.id).join(PurgedInstanceRow, same).where(InstanceRow.id.in_(ids))))


def _file_faults(files: FileStore, row: Any, where: str, *, read_contents: bool) -> list[Discrepancy]:
    recorded = Recorded(file=row.file, content_sha256=row.content_sha256, byte_count=row.byte_count)
    fault = file_fault(files, recorded, read_contents=read_contents)
    return [] if fault is None else [Discrepancy(kind=fault[0], row=row.id, where=where, what=fault[1])]


def _delivery_faults(row: Row[*tuple[Any, ...]], overdue: datetime | None) -> list[tuple[Kind, str]]:
    if row.state not in _DELIVERY_STATES:
        return [(Kind.DELIVERY_STATE, f"no delivery can be {row.state!r}")]
    found = []
    if row.made is None and row.received is None:
        named = f"report object {row.report_object_id}" if row.instance_id is None else f"instance {row.instance_id}"
        found.append((Kind.DELIVERY_WITHOUT_OBJECT, f"is about {named}, which does not exist"))
    elif row.purged_at is not None and row.state in _ON_ITS_WAY:
        found.append((Kind.DELIVERY_WITHOUT_OBJECT, f"retention removed report object {row.made} before it was sent"))
    if row.case_id is not None and row.found_case_id is None:
        found.append((Kind.DELIVERY_WITHOUT_OBJECT, f"belongs to case {row.case_id}, which does not exist"))
    if row.state in _ARRIVED and row.sent_at is None:
        found.append((Kind.DELIVERY_STATE, "has arrived at no time"))
    if row.state == DeliveryState.SENDING.value:
        if row.lease_until is None:
            found.append((Kind.DELIVERY_STATE, "is being sent without a lease"))
        elif overdue is not None and row.lease_until < overdue:
            found.append((Kind.DELIVERY_STUCK, f"the lease of {row.lease_owner} ran out at {row.lease_until:%F %T}Z"))
    return found
