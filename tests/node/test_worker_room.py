"""A worker begins no case when the disk is nearly full, and goes on by itself when there is room."""

import pytest
from structlog.testing import capture_logs

from config.settings import Settings
from node.grouping import complete_cases, place_new_instances
from node.worker import Worker
from storage import cases
from storage.database import Database
from storage.files import FileStore
from storage.schema import CaseState
from tests.node.case_images import mr_image, take_in
from tests.node.conftest import Clock
from tests.node.test_worker import FakeEngine


def test_a_case_waits_ready_until_there_is_room(
    database: Database, files: FileStore, settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(database, files, mr_image(1), clock=clock)
    place_new_instances(database, settings)
    clock.pass_s(200)
    complete_cases(database, settings)
    worker = Worker(database, files, FakeEngine(), settings=settings, owner="worker-1")
    free = settings.receiver.minimum_free_bytes - 1
    monkeypatch.setattr(files, "free_bytes", lambda: free)

    with capture_logs() as logs:
        worked = [worker.run_once() for _ in range(3)]
        with database.reading() as session:
            (waiting,) = cases.in_state(session, CaseState.READY)
        free += 1
        worked.append(worker.run_once())

    assert worked == [False, False, False, True]
    assert waiting.attempts == 0
    told = [entry["event"] for entry in logs if "room" in entry["event"]]
    assert told == ["worker_waits_for_room", "worker_has_room_again"], "once per change"
