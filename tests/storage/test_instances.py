import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select, update

from storage.database import Database
from storage.errors import StorageError
from storage.instances import InstanceRecorder, NewInstance, Outcome
from storage.schema import InstanceRow, Placement
from tests.storage.conftest import new_instance

THREADS = 8


def rows(database: Database) -> list[InstanceRow]:
    with database.reading() as session:
        return list(session.scalars(select(InstanceRow).order_by(InstanceRow.id)))


class Commits:
    """Counts the commits to a database; while `gate` is closed, the first one waits within its transaction."""

    def __init__(self, database: Database) -> None:
        self.count = 0
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()
        dialect = database.engine.dialect
        self._commit = dialect.do_commit
        dialect.do_commit = self._watched  # type: ignore[method-assign]

    def _watched(self, connection: Any) -> None:
        self.waiting.set()
        assert self.gate.wait(30)
        self._commit(connection)
        self.count += 1


def record_together(recorder: InstanceRecorder, instances: list[NewInstance], commits: Commits) -> list[Any]:
    """Record the first alone, holding its commit until all the others wait: they become one batch."""
    commits.gate.clear()
    with ThreadPoolExecutor(len(instances)) as pool:
        first = pool.submit(recorder.record, instances[0])
        assert commits.waiting.wait(30)
        others = [pool.submit(recorder.record, instance) for instance in instances[1:]]
        deadline = threading.Event()
        while len(recorder._queue) < len(others):
            deadline.wait(0.001)
        commits.gate.set()
        return [future.exception() or future.result() for future in (first, *others)]


def test_a_recorded_instance_is_committed_with_all_its_columns(database: Database, recorder: InstanceRecorder) -> None:
    new = new_instance(patient_name="DOE^JOHN", manufacturer="Hitachi", study_date="20061012")

    outcome = recorder.record(new)

    (row,) = rows(database)
    assert outcome is Outcome.NEW
    assert row.placement == Placement.NEW.value
    for name in NewInstance.__slots__:
        value = getattr(new, name)
        assert getattr(row, name) == (list(value) if isinstance(value, tuple) else value), name


def test_the_row_is_visible_to_others_when_record_returns(database_url: str, recorder: InstanceRecorder) -> None:
    recorder.record(new_instance())

    other = Database(database_url)
    assert len(rows(other)) == 1
    other.dispose()


def test_the_same_bytes_again_are_a_duplicate_and_add_nothing(database: Database, recorder: InstanceRecorder) -> None:
    recorder.record(new_instance())

    assert recorder.record(new_instance(calling_ae_title="OTHER")) is Outcome.DUPLICATE
    assert len(rows(database)) == 1


def test_other_bytes_under_a_known_uid_are_kept_as_a_second_row(database: Database, recorder: InstanceRecorder) -> None:
    recorder.record(new_instance())
    other = new_instance(content_sha256="cd" * 32, file="instances/00/other.dcm")

    first_time, second_time = recorder.record(other), recorder.record(other)

    assert (first_time, second_time) == (Outcome.OTHER_CONTENT, Outcome.DUPLICATE)
    assert [(row.placement, row.file) for row in rows(database)][1] == ("other_content", "instances/00/other.dcm")


def test_many_threads_share_one_commit(database: Database, recorder: InstanceRecorder) -> None:
    commits = Commits(database)

    outcomes = record_together(recorder, [new_instance(number) for number in range(THREADS)], commits)

    assert outcomes == [Outcome.NEW] * THREADS
    assert commits.count == 2  # the first alone, then all that waited
    assert len(rows(database)) == THREADS


def test_duplicates_within_one_batch_are_told_apart(database: Database, recorder: InstanceRecorder) -> None:
    same, other = new_instance(1), new_instance(1, content_sha256="cd" * 32)

    outcomes = record_together(recorder, [new_instance(0), same, same, other, other], Commits(database))

    assert Counter(outcomes) == {Outcome.NEW: 2, Outcome.DUPLICATE: 2, Outcome.OTHER_CONTENT: 1}
    assert len(rows(database)) == 3


def test_a_refused_row_does_not_take_its_neighbours_with_it(database: Database, recorder: InstanceRecorder) -> None:
    bad = new_instance(3, received_at=datetime(2026, 11, 2))  # noqa: DTZ001 - no time zone: the fault
    batch = [new_instance(0), new_instance(1), new_instance(2), bad, new_instance(4)]

    outcomes = record_together(recorder, batch, Commits(database))

    assert outcomes[:3] + outcomes[4:] == [Outcome.NEW] * 4
    assert isinstance(outcomes[3], StorageError)
    assert "time zone" in str(outcomes[3])
    assert len(rows(database)) == 4


def test_a_row_that_a_constraint_refuses_fails_alone_and_is_told(
    database: Database, recorder: InstanceRecorder
) -> None:
    bad = replace(new_instance(2), sop_class_uid=None)  # type: ignore[arg-type]
    batch = [new_instance(0), new_instance(1), bad, new_instance(3)]

    outcomes = record_together(recorder, batch, Commits(database))

    assert [isinstance(outcome, StorageError) for outcome in outcomes] == [False, False, True, False]
    assert "sop_class_uid" in str(outcomes[2])
    assert len(rows(database)) == 3


def test_an_error_never_tells_a_patients_name(recorder: InstanceRecorder) -> None:
    bad = replace(new_instance(), sop_class_uid=None, patient_name="SECRET^NAME")  # type: ignore[arg-type]

    with pytest.raises(StorageError) as caught:
        recorder.record(bad)

    assert "SECRET" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_nothing_is_told_recorded_when_the_commit_fails(
    database: Database, recorder: InstanceRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = sqlite3.OperationalError if database.is_sqlite else psycopg.OperationalError

    def refuse(*_: Any) -> None:
        raise fault("disk I/O error")

    # PostgreSQL commits the statement by itself: there is no later moment at which it could fail
    moment = "do_commit" if database.is_sqlite else "do_execute"
    with monkeypatch.context() as patched:
        patched.setattr(database.engine.dialect, moment, refuse)
        with pytest.raises(StorageError, match="disk I/O error"):
            recorder.record(new_instance())

    assert rows(database) == []
    assert recorder.record(new_instance()) is Outcome.NEW


def test_a_header_that_no_database_can_hold_does_not_make_its_object_unreceivable(
    database: Database, recorder: InstanceRecorder
) -> None:
    broken = new_instance(
        patient_name="A\x00B\udcff", orientation=(float("nan"),) * 6, position_mm=(float("inf"), 0.0, 0.0)
    )

    assert recorder.record(broken) is Outcome.NEW
    (row,) = rows(database)
    assert (row.patient_name, row.orientation, row.position_mm) == ("A\ufffdB?", None, None)


def test_a_closed_recorder_refuses_and_has_committed_what_waited(database: Database) -> None:
    recorder = InstanceRecorder(database)
    commits = Commits(database)
    commits.gate.clear()
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(recorder.record, new_instance(1))
        assert commits.waiting.wait(30)
        second = pool.submit(recorder.record, new_instance(2))
        closing = pool.submit(recorder.close)
        commits.gate.set()
        closing.result(30)
        assert first.result(30) is Outcome.NEW
        assert second.exception(30) is not None or second.result() is Outcome.NEW

    with pytest.raises(StorageError, match="closed"):
        recorder.record(new_instance(3))


def test_threads_that_record_the_same_instance_add_it_once(database: Database, recorder: InstanceRecorder) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = list(pool.map(lambda _: recorder.record(new_instance()), range(40)))

    assert Counter(outcomes) == {Outcome.NEW: 1, Outcome.DUPLICATE: 39}
    assert len(rows(database)) == 1


def test_two_recorders_never_take_two_contents_of_one_uid_for_new(database_url: str, database: Database) -> None:
    others = [Database(database_url) for _ in range(4)]
    recorders = [InstanceRecorder(other) for other in others]
    contents = ["ab", "cd", "ef", "12"]

    def hammer(job: tuple[int, InstanceRecorder]) -> list[Outcome]:
        content, recorder = job
        return [recorder.record(new_instance(number, content_sha256=contents[content] * 32)) for number in range(25)]

    with ThreadPoolExecutor(4) as pool:
        outcomes = [outcome for many in pool.map(hammer, enumerate(recorders)) for outcome in many]

    assert Counter(outcomes) == {Outcome.NEW: 25, Outcome.OTHER_CONTENT: 75}
    with database.reading() as session:
        new = select(func.count()).where(InstanceRow.placement == Placement.NEW.value)
        assert session.scalar(new) == 25
    for other in others:
        other.dispose()


def test_a_busy_database_is_waited_for(database: Database, recorder: InstanceRecorder) -> None:
    recorder.record(new_instance(1))
    with ThreadPoolExecutor(1) as pool, database.transaction() as session:
        session.execute(update(InstanceRow).values(placement_reason="held by another transaction"))
        waiting = pool.submit(recorder.record, new_instance(2))
        done_before = waiting.done()
        session.commit()

        assert waiting.result(30) is Outcome.NEW
        assert not done_before or database.engine.dialect.name == "postgresql"


def test_a_disk_that_ends_within_the_commit_is_told_and_leaves_no_row(tmp_path: Path) -> None:
    """SQLite writes a transaction when it commits; the limit of the file size stands for the end of the disk."""
    code = (
        "import sys, resource, signal; from storage.database import Database, upgrade;"
        "from storage.instances import InstanceRecorder; from tests.storage.conftest import new_instance;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); upgrade(sys.argv[1]); database = Database(sys.argv[1]);"
        "recorder = InstanceRecorder(database); recorder.record(new_instance(1));"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY));"
        "recorder.record(new_instance(2))"
    )
    url = f"sqlite:///{tmp_path / 'full.db'}"

    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=False, timeout=60)

    assert done.stderr.splitlines()[-1].startswith(
        "storage.errors.StorageError: database: OperationalError SQLITE_IOERR"
    )
    database = Database(url)
    try:
        assert [row.sop_instance_uid for row in rows(database)] == [new_instance(1).sop_instance_uid]
    finally:
        database.dispose()
