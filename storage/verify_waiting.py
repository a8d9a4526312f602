"""What should have gone on by itself long ago: instances that wait for grouping, and storage commitments."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import and_, exists, or_, select
from sqlalchemy.orm import aliased

from storage.database import Database
from storage.discrepancies import Discrepancy, Kind
from storage.new_instance import NOT_EXAMINED
from storage.schema import (
    CaseRow,
    CaseState,
    CommitmentReportRow,
    CommitmentReportState,
    CommitmentRow,
    CommitmentState,
    InstanceRow,
    Placement,
)

# All of these are taken up within seconds of the moment when they are due; peers that are away move that moment.
_WAITS_TOO_LONG: Final = timedelta(days=1)


def look_at_waiting_instances(database: Database, ids: Sequence[int]) -> list[Discrepancy]:
    """Instances that grouping did not take up. A second content waits while the case of the first one runs."""
    first, case = aliased(InstanceRow), CaseRow
    running = exists().where(
        first.sop_instance_uid == InstanceRow.sop_instance_uid,
        first.case_id == case.id,
        case.state == CaseState.RUNNING.value,
    )
    is_second = InstanceRow.placement == Placement.OTHER_CONTENT.value
    not_examined = and_(is_second, InstanceRow.placement_reason == NOT_EXAMINED, ~running)
    waits = or_(InstanceRow.placement == Placement.NEW.value, not_examined)
    columns = InstanceRow.id, InstanceRow.sop_instance_uid, InstanceRow.placement, InstanceRow.received_at
    old = InstanceRow.id.in_(ids), InstanceRow.received_at < _long_ago(database), waits
    with database.reading() as session:
        rows = session.execute(select(*columns).where(*old).order_by(InstanceRow.id)).all()
    return [
        Discrepancy(
            kind=Kind.INSTANCE_STUCK,
            row=row.id,
            where=f"instance {row.id} (UID {row.sop_instance_uid})",
            what=f"is {row.placement} since {row.received_at:%F %T}Z and was not looked at",
        )
        for row in rows
    ]


def look_at_commitments(database: Database, ids: Sequence[int]) -> list[Discrepancy]:
    """Questions to archives whose answers are long overdue and that were neither closed nor asked again."""
    table = CommitmentRow
    overdue = table.state == CommitmentState.ASKED.value, table.answer_due_at < _long_ago(database)
    columns = table.id, table.destination, table.answer_due_at
    with database.reading() as session:
        rows = session.execute(select(*columns).where(table.id.in_(ids), *overdue).order_by(table.id)).all()
    return [
        Discrepancy(
            kind=Kind.COMMITMENT_STUCK,
            row=row.id,
            where=f"storage commitment {row.id} asked of {row.destination}",
            what=f"its answer was due at {row.answer_due_at:%F %T}Z and it is still open",
        )
        for row in rows
    ]


def look_at_commitment_reports(database: Database, ids: Sequence[int]) -> list[Discrepancy]:
    """Results that are owed to peers and that nobody tried to report when they were due."""
    table, long_ago = CommitmentReportRow, _long_ago(database)
    free = or_(table.lease_until.is_(None), table.lease_until < long_ago)
    owed = table.state == CommitmentReportState.PENDING.value, table.available_at < long_ago, free
    columns = table.id, table.calling_ae_title, table.available_at
    with database.reading() as session:
        rows = session.execute(select(*columns).where(table.id.in_(ids), *owed).order_by(table.id)).all()
    return [
        Discrepancy(
            kind=Kind.COMMITMENT_REPORT_STUCK,
            row=row.id,
            where=f"storage commitment result {row.id} owed to {row.calling_ae_title}",
            what=f"was due at {row.available_at:%F %T}Z and was not reported",
        )
        for row in rows
    ]


def _long_ago(database: Database) -> datetime:
    return database.now() - _WAITS_TOO_LONG
