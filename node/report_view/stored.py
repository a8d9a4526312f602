"""The newest report of a case, as the node's memory knows it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.errors import NodeError
from storage import cases
from storage.files import FileStore
from storage.schema import CaseRow, ReportObjectRow


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    kind: str
    number: int  # among those of its kind, from 1
    sop_instance_uid: str
    file: Path
    purged_at: datetime | None  # when retention removed the file


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReport:
    """`revision` is the newest that was answered; `newest_revision` may still be worked on.

    `sources` are the files of the images that the node still has, by SOP Instance UID.
    """

    case_id: int
    revision: int
    newest_revision: int
    objects: tuple[StoredObject, ...]
    sources: Mapping[str, Path]


def stored_report(session: Session, case: CaseRow, files: FileStore) -> StoredReport:
    """Raises NodeError where the case has no report, or retention removed all of it."""
    of_case = select(ReportObjectRow).where(ReportObjectRow.case_id == case.id).order_by(ReportObjectRow.id)
    rows = list(session.scalars(of_case))
    if not rows:
        raise NodeError(f"case {case.id} has no report yet: it is {case.state}; `spinenode case show {case.id}`")
    revision = max(row.revision for row in rows)
    newest = [row for row in rows if row.revision == revision]
    purged = [row.purged_at for row in newest if row.purged_at is not None]
    if len(purged) == len(newest):
        raise NodeError(
            f"the report of case {case.id} was removed by retention on {max(purged):%Y-%m-%d}, as set by "
            f"retention.keep_days; the destinations have it: `spinenode case show {case.id}` names its UIDs"
        )
    counted: Counter[str] = Counter()
    objects = []
    for row in newest:
        counted[row.kind] += 1
        objects.append(
            StoredObject(
                kind=row.kind,
                number=counted[row.kind],
                sop_instance_uid=row.sop_instance_uid,
                file=files.path(row.file),
                purged_at=row.purged_at,
            )
        )
    sources = {row.sop_instance_uid: files.path(row.file) for row in cases.instances_of(session, case.id)}
    return StoredReport(
        case_id=case.id,
        revision=revision,
        newest_revision=case.revision,
        objects=tuple(objects),
        sources=sources,
    )
