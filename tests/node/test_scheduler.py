"""The timers run every job, survive its faults, and tell what an operator must know."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from config.settings import ReceiverSettings, Settings
from node.grouping import place_new_instances
from node.metrics import Metrics
from node.scheduler import Job, finish_delivered, housekeeping, make_scheduler, report_health
from storage import cases
from storage.database import Database
from storage.files import FileStore
from storage.retention import Freed
from storage.schema import CaseRow, CaseState, DeliveryRow, DeliveryState
from tests.node.conftest import Clock, Receive

PATIENCE_S = 10.0
LONG_JOBS = ("retention", "space", "verify")


def run_until(jobs: list[Job], condition: Callable[[], bool]) -> None:
    scheduler = make_scheduler(jobs)
    scheduler.start()
    try:
        assert condition()
    finally:
        scheduler.shutdown()


def test_a_job_that_fails_is_logged_and_runs_again() -> None:
    runs = threading.Semaphore(0)

    def broken() -> None:
        runs.release()
        raise ValueError("nothing works")

    with capture_logs() as logs:
        run_until([Job("broken", 0.02, broken)], lambda: all(runs.acquire(timeout=PATIENCE_S) for _ in range(4)))

    failed = [entry for entry in logs if entry["event"] == "job_failed"]
    assert len(failed) == 1, "once per change, not once per run"
    assert failed[0]["job"] == "broken"
    assert "nothing works" in failed[0]["error"]


def test_a_job_that_fails_does_not_stop_its_neighbour() -> None:
    ran = threading.Event()

    def broken() -> None:
        raise ValueError("nothing works")

    run_until([Job("broken", 0.02, broken), Job("sound", 0.02, ran.set)], lambda: ran.wait(PATIENCE_S))

    assert ran.is_set()


def test_the_house_has_a_job_for_every_step(database: Database, files: FileStore, settings: Settings) -> None:
    jobs = housekeeping(database, files, settings, Metrics())

    assert [job.name for job in jobs] == ["place", "complete", "finish_delivered", "strand", "health", *LONG_JOBS]
    for job in jobs:
        job.run()


def test_a_case_without_anything_to_deliver_is_done(
    database: Database, settings: Settings, receive: Receive, clock: Clock
) -> None:
    receive()
    place_new_instances(database, settings)
    with database.transaction() as session:
        (case,) = cases.in_state(session, CaseState.COLLECTING)
        cases.mark_ready(session, case, "quiet", clock())
    with database.transaction() as session:
        claim = cases.claim(session, owner="w", now=clock(), lease_s=60, maximum_attempts=3)
        assert claim is not None
        cases.report(session, claim, findings={}, objects=[], destinations=[], failed_reason=None, now=clock())

    assert finish_delivered(database) == 1
    assert finish_delivered(database) == 0


def test_health_tells_queues_and_free_space(
    database: Database, files: FileStore, settings: Settings, receive: Receive
) -> None:
    receive()

    with capture_logs() as logs:
        report_health(database, files, settings, Metrics())

    line = next(entry for entry in logs if entry["event"] == "health")
    assert line["unplaced_instances"] == 1
    assert line["free_bytes"] > 0


def test_health_warns_of_a_disk_that_is_nearly_full(database: Database, files: FileStore, settings: Settings) -> None:
    demanding = ReceiverSettings(minimum_free_bytes=files.free_bytes())

    with capture_logs() as logs:
        report_health(database, files, settings.model_copy(update={"receiver": demanding}), Metrics())

    assert "disk_nearly_full" in [entry["event"] for entry in logs]


def test_health_warns_of_held_cases_and_dead_letters(
    database: Database, files: FileStore, settings: Settings, receive: Receive
) -> None:
    route = settings.routes[0].model_copy(update={"forward_originals_to": ("pacs",)})
    receive()
    place_new_instances(database, settings.model_copy(update={"routes": (route,)}))
    with database.transaction() as session:
        session.execute(update(CaseRow).values(state=CaseState.HELD.value))
        session.execute(update(DeliveryRow).values(state=DeliveryState.DEAD.value))

    with capture_logs() as logs:
        report_health(database, files, settings, Metrics())

    warnings = {entry["event"]: entry["count"] for entry in logs if entry["log_level"] == "warning"}
    assert warnings == {"cases_held": 1, "deliveries_dead": 1}


def test_health_sets_the_gauges_of_monitoring_and_back_to_nothing(
    database: Database, files: FileStore, settings: Settings, receive: Receive
) -> None:
    metrics = Metrics()
    route = settings.routes[0].model_copy(update={"forward_originals_to": ("pacs",)})
    receive()
    place_new_instances(database, settings.model_copy(update={"routes": (route,)}))

    report_health(database, files, settings, metrics)
    waiting = metrics.value("deliveries_waiting", state="pending"), metrics.value("cases", state="collecting")
    with database.transaction() as session:
        session.execute(update(CaseRow).values(state=CaseState.HELD.value))
        session.execute(update(DeliveryRow).values(state=DeliveryState.DEAD.value))
    report_health(database, files, settings, metrics)

    assert waiting == (1, 1)
    assert metrics.value("deliveries_waiting", state="pending") == metrics.value("cases", state="collecting") == 0
    assert metrics.value("deliveries_waiting", state="dead") == metrics.value("cases", state="held") == 1


def test_what_verify_finds_and_retention_frees_is_counted(
    database: Database, files: FileStore, settings: Settings, receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = Metrics()
    monkeypatch.setattr("node.scheduler.remove_aged", lambda *_, each_step: Freed(byte_count=7))
    jobs = {job.name: job for job in housekeeping(database, files, settings, metrics)}
    receive()  # a row without its file

    jobs["verify"].run()
    jobs["retention"].run()
    jobs["retention"].run()

    assert metrics.value("verify_findings", kind="file_missing") == 1
    assert metrics.value("retention_freed_bytes") == 14


def test_a_nightly_job_waits_for_its_hour_whatever_the_day() -> None:
    scheduler = make_scheduler([Job("verify", None, lambda: None, at_hour=4)])
    scheduler.start(paused=True)
    try:
        (job,) = scheduler.get_jobs()
        first = job.next_run_time
        second = job.trigger.get_next_fire_time(first, first)
    finally:
        scheduler.shutdown()

    assert (first.hour, first.minute) == (4, 0)
    assert (second - first).days <= 1


@pytest.mark.parametrize("seconds", [90, 3600, 40 * 86400])
def test_jobs_go_on_at_their_pace_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    offset = timedelta(0)

    class Wall(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Wall":
            return super().now(tz) + offset

    for module in ("apscheduler.schedulers.base", "node.scheduler"):
        monkeypatch.setattr(f"{module}.datetime", Wall)
    runs = threading.Semaphore(0)

    def ran_again() -> bool:
        nonlocal offset
        before = all(runs.acquire(timeout=PATIENCE_S) for _ in range(3))
        offset = timedelta(seconds=-seconds)
        return before and all(runs.acquire(timeout=PATIENCE_S) for _ in range(20))

    run_until([Job("often", 0.02, runs.release)], ran_again)


def test_a_nightly_job_does_not_wait_for_the_nights_of_a_clock_that_was_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    offset = timedelta(days=400)

    class Wall(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Wall":
            return super().now(tz) + offset

    for module in ("apscheduler.schedulers.base", "node.scheduler"):
        monkeypatch.setattr(f"{module}.datetime", Wall)
    scheduler = make_scheduler([Job("nightly", None, lambda: None, at_hour=4), Job("often", 0.02, lambda: None)])
    scheduler.start()
    try:
        offset = timedelta(0)
        deadline = time.monotonic() + PATIENCE_S

        def waits() -> timedelta:
            return scheduler.get_job("nightly").next_run_time - datetime.now(UTC)

        while waits() > timedelta(days=2) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert waits() <= timedelta(hours=25)
    finally:
        scheduler.shutdown()


def test_a_long_job_is_asked_to_end_before_the_scheduler_waits_for_it() -> None:
    began, stopping = threading.Event(), threading.Event()

    def long() -> None:
        began.set()
        assert stopping.wait(PATIENCE_S)

    run_until([Job("long", 0.02, long, stop=stopping.set)], lambda: began.wait(PATIENCE_S))

    assert stopping.is_set()


def test_verify_ends_at_its_next_page_when_the_node_stops(
    database: Database, files: FileStore, settings: Settings
) -> None:
    (job,) = [job for job in housekeeping(database, files, settings, Metrics()) if job.name == "verify"]
    assert job.stop is not None
    job.stop()

    with capture_logs() as logs:
        job.run()

    assert [entry["event"] for entry in logs] == ["job_broken_off"]
