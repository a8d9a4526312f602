"""How objects go: their rows first, in one transaction that leaves a tombstone for each, then their files.

A crash between the two leaves files without a row, which `storage.orphans` removes. Patient attributes go with the
rows; the case, its history, its findings, and what of them was delivered when, remain.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from sqlalchemy import ColumnElement, delete, func, insert, literal, select
from sqlalchemy.orm import Session

from storage.database import Database
from storage.files import FileStore
from storage.retention_rules import Terms, case_may_go, instance_aside_may_go, second_contents
from storage.rows import change, locked
from storage.schema import CaseRow, DeliveryRow, InstanceRow, Placement, PurgedInstanceRow, ReportObjectRow
from storage.stored_files import SeenFile, look, remove_unchanged

_Value = TypeVar("_Value")

_CASES: Final = 50  # looked up together
_INSTANCES: Final = 200  # aside, removed in one transaction: well under 100 ms, so that receivers do not wait long
_UIDS: Final = 500  # in one statement
_PURGE_LOCK: Final = 0x5350_494E_47  # any number that no other program on the same database uses


@dataclass(frozen=True, slots=True, kw_only=True)
class Freed:
    """What went, or in a rehearsal would go."""

    cases: int = 0
    instances: int = 0
    report_objects: int = 0
    byte_count: int = 0

    def __add__(self, other: "Freed") -> "Freed":
        return Freed(
            cases=self.cases + other.cases,
            instances=self.instances + other.instances,
            report_objects=self.report_objects + other.report_objects,
            byte_count=self.byte_count + other.byte_count,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What goes in one transaction: a case with all it has, or some instances that are in none."""

    case_id: int | None = None
    instance_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Contents:
    """The rows of a unit."""

    instance_ids: tuple[int, ...]
    report_ids: tuple[int, ...]
    files: tuple[str, ...]


def units(database: Database, terms: Terms) -> Iterator[Unit]:
    """What may go: instances outside of cases first, for nobody's answer rests on them; then cases, oldest first."""
    yield from _aside(database, terms)
    yield from _cases(database, terms)


def purge(database: Database, files: FileStore, unit: Unit, terms: Terms) -> Freed:
    """Remove one unit, if it still may go, and if no other process is removing at this moment.

    Files that were written again less than an hour ago are left: a row may be on its way to them.
    """
    with database.reading() as session:
        seen = _look_at(files, _contents(session, unit).files)
    with database.transaction() as session:
        gone = _purge_rows(session, unit, terms, database.now())
    removed = [seen[file] for file in gone.files if file in seen and seen[file].is_settled]
    for one in removed:
        remove_unchanged(files, one)
    return _freed(unit, gone, removed) if gone.files else Freed()


def rehearse(database: Database, files: FileStore, unit: Unit) -> Freed:
    """What `purge` would free."""
    with database.reading() as session:
        contents = _contents(session, unit)
    return _freed(unit, contents, list(_look_at(files, contents.files).values()))


def _aside(database: Database, terms: Terms) -> Iterator[Unit]:
    last_id, full = 0, True
    while full:
        with database.reading() as session:
            may_go = instance_aside_may_go(terms), InstanceRow.id > last_id
            page = select(InstanceRow.id).where(*may_go).order_by(InstanceRow.id).limit(_INSTANCES)
            ids = tuple(session.scalars(page))
        full, last_id = len(ids) == _INSTANCES, ids[-1] if ids else last_id
        if ids:
            yield Unit(instance_ids=ids)


def _cases(database: Database, terms: Terms) -> Iterator[Unit]:
    after: tuple[datetime, int] | None = None
    full = True
    while full:
        statement = select(CaseRow.state_since, CaseRow.id).where(case_may_go(terms))
        if after is not None:
            since, case_id = after
            is_later = (CaseRow.state_since > since) | ((CaseRow.state_since == since) & (CaseRow.id > case_id))
            statement = statement.where(is_later)
        with database.reading() as session:
            rows = session.execute(statement.order_by(CaseRow.state_since, CaseRow.id).limit(_CASES)).all()
        full = len(rows) == _CASES
        for since, case_id in rows:
            after = since, case_id
            yield Unit(case_id=case_id)


def _purge_rows(session: Session, unit: Unit, terms: Terms, now: datetime) -> _Contents:
    """Delete the rows of the unit; what is returned is empty when it may not go."""
    nothing = _Contents((), (), ())
    if not _is_alone(session):
        return nothing
    if unit.case_id is not None and not locked(session, select(CaseRow).where(CaseRow.id == unit.case_id)):
        return nothing
    contents = _contents(session, unit)
    # a dead letter may be asked for again at this moment: the deliveries are locked before they are judged
    for some in _chunks(contents.instance_ids):
        session.execute(select(InstanceRow.id).where(InstanceRow.id.in_(some)).with_for_update())
        session.execute(select(DeliveryRow.id).where(DeliveryRow.instance_id.in_(some)).with_for_update())
    if unit.case_id is not None:
        session.execute(select(DeliveryRow.id).where(DeliveryRow.case_id == unit.case_id).with_for_update())
        may_go = session.scalar(select(CaseRow.id).where(CaseRow.id == unit.case_id, case_may_go(terms))) is not None
    else:
        still = select(func.count()).where(InstanceRow.id.in_(contents.instance_ids), instance_aside_may_go(terms))
        may_go = session.scalar(still) == len(contents.instance_ids)  # else the next run finds the others
    if not may_go:
        return nothing
    for some in _chunks(contents.instance_ids):
        _bury(session, some, terms.reason, now)
    for some in _chunks(contents.report_ids):
        change(session, ReportObjectRow, [ReportObjectRow.id.in_(some)], {"purged_at": now})
    return contents


def _bury(session: Session, ids: Sequence[int], reason: str, now: datetime) -> None:
    these = InstanceRow.id.in_(ids)
    remains = select(
        InstanceRow.sop_instance_uid,
        InstanceRow.content_sha256,
        InstanceRow.received_at,
        literal(now, PurgedInstanceRow.purged_at.type),
        literal(reason),
    )
    columns = ["sop_instance_uid", "content_sha256", "received_at", "purged_at", "reason"]
    session.execute(insert(PurgedInstanceRow).from_select(columns, remains.where(these).order_by(InstanceRow.id)))
    for statement in (delete(DeliveryRow).where(DeliveryRow.instance_id.in_(ids)), delete(InstanceRow).where(these)):
        session.execute(statement, execution_options={"synchronize_session": False})


def _contents(session: Session, unit: Unit) -> _Contents:
    if unit.case_id is None:
        found = _instances(session, InstanceRow.id.in_(unit.instance_ids))
        return _Contents(tuple(row[0] for row in found), (), tuple(row[2] for row in found))
    in_case = InstanceRow.case_id == unit.case_id, InstanceRow.placement == Placement.IN_CASE.value
    found = _instances(session, *in_case)
    for some in _chunks([uid for _, uid, _ in found]):
        found += _instances(session, second_contents(some))
    unpurged = ReportObjectRow.case_id == unit.case_id, ReportObjectRow.purged_at.is_(None)
    reports = session.execute(select(ReportObjectRow.id, ReportObjectRow.file).where(*unpurged)).all()
    return _Contents(
        instance_ids=tuple(row[0] for row in found),
        report_ids=tuple(row[0] for row in reports),
        files=(*(file for *_, file in found), *(file for _, file in reports)),
    )


def _instances(session: Session, *where: ColumnElement[bool]) -> list[tuple[int, str, str]]:
    columns = InstanceRow.id, InstanceRow.sop_instance_uid, InstanceRow.file
    rows = session.execute(select(*columns).where(*where).order_by(InstanceRow.id))
    return [(row_id, uid, file) for row_id, uid, file in rows]


def _look_at(files: FileStore, relatives: Sequence[str]) -> dict[str, SeenFile]:
    return {file: seen for file in relatives if (seen := look(files, file)) is not None}


def _freed(unit: Unit, gone: _Contents, removed: Sequence[SeenFile]) -> Freed:
    return Freed(
        cases=int(unit.case_id is not None),
        instances=len(gone.instance_ids),
        report_objects=len(gone.report_ids),
        byte_count=sum(one.byte_count for one in removed),
    )


def _is_alone(session: Session) -> bool:
    """One process removes at a time (PostgreSQL; on SQLite it cannot be otherwise), until its transaction ends."""
    if session.get_bind().dialect.name != "postgresql":
        return True
    return bool(session.execute(select(func.pg_try_advisory_xact_lock(_PURGE_LOCK))).scalar_one())


def _chunks(values: Sequence[_Value]) -> Iterator[Sequence[_Value]]:
    for start in range(0, len(values), _UIDS):
        yield values[start : start + _UIDS]
