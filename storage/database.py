"""One database behind one URL: transactions that are durable and never wait for a lock upgrade.

SQLite: WAL with `synchronous=FULL` (an acknowledged row survives a power cut) and `BEGIN IMMEDIATE` (a transaction
that reads first and writes later would otherwise fail at once, without using the busy timeout).
PostgreSQL: read committed; the same statements, `SKIP LOCKED` where rows are claimed.
"""

import errno
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from storage.aborted_journal import raise_if_aborted
from storage.base import UtcDateTime
from storage.clock import SteadyClock
from storage.errors import StorageError, StorageFull
from storage.files import make_folder
from storage.held_connection import HeldConnection

MIGRATIONS: Final = Path(__file__).parent / "migrations"

# Longer than the longest transaction seen under load (2.2 s), shorter than a modality's patience (30 s is usual).
_BUSY_TIMEOUT_MS: Final = 15_000
# A process that stops in the middle of a transaction must not hold its locks for ever.
_IDLE_IN_TRANSACTION_TIMEOUT_MS: Final = 60_000
_POSTGRESQL_DISK_FULL: Final = "53100"  # class 53, insufficient resources
_MIGRATION_LOCK: Final = 0x5350_494E_45  # any number that no other program on the same database uses
_BEGIN_WRITING: Final = "BEGIN IMMEDIATE"
_READ_ONLY: Final = "spinenode_read_only"
_URL_FORMS: Final = "use sqlite:///<path> or postgresql+psycopg://..."


class Database:
    """The node's memory. One object per process; sessions are made per unit of work and never shared by threads."""

    def __init__(self, url: str, *, clock: Callable[[], datetime] | None = None) -> None:
        self.engine = _engine(url)
        self._reading_engine = self.engine.execution_options(**{_READ_ONLY: True})
        self._clock = clock
        self._steady = SteadyClock()
        self._steady_from_rows = False
        self._turn = threading.Lock()
        self._held: list[HeldConnection] = []
        file = self.engine.url.database
        self._folder = Path(file).resolve().parent if self.is_sqlite and file else None

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session whose work is committed durably at the end of the block, or rolled back when it raises.

        Raises StorageFull when the disk is full, StorageError for every other fault of the database.
        """
        with self.write_turn(), self._session(self.engine) as session:
            yield session

    @contextmanager
    def write_turn(self) -> Iterator[None]:
        """Writers of this process take turns on SQLite; whoever writes past `transaction` takes one here.

        SQLite itself lets them poll, with pauses that grow to a tenth of a second; here the next one is woken at
        once. Between processes it stays with SQLite's way, as after a turn that does not end.

        Raises StorageError when what was committed in the turn may not be on the disk.
        """
        has_turn = self.is_sqlite and self._turn.acquire(timeout=_BUSY_TIMEOUT_MS / 1000)
        try:
            yield
        finally:
            if has_turn:
                self._turn.release()
        if self._folder is not None:
            try:
                raise_if_aborted(self._folder)
            except OSError as error:
                raise StorageError(f"database: its disk does not keep what is written: {error.strerror}") from error

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one consistent state and cannot write; on SQLite it never waits for a writer."""
        with self._session(self._reading_engine) as session:
            yield session

    @contextmanager
    def _session(self, engine: Engine) -> Iterator[Session]:
        try:
            with Session(engine, expire_on_commit=False) as session, session.begin():
                yield session
        except SQLAlchemyError as error:
            # not chained: the message of the driver can hold the row, and a row holds a patient's name
            raise translated(error) from None

    def now(self) -> datetime:
        """UTC: the injected clock, else the database's, because leases of several machines need one clock.

        SQLite has none: there it is this machine's, which never goes back, not behind the stored times either.
        """
        if self._clock is not None:
            return self._clock().astimezone(UTC)
        if self.is_sqlite:
            return self.machine_now()
        with self.reading() as session:
            now: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
        return now.astimezone(UTC)

    def machine_now(self) -> datetime:
        """UTC of this machine, without asking the database each time; never goes back."""
        if self._clock is not None:
            return self._clock().astimezone(UTC)
        if not self._steady_from_rows:
            self._start_after_stored_times()
        return self._steady.now()

    def _start_after_stored_times(self) -> None:
        """The clock may have been set back since the newest rows were written."""
        with self.reading() as session:
            for table, column in (("instance", "received_at"), ("case_event", "at"), ("delivery", "created_at")):
                statement = text(f"SELECT {column} AS at FROM {table} ORDER BY id DESC LIMIT 1")  # noqa: S608 - our names
                newest = session.execute(statement.columns(at=UtcDateTime())).scalar_one_or_none()
                if newest is not None:
                    self._steady.start_after(newest)
        self._steady_from_rows = True

    def held_connection(self) -> HeldConnection:
        """A connection for whoever commits all the time; on PostgreSQL each of its statements commits itself."""
        begin, prepare = (_BEGIN_WRITING, _let_write) if self.is_sqlite else ("", _commit_each_statement)
        held = HeldConnection(self.engine, begin=begin, prepare=prepare)
        self._held.append(held)
        return held

    def dispose(self) -> None:
        for held in self._held:
            held.release()
        self.engine.dispose()


def translated(error: SQLAlchemyError) -> StorageError:
    """Our error for one of SQLAlchemy's, with the driver's first line and without any value of the row."""
    if not isinstance(error, StatementError):
        return StorageError(f"database: {type(error).__name__}: {error}")
    original = error.orig
    if isinstance(original, sqlite3.Error):
        code, message = getattr(original, "sqlite_errorname", ""), str(original)
    else:
        code = getattr(original, "sqlstate", None) or ""
        diagnosis = getattr(original, "diag", None)
        message = getattr(diagnosis, "message_primary", None) or str(original).partition("\n")[0]
    what = f"database: {type(original).__name__} {code}: {message}"
    full = code in {"SQLITE_FULL", _POSTGRESQL_DISK_FULL} or getattr(original, "errno", None) == errno.ENOSPC
    if full:
        return StorageFull(f"{what}; make room on the disk of the database")
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return StorageError(f"{what}; the connection was lost, try again")
    return StorageError(what)


def upgrade(url: str) -> None:
    """Bring the database to the newest schema; harmless when it is there, and when two processes start at once.

    Creates the file and folder of an SQLite database. The whole upgrade is one transaction: all or nothing.
    """
    parsed = _known_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        make_folder(Path(parsed.database).absolute().parent)
    # tables are rebuilt by SQLite migrations (batch mode), which foreign keys would forbid
    engine = _engine(url, foreign_keys=False)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            config = _alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            if connection.dialect.name == "sqlite" and (
                broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first()
            ):
                raise StorageError(f"upgrade: table {broken[0]!r} would lose rows of {broken[2]!r} it refers to")
    except SQLAlchemyError as error:
        raise translated(error) from None
    finally:
        engine.dispose()


def check_schema(database: Database) -> None:
    """Raise StorageError when the schema of the database is not the one of this version of the node."""
    needed = set(ScriptDirectory.from_config(_alembic_config()).get_heads())
    with database.reading() as session:
        found = set(MigrationContext.configure(session.connection()).get_current_heads())
    if found != needed:
        raise StorageError(
            f"database schema is at {', '.join(sorted(found)) or 'nothing'}, this version needs "
            f"{', '.join(sorted(needed))}: stop the node and run `spinenode db upgrade`"
        )


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _engine(url: str, *, foreign_keys: bool = True) -> Engine:
    engine = _make_engine(_known_url(url))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", partial(_prepare_sqlite, foreign_keys=foreign_keys))
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "connect", _prepare_postgresql)
        event.listen(engine, "begin", _begin_postgresql)
    return engine


def _known_url(url: str) -> URL:
    """Raises StorageError, without the URL, which can hold a password."""
    try:
        parsed = make_url(url)
    except (SQLAlchemyError, ValueError):
        raise StorageError(f"the database URL cannot be read: {_URL_FORMS}") from None
    if (kind := parsed.get_backend_name()) not in ("sqlite", "postgresql"):
        raise StorageError(f"no database of kind {kind!r}: {_URL_FORMS}")
    if kind == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StorageError(f"the database URL names no file, and a memory must outlive the process: {_URL_FORMS}")
    return parsed


def _make_engine(url: URL) -> Engine:
    """Raises StorageError, without the URL."""
    try:
        return create_engine(
            url,
            pool_pre_ping=url.get_backend_name() != "sqlite",  # a file is always there
            # every thread of the node (receivers, workers, senders, timers) holds at most one connection at a time
            pool_size=8,
            max_overflow=56,
            hide_parameters=True,  # parameters hold patients' names
            json_serializer=partial(json.dumps, allow_nan=False),  # PostgreSQL refuses NaN: so does SQLite
        )
    except ImportError as error:
        raise StorageError(
            f"{error}: install the driver, for psycopg with `pip install spinenode[postgresql]`"
        ) from error
    except (ArgumentError, TypeError):  # not chained: the message repeats the URL
        raise StorageError(f"the database URL has a part or a driver that is not known: {_URL_FORMS}") from None


def _prepare_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry, *, foreign_keys: bool) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: _begin_sqlite does
    for pragma in (
        f"busy_timeout={_BUSY_TIMEOUT_MS}",  # first, for the others may have to wait
        "journal_mode=WAL",
        "synchronous=FULL",
        f"foreign_keys={'ON' if foreign_keys else 'OFF'}",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    if connection.info.get(_READ_ONLY) != read_only:  # it stays with a connection of the pool
        connection.exec_driver_sql(f"PRAGMA query_only={'ON' if read_only else 'OFF'}")
        connection.info[_READ_ONLY] = read_only
    connection.exec_driver_sql("BEGIN" if read_only else _BEGIN_WRITING)


def _let_write(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only=OFF").close()


def _prepare_postgresql(connection: Any, _entry: ConnectionPoolEntry) -> None:
    connection.autocommit = True
    connection.execute(f"SET lock_timeout = {_BUSY_TIMEOUT_MS}")
    connection.execute(f"SET idle_in_transaction_session_timeout = {_IDLE_IN_TRANSACTION_TIMEOUT_MS}")
    # a server set to answer before its log is on disk would lose acknowledged images at a power cut
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
    connection.autocommit = False


def _commit_each_statement(connection: Any) -> None:
    connection.autocommit = True


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get(_READ_ONLY, False):
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
