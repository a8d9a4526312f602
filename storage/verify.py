"""Database and files held against each other: every acknowledged object is in exactly one known state.

Rows and folders are read in pages; memory is constant, and so is the cost of an instance. Safe while the node runs:
what a first look finds is looked at once more before it is told, because rows move on meanwhile.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute

from storage.database import Database
from storage.discrepancies import Discrepancy, Kind
from storage.files import FileStore
from storage.orphans import Why, no_pause, strays
from storage.schema import (
    CaseRow,
    CommitmentReportRow,
    CommitmentRow,
    DeliveryRow,
    InstanceRow,
    QuarantineRow,
    ReportObjectRow,
)
from storage.verify_cases import look_at_cases
from storage.verify_objects import (
    deliveries_twice,
    instances_twice,
    look_at_deliveries,
    look_at_instances,
    look_at_quarantined,
    look_at_report_objects,
)
from storage.verify_waiting import look_at_commitment_reports, look_at_commitments, look_at_waiting_instances

_PAGE: Final = 500

_Look = Callable[[Sequence[int]], list[Discrepancy]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How closely to look."""

    read_contents: bool = False  # every byte of every file, against its hash
    # Seconds after which work under a lease that ran out counts as stuck, as does what was due for a day; None: the
    # node may be stopped, so that nobody takes it up.
    stuck_after_s: float | None = None


def verify(database: Database, files: FileStore, *, read_contents: bool) -> list[Discrepancy]:
    """Every discrepancy between database and files. Raises StorageError when one of them cannot be read at all."""
    return list(discrepancies(database, files, Depth(read_contents=read_contents)))


def discrepancies(
    database: Database, files: FileStore, depth: Depth, *, each_page: Callable[[], None] = no_pause
) -> Iterator[Discrepancy]:
    """As `verify`, as a stream. `each_page` is called now and then, and may raise to break off."""
    looks: list[tuple[InstrumentedAttribute[int], _Look]] = [
        (InstanceRow.id, partial(look_at_instances, database, files, read_contents=depth.read_contents)),
        (CaseRow.id, partial(look_at_cases, database, stuck_after_s=depth.stuck_after_s)),
        (ReportObjectRow.id, partial(look_at_report_objects, database, files, read_contents=depth.read_contents)),
        (DeliveryRow.id, partial(look_at_deliveries, database, stuck_after_s=depth.stuck_after_s)),
        (QuarantineRow.id, partial(look_at_quarantined, database, files, read_contents=depth.read_contents)),
    ]
    if depth.stuck_after_s is not None:
        looks += [
            (InstanceRow.id, partial(look_at_waiting_instances, database)),
            (CommitmentRow.id, partial(look_at_commitments, database)),
            (CommitmentReportRow.id, partial(look_at_commitment_reports, database)),
        ]
    for id_column, look in looks:
        for ids in _pages(database, id_column, each_page):
            yield from _confirmed(look, ids)
    for find in (instances_twice, deliveries_twice):
        each_page()
        if found := find(database):
            yield from sorted(set(found) & set(find(database)), key=lambda one: one.row)
    yield from _stray_files(database, files, each_page)


def _pages(
    database: Database, id_column: InstrumentedAttribute[int], each_page: Callable[[], None]
) -> Iterator[list[int]]:
    last_id, full = 0, True
    while full:
        each_page()
        with database.reading() as session:
            page = select(id_column).where(id_column > last_id).order_by(id_column).limit(_PAGE)
            ids = list(session.scalars(page))
        full, last_id = len(ids) == _PAGE, ids[-1] if ids else last_id
        if ids:
            yield ids


def _confirmed(look: _Look, ids: Sequence[int]) -> list[Discrepancy]:
    """What is found twice: a row that moved on, or was removed, between two reads is no fault."""
    first = {(one.kind, one.row) for one in look(ids)}
    if not first:
        return []
    return [one for one in look(sorted({row for _, row in first})) if (one.kind, one.row) in first]


def _stray_files(database: Database, files: FileStore, each_page: Callable[[], None]) -> Iterator[Discrepancy]:
    for stray in strays(database, files, each_page=each_page):
        orphan = stray.why is Why.ORPHAN
        yield Discrepancy(
            kind=Kind.FILE_WITHOUT_ROW if orphan else Kind.TEMPORARY_FILE,
            row=0,
            where=f"file {stray.seen.relative}",
            what=f"{stray.seen.byte_count} bytes that {'no row names' if orphan else 'nobody writes any more'}",
        )
