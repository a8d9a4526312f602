import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from storage.database import Database, translated, upgrade
from storage.errors import StorageError, StorageFull
from storage.instances import InstanceRecorder
from storage.schema import CaseRow, InstanceRow
from tests.storage.conftest import START, Clock, new_instance

HAMMERS = 3
BLOWS = 120


def new_case(group_key: str = "group") -> CaseRow:
    times = dict.fromkeys(("created_at", "state_since", "last_instance_at", "available_at"), START)
    return CaseRow(group_key=group_key, route="spine", **times)


def group_keys(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(select(CaseRow.group_key).order_by(CaseRow.id)))


def test_a_transaction_that_ends_well_is_kept(database: Database) -> None:
    with database.transaction() as session:
        session.add(new_case())

    assert group_keys(database) == ["group"]


def test_a_transaction_that_raises_is_undone_whole(database: Database) -> None:
    def break_off() -> None:
        with database.transaction() as session:
            session.add(new_case())
            session.flush()
            raise KeyError("a fault of the caller")

    with pytest.raises(KeyError):
        break_off()

    assert group_keys(database) == []


def test_a_fault_of_the_database_is_a_storage_error_without_the_values_of_the_row(database: Database) -> None:
    with database.transaction() as session:
        session.add(new_case("SECRET"))

    with pytest.raises(StorageError) as caught, database.transaction() as session:
        session.add(new_case("SECRET"))

    assert "unique" in str(caught.value).lower()
    assert "SECRET" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_the_caller_can_catch_a_fault_inside_the_transaction(database: Database) -> None:
    with database.transaction() as session:
        session.add(new_case("first"))
        with pytest.raises(IntegrityError), session.begin_nested():
            session.add(new_case("first"))
        session.add(new_case("second"))

    assert group_keys(database) == ["first", "second"]


def test_a_reading_session_cannot_write(database: Database) -> None:
    with pytest.raises(StorageError, match=r"(?i)read.?only"), database.reading() as session:
        session.add(new_case())

    assert group_keys(database) == []


def test_a_connection_can_write_again_after_it_was_used_for_reading(database: Database) -> None:
    group_keys(database)

    with database.transaction() as session:
        session.add(new_case())

    assert group_keys(database) == ["group"]


def test_rows_refer_only_to_rows_that_exist(database: Database) -> None:
    InstanceRecorder(database).record(new_instance())

    with pytest.raises(StorageError, match=r"(?i)foreign key"), database.transaction() as session:
        session.scalars(select(InstanceRow)).one().case_id = 4711


def test_an_sqlite_database_syncs_each_commit_and_waits_for_locks(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'node.db'}"
    upgrade(url)
    database = Database(url)

    with database.reading() as session:
        pragmas = {
            name: session.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }

    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 15_000}
    database.dispose()


def test_an_sqlite_reader_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'node.db'}"
    upgrade(url)
    database = Database(url)

    with database.transaction() as session:
        session.add(new_case())
        session.flush()
        seen = group_keys(database)

    assert seen == []
    database.dispose()


def test_a_postgresql_that_answers_before_its_log_is_on_disk_is_told_not_to(
    postgresql_url: str,
) -> None:
    database = Database(f"{postgresql_url}?options=-c%20synchronous_commit%3Doff")

    with database.reading() as session:
        assert session.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
    database.dispose()


def test_times_come_back_in_utc(database: Database) -> None:
    with database.transaction() as session:
        session.add(new_case())

    with database.reading() as session:
        assert session.scalars(select(CaseRow.created_at)).one() == START
        assert session.scalars(select(CaseRow.created_at)).one().tzinfo is UTC


def test_the_injected_clock_is_what_now_says(database: Database, clock: Clock) -> None:
    clock.pass_s(5)

    assert database.now() == START + timedelta(seconds=5)


def test_without_a_clock_now_is_the_time_of_the_database_in_utc(database_url: str) -> None:
    database = Database(database_url)

    now = database.now()

    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=30)
    database.dispose()


@pytest.mark.parametrize("url", ["mysql+pymysql://user:SECRET@localhost/x", "user:SECRET@localhost", ""])
def test_a_url_of_no_known_database_is_refused_with_those_that_are_possible(url: str) -> None:
    with pytest.raises(StorageError, match="postgresql") as caught:
        Database(url)

    assert "SECRET" not in str(caught.value)


def test_a_full_disk_under_an_sqlite_database_is_told_as_such(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'node.db'}"
    upgrade(url)
    database = Database(url)

    def fill() -> None:
        with database.transaction() as session:
            session.execute(text("PRAGMA max_page_count=1"))  # no more pages than there are
            session.add_all(new_case(f"{number:0>64}") for number in range(1000))

    with pytest.raises(StorageFull, match="make room"):
        fill()
    database.dispose()


@pytest.mark.parametrize(("sqlstate", "expected"), [("53100", StorageFull), ("57P01", StorageError)])
def test_faults_of_postgresql_are_told_apart_by_their_code(sqlstate: str, expected: type[StorageError]) -> None:
    class Fault(Exception):
        pass

    fault = Fault("could not extend file\nDETAIL: Failing row contains (SECRET)")
    fault.sqlstate = sqlstate  # type: ignore[attr-defined]

    error = translated(OperationalError("INSERT", None, fault))

    assert type(error) is expected
    assert "SECRET" not in str(error)


def test_the_file_of_an_sqlite_database_is_sound_after_use(tmp_path: Path, database: Database) -> None:
    if not database.is_sqlite:
        pytest.skip("looks into the file")
    for number in range(20):
        InstanceRecorder(database).record(new_instance(number))
    database.dispose()

    (path,) = tmp_path.glob("*.db")
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_processes_that_read_and_write_one_database_never_fail_nor_lose_a_change(
    database_url: str, database: Database
) -> None:
    """Each process reads the row and writes it back one higher: a lost lock or a stale read would lose a count."""
    with database.transaction() as session:
        session.add(new_case())
    code = (
        "import sys; from sqlalchemy import select; from storage.database import Database;"
        "from storage.schema import CaseRow\n"
        "database = Database(sys.argv[1])\n"
        f"for _ in range({BLOWS}):\n"
        "    with database.transaction() as session:\n"
        "        case = session.scalars(select(CaseRow).with_for_update()).one()\n"
        "        case.fence += 1\n"
    )

    hammers = [
        subprocess.Popen([sys.executable, "-c", code, database_url], stderr=subprocess.PIPE, text=True)
        for _ in range(HAMMERS)
    ]
    errors = [hammer.communicate(timeout=120)[1] for hammer in hammers]

    assert [hammer.returncode for hammer in hammers] == [0] * HAMMERS, errors
    with database.reading() as session:
        assert session.scalars(select(CaseRow.fence)).one() == HAMMERS * BLOWS


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite://user:SECRET@host/path", "postgresql+nodriver://u:SECRET@h/x"]
)
def test_a_url_that_names_no_usable_database_is_a_storage_error_without_the_url(url: str) -> None:
    with pytest.raises(StorageError) as caught:
        Database(url)

    assert "sqlite:///<path>" in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
