"""Refused objects, kept for a person to look into: listed, exported, removed, the oldest dropped for want of room.

Each was answered with a failure, so its sender still has it: nothing acknowledged is in here.
"""

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage.database import Database
from storage.errors import StorageError
from storage.files import FileStore
from storage.new_quarantined import NewQuarantined
from storage.rows import fresh
from storage.schema import QuarantineRow
from storage.stored_files import SeenFile, look, remove_unchanged

log = structlog.get_logger(__name__)

AREA: Final = "quarantine"
# No person looks into more, and a small file takes a whole block of the disk: its bytes alone would not bound them.
MOST_OBJECTS: Final = 5000
_BATCH: Final = 500


def add(database: Database, files: FileStore, new: NewQuarantined, *, limit_bytes: int) -> bool:
    """Keep a refused object, once for each content; the oldest give way. Whether it is a new one.

    An object that is larger than all the room, or that is known, is not kept: its file is removed. Raises StorageError.
    """
    if new.byte_count > limit_bytes:
        _remove_file(files, new.file)
        log.warning("quarantine_too_small", byte_count=new.byte_count, limit_bytes=limit_bytes, effect="not kept")
        return False
    with database.transaction() as session:
        known = _insert(session, new)
        dropped = [] if known is not None else _make_room(session, limit_bytes)
    if known is not None and known != new.file:
        _remove_file(files, new.file)
    for file in dropped:
        _remove_file(files, file)
    if dropped:
        log.warning("quarantine_full", dropped=len(dropped), limit_bytes=limit_bytes)
    return known is None


def listing(session: Session, limit: int = 200) -> list[QuarantineRow]:
    """The newest refused objects."""
    return fresh(session, select(QuarantineRow).order_by(QuarantineRow.id.desc()).limit(limit))


def get(session: Session, row_id: int) -> QuarantineRow | None:
    """One refused object; None where there is none of this id."""
    return session.get(QuarantineRow, row_id, populate_existing=True)


def export(files: FileStore, row: QuarantineRow, folder: Path) -> tuple[Path, Path]:
    """Copy the object as it is kept, and write what is known about it beside it; returns both paths.

    The names tell the number alone; the text holds no patient data, the object does. Raises StorageError.
    """
    target, note = folder / f"quarantine-{row.id}.dcm", folder / f"quarantine-{row.id}.json"
    about = {name: value for name, value in as_data(row).items() if name != "id"}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files.path(row.file), target)
        note.write_text(json.dumps(about, indent=2, default=lambda moment: moment.isoformat()) + "\n")
    except OSError as error:
        raise StorageError(f"quarantined object {row.id} cannot be copied to {folder}: {error.strerror}") from error
    return target, note


def as_data(row: QuarantineRow) -> dict[str, object]:
    """What is known about a refused object, without patient data."""
    return {
        "id": row.id,
        "received_at": row.received_at,
        "calling_ae_title": row.calling_ae_title,
        "status": f"0x{row.status:04X}",
        "reason": row.reason,
        "sop_class_uid": row.sop_class_uid,
        "sop_instance_uid": row.sop_instance_uid,
        "transfer_syntax_uid": row.transfer_syntax_uid,
        "byte_count": row.byte_count,
        "content_sha256": row.content_sha256,
    }


def remove(database: Database, files: FileStore, ids: Iterable[int]) -> int:
    """Remove refused objects, row before file; returns how many there were."""
    with database.transaction() as session:
        gone = _delete(session, list(ids))
    for file in gone:
        _remove_file(files, file)
    return len(gone)


def drop_older(database: Database, files: FileStore, before: datetime) -> int:
    """Remove what was refused before that moment; returns how many there were."""
    removed = 0
    while True:
        with database.reading() as session:
            older = select(QuarantineRow.id).where(QuarantineRow.received_at <= before)
            ids = list(session.scalars(older.order_by(QuarantineRow.id).limit(_BATCH)))
        if not ids:
            return removed
        removed += remove(database, files, ids)


def _insert(session: Session, new: NewQuarantined) -> str | None:
    """None when the content was new, else the file that it has already."""
    same = select(QuarantineRow.file).where(QuarantineRow.content_sha256 == new.content_sha256)
    known = session.scalar(same)
    if known is None:
        try:
            with session.begin_nested():
                session.add(QuarantineRow(**asdict(new)))
        except IntegrityError:  # another process kept the same content between our look and our insert
            known = session.scalar(same)
            if known is None:
                raise
    return known


def _make_room(session: Session, limit_bytes: int) -> list[str]:
    """Delete the oldest rows until what is left fits; returns their files."""
    total, count = session.execute(select(func.coalesce(func.sum(QuarantineRow.byte_count), 0), func.count())).one()
    too_old = []
    if total > limit_bytes or count > MOST_OBJECTS:
        for row_id, byte_count in session.execute(
            select(QuarantineRow.id, QuarantineRow.byte_count).order_by(QuarantineRow.id)
        ):
            if total <= limit_bytes and count <= MOST_OBJECTS:
                break
            too_old.append(row_id)
            total, count = total - byte_count, count - 1
    return _delete(session, too_old)


def _delete(session: Session, ids: list[int]) -> list[str]:
    """Delete the rows and return their files."""
    files = []
    for start in range(0, len(ids), _BATCH):
        these = QuarantineRow.id.in_(ids[start : start + _BATCH])
        deleted = delete(QuarantineRow).where(these).returning(QuarantineRow.file)
        files += list(session.scalars(deleted, execution_options={"synchronize_session": False}))
    return files


def _remove_file(files: FileStore, relative: str) -> None:
    """Remove the file unless it is being written again; then, or when it cannot be, the next sweep finds it."""
    seen: SeenFile | None = look(files, relative)
    if seen is not None:
        remove_unchanged(files, seen)
