"""Files without a row: received or made, but never acknowledged, or left behind by a process that died.

Which files have a row is kept in a private database of SQLite's on disk, so that memory does not grow with the store.
"""

import fcntl
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from itertools import islice
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute

from storage.database import Database
from storage.errors import StorageError
from storage.files import FileStore
from storage.schema import InstanceRow, QuarantineRow, ReportObjectRow
from storage.stored_files import (
    LEAVING_SUFFIX,
    TEMPORARY_SUFFIX,
    SeenFile,
    look,
    name_before_leaving,
    put_back,
    remove_unchanged,
    walk,
)

log = structlog.get_logger(__name__)

_PAGE: Final = 1000
_SUSPECTS: Final = 5000  # looked up together, by one scan of the tables: files have no index
_DIGEST_BYTES: Final = 16

# The row's id, its file, and which rows hold on to their file.
_FILES: Final[tuple[tuple[InstrumentedAttribute[int], InstrumentedAttribute[str], ColumnElement[bool] | None], ...]] = (
    (InstanceRow.id, InstanceRow.file, None),
    (ReportObjectRow.id, ReportObjectRow.file, ReportObjectRow.purged_at.is_(None)),
    (QuarantineRow.id, QuarantineRow.file, None),
)


class Why(StrEnum):
    """What kind of stray a file is."""

    ORPHAN = "orphan"  # no row names it
    TEMPORARY = "temporary"  # its writer died
    LEAVING = "leaving"  # its removal did not finish


@dataclass(frozen=True, slots=True)
class Stray:
    """A file that should not be there."""

    seen: SeenFile
    why: Why


def no_pause() -> None:
    """What is called at each page where nobody wants to know."""


def strays(database: Database, files: FileStore, *, each_page: Callable[[], None] = no_pause) -> Iterator[Stray]:
    """The files that do not belong into the store and are too old to be on their way into it.

    `each_page` is called now and then, and may raise to break off. Raises StorageError.
    """
    with closing(sqlite3.connect("")) as known:
        known.execute("CREATE TABLE known (file BLOB PRIMARY KEY) WITHOUT ROWID")
        _remember_files(database, known, each_page)
        suspects = _suspects(files, known, each_page)
        while page := list(islice(suspects, _SUSPECTS)):
            orphaned = {one.seen.relative for one in page if one.why is Why.ORPHAN}
            named = _named(database, orphaned)  # a row may have come since
            yield from (one for one in page if one.seen.relative not in named)


def mend(database: Database, files: FileStore, *, each_page: Callable[[], None] = no_pause) -> dict[Why, int]:
    """Remove the strays, and give the files back their names that are needed after all; returns how many.

    Safe while the node runs: a file is removed only while it is the one that was seen, and that one is an hour old.
    """
    mended: Counter[Why] = Counter()
    for one in strays(database, files, each_page=each_page):
        if one.why is Why.LEAVING:
            mended[one.why] += _settle_leaving(database, files, one.seen)
        else:
            mended[one.why] += remove_unchanged(files, one.seen)
    found = {why: count for why, count in mended.items() if count}
    if found:
        log.info("stray_files_removed", **{why.value: count for why, count in found.items()})
    return found


def _suspects(files: FileStore, known: sqlite3.Connection, each_page: Callable[[], None]) -> Iterator[Stray]:
    for number, seen in enumerate(walk(files)):
        if number % _PAGE == 0:
            each_page()
        if seen.relative.endswith(LEAVING_SUFFIX):
            if seen.is_untouched:
                yield Stray(seen, Why.LEAVING)
        elif not seen.is_settled:
            continue
        elif seen.relative.endswith(TEMPORARY_SUFFIX):
            if not _is_locked(files, seen.relative):
                yield Stray(seen, Why.TEMPORARY)
        elif not _is_known(known, seen.relative):
            yield Stray(seen, Why.ORPHAN)


def _settle_leaving(database: Database, files: FileStore, seen: SeenFile) -> int:
    relative = name_before_leaving(seen.relative)
    needed = look(files, relative) is None and bool(_named(database, {relative}))
    path = files.path(seen.relative)
    try:
        if needed:
            put_back(path, files.path(relative))
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"file store {files.root}: mending {seen.relative}: {error}") from error
    return 1


def _remember_files(database: Database, known: sqlite3.Connection, each_page: Callable[[], None]) -> None:
    for id_column, file_column, holds in _FILES:
        last_id, full = 0, True
        while full:
            each_page()
            statement = select(id_column, file_column).where(id_column > last_id).order_by(id_column).limit(_PAGE)
            if holds is not None:
                statement = statement.where(holds)
            with database.reading() as session:
                rows = session.execute(statement).all()
            known.executemany("INSERT OR IGNORE INTO known VALUES (?)", [(_digest(file),) for _, file in rows])
            full, last_id = len(rows) == _PAGE, rows[-1][0] if rows else last_id


def _is_known(known: sqlite3.Connection, relative: str) -> bool:
    return known.execute("SELECT 1 FROM known WHERE file = ?", (_digest(relative),)).fetchone() is not None


def _digest(relative: str) -> bytes:
    return sha256(relative.encode(errors="surrogateescape")).digest()[:_DIGEST_BYTES]


def _named(database: Database, relatives: set[str]) -> set[str]:
    """Those that a row names now."""
    named: set[Any] = set()
    if relatives:
        with database.reading() as session:
            for _, file_column, holds in _FILES:
                statement = select(file_column).where(file_column.in_(list(relatives)))
                named.update(session.scalars(statement if holds is None else statement.where(holds)))
    return named


def _is_locked(files: FileStore, relative: str) -> bool:
    """Whether a living writer holds the file."""
    try:
        with files.path(relative).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        return True
    except OSError as error:
        raise StorageError(f"file store {files.root}: looking at {relative}: {error}") from error
    return False
