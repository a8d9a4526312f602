"""What became of each case of a demo, read from the node's own rows and from what the archive received."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import pydicom
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from inference.findings import Findings
from inference.findings_json import from_json
from storage import cases
from storage.case_states import CaseEvent
from storage.database import Database
from storage.files import FileStore
from storage.schema import (
    CaseRow,
    CaseState,
    DeliveryRow,
    DeliveryState,
    InstanceRow,
    Placement,
    ReportObjectRow,
)

_ENDED: Final = frozenset({CaseState.DONE.value, CaseState.FAILED.value, CaseState.HELD.value})
_ON_ITS_WAY: Final = (DeliveryState.PENDING.value, DeliveryState.SENDING.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedObject:
    """A report object as the archive received it."""

    kind: str  # "sr", "overlay", "summary"
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOutcome:
    case_id: int
    state: str
    reason: str
    findings: Findings | None
    descriptions: dict[str, str]  # SeriesInstanceUID -> SeriesDescription, for the eye only
    stages_s: dict[str, float]  # from the last instance to the last delivery, in order
    objects: tuple[ArchivedObject, ...]


def read_outcomes(settings: Settings, *, archive: Path) -> tuple[list[CaseOutcome], bool]:
    """The outcomes so far, and whether nothing is under way any more."""
    database = Database(settings.storage.url())
    files = FileStore(settings.storage.data_dir)
    try:
        with database.transaction() as session:
            if not _finished(session):
                return [], False
            received = _received_objects(archive)
            rows = session.scalars(select(CaseRow).order_by(CaseRow.id)).all()
            return [_outcome(session, row, received, files) for row in rows], True
    finally:
        database.dispose()


def _finished(session: Session) -> bool:
    def exists(*conditions: object) -> bool:
        return session.scalars(select(1).where(*conditions).limit(1)).first() is not None  # type: ignore[arg-type]

    return (
        exists(InstanceRow.id.is_not(None))
        and not exists(InstanceRow.placement == Placement.NEW.value)
        and not exists(CaseRow.state.not_in(_ENDED))
        and not exists(DeliveryRow.state.in_(_ON_ITS_WAY))
    )


def _outcome(session: Session, case: CaseRow, received: dict[str, Path], files: FileStore) -> CaseOutcome:
    result = cases.result(session, case.id)
    objects = session.scalars(
        select(ReportObjectRow)
        .where(ReportObjectRow.case_id == case.id, ReportObjectRow.revision == case.revision)
        .order_by(ReportObjectRow.id)
    ).all()
    return CaseOutcome(
        case_id=case.id,
        state=case.state,
        reason=case.reason,
        findings=None if result is None else from_json(result.findings),
        descriptions=_descriptions(cases.instances_of(session, case.id), files),
        stages_s=_stages(session, case),
        objects=tuple(
            ArchivedObject(kind=row.kind, path=received[row.sop_instance_uid])
            for row in objects
            if row.sop_instance_uid in received
        ),
    )


def _received_objects(archive: Path) -> dict[str, Path]:
    paths = sorted(path for path in archive.rglob("*") if path.is_file())
    return {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in paths}


def _descriptions(instances: Sequence[InstanceRow], files: FileStore) -> dict[str, str]:
    first = {row.series_instance_uid: row for row in reversed(instances)}
    return {
        uid: str(
            pydicom.dcmread(files.path(row.file), specific_tags=["SeriesDescription"]).get("SeriesDescription", "")
        )
        for uid, row in first.items()
    }


def _stages(session: Session, case: CaseRow) -> dict[str, float]:
    """Seconds of each stage, one after the other, from the last instance to the last delivery."""
    at: dict[str, datetime] = {event.event: event.at for event in cases.history(session, case.id)}
    sent = session.scalars(select(DeliveryRow.sent_at).where(DeliveryRow.case_id == case.id)).all()
    delivered = max((time for time in sent if time is not None), default=None)
    marks: list[tuple[str, datetime | None]] = [
        ("", case.last_instance_at),
        ("wait until complete", at.get(CaseEvent.COMPLETED.value)),
        ("wait for the worker", at.get(CaseEvent.CLAIMED.value)),
        ("analyse and report", at.get(CaseEvent.REPORTED.value) or at.get(CaseEvent.GAVE_UP.value)),
        ("deliver", delivered),
    ]
    stages = {}
    for (_, begin), (name, end) in itertools.pairwise(marks):
        if begin is not None and end is not None:
            stages[name] = (end - begin).total_seconds()
    return stages
