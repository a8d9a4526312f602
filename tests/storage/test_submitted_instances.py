"""Rows that come without a thread that waits for them are committed like all others, and told once."""

import threading
from dataclasses import replace
from datetime import UTC, datetime
from queue import SimpleQueue

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from storage.database import Database
from storage.errors import StorageError
from storage.instances import InstanceRecorder, NewInstance, Outcome
from storage.schema import InstanceRow
from tests.storage.test_instances import Commits

DEADLINE_S = 20.0
Told = SimpleQueue[tuple[int, Outcome | Exception]]


def instance(number: int, content: str = "ab") -> NewInstance:
    return NewInstance(
        sop_instance_uid=f"2.25.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        series_instance_uid="2.25.2001",
        study_instance_uid="2.25.3001",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        content_sha256=content * 32,
        byte_count=512,
        file=f"instances/00/{number}-{content}.dcm",
        calling_ae_title="SCANNER",
        received_at=datetime(2026, 11, 2, tzinfo=UTC),
    )


def rows(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(InstanceRow)) or 0


def test_submitted_rows_are_on_disk_when_they_are_told(database: Database, recorder: InstanceRecorder) -> None:
    told: SimpleQueue[int] = SimpleQueue()

    recorder.submit([(instance(1), lambda _: told.put(rows(database)))])

    assert told.get(timeout=DEADLINE_S) == 1


def test_each_row_is_told_its_own_outcome_once(recorder: InstanceRecorder) -> None:
    told: Told = SimpleQueue()
    sent = [instance(1), instance(2), instance(1), instance(1, "cd")]

    recorder.submit(
        (one, lambda outcome, number=number: told.put((number, outcome))) for number, one in enumerate(sent)
    )

    answers = dict(told.get(timeout=DEADLINE_S) for _ in sent)
    assert answers == {0: Outcome.NEW, 1: Outcome.NEW, 2: Outcome.DUPLICATE, 3: Outcome.OTHER_CONTENT}
    recorder.close()
    assert told.empty()


def test_rows_submitted_together_share_one_commit(database: Database, recorder: InstanceRecorder) -> None:
    commits = Commits(database)
    told: Told = SimpleQueue()

    recorder.submit([(instance(number), lambda outcome: told.put((0, outcome))) for number in range(20)])

    assert [told.get(timeout=DEADLINE_S)[1] for _ in range(20)] == [Outcome.NEW] * 20
    assert commits.count == 1


def test_a_refused_row_is_told_its_error_and_its_neighbours_are_kept(
    database: Database, recorder: InstanceRecorder
) -> None:
    told: Told = SimpleQueue()
    broken = replace(instance(2), sop_class_uid=None)  # type: ignore[arg-type]  # the column must not be empty

    recorder.submit(
        (one, lambda outcome, number=number: told.put((number, outcome)))
        for number, one in enumerate([instance(1), broken, instance(3)])
    )

    answers = dict(told.get(timeout=DEADLINE_S) for _ in range(3))
    assert (answers[0], answers[2]) == (Outcome.NEW, Outcome.NEW)
    assert isinstance(answers[1], StorageError)
    assert rows(database) == 2


def test_a_listener_that_fails_harms_no_other(recorder: InstanceRecorder) -> None:
    told: Told = SimpleQueue()

    def fail(_: object) -> None:
        raise RuntimeError("gone")

    with capture_logs() as logs:
        recorder.submit([(instance(1), fail), (instance(2), lambda outcome: told.put((2, outcome)))])
        assert told.get(timeout=DEADLINE_S) == (2, Outcome.NEW)

    assert [line["event"] for line in logs] == ["recorded_instance_not_told"]


def test_closing_commits_what_was_submitted_and_takes_no_more(database: Database, recorder: InstanceRecorder) -> None:
    recorder.submit([(instance(number), lambda _: None) for number in range(200)])

    recorder.close()

    assert rows(database) == 200
    assert not any(thread.name == "recorder" for thread in threading.enumerate())
    with pytest.raises(StorageError, match="closed"):
        recorder.submit([(instance(999), lambda _: None)])
    assert rows(database) == 200
