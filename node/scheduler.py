"""Housekeeping by timers. The timers hold no state: every job asks the database what is due, so that a restart loses
nothing and a second scheduler does no harm.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import func, select

from config.settings import Settings
from node.grouping import complete_cases, place_new_instances
from node.logs import describe_error, traceback_without_values
from node.metrics import Metrics
from node.retention import remove_aged, remove_for_space
from node.verification import verify_nightly
from storage import cases, outbox
from storage.database import Database
from storage.discrepancies import Kind
from storage.files import FileStore
from storage.schema import CaseRow, CaseState, DeliveryState, InstanceRow, Placement, QuarantineRow

log = structlog.get_logger(__name__)

_GROUPING_EVERY_S: Final = 1.0
_FINISHING_EVERY_S: Final = 2.0
_HEALTH_EVERY_S: Final = 60.0
_SPACE_EVERY_S: Final = 60.0
# How soon the scheduler looks whether the wall clock, by which the library goes, was set back.
_LONGEST_WAIT_S: Final = 2.0
_ROUNDING: Final = timedelta(seconds=1)
# Local time, when few images come; neither hour is skipped or doubled by the change to summer time.
_RETENTION_HOUR: Final = 1
_VERIFY_HOUR: Final = 4
_WAITING: Final = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.DEAD)
_LOW_SPACE_FACTOR: Final = 2  # warn at twice the free space below which the receiver refuses images


@dataclass(frozen=True, slots=True)
class Job:
    """One timer: every `every_s` seconds, or once a day at `at_hour` o'clock, local time."""

    name: str
    every_s: float | None
    run: Callable[[], object]
    at_hour: int | None = None
    stop: Callable[[], object] | None = None  # asks a long run to end soon; called when the node stops

    def trigger(self) -> IntervalTrigger | CronTrigger:
        if self.at_hour is not None:
            return CronTrigger(hour=self.at_hour, minute=0)
        return IntervalTrigger(seconds=self.every_s)


def housekeeping(database: Database, files: FileStore, settings: Settings, metrics: Metrics) -> list[Job]:
    """The jobs of one node."""
    long = _Interruptible()

    def age(check: Callable[[], None]) -> None:
        freed = remove_aged(database, files, settings, each_step=check)
        metrics.count("retention_freed_bytes", freed.byte_count)

    def make_space(check: Callable[[], None]) -> None:
        freed = remove_for_space(database, files, settings, each_step=check)
        metrics.count("retention_freed_bytes", freed.byte_count)

    def verify(check: Callable[[], None]) -> None:
        found = verify_nightly(database, files, settings, each_page=check)
        for kind in Kind:
            metrics.set("verify_findings", found[kind.value], kind=kind.value)

    return [
        Job("place", _GROUPING_EVERY_S, lambda: place_new_instances(database, settings)),
        Job("complete", _GROUPING_EVERY_S, lambda: complete_cases(database, settings)),
        Job("finish_delivered", _FINISHING_EVERY_S, lambda: finish_delivered(database)),
        Job("strand", _HEALTH_EVERY_S, lambda: strand_unknown_destinations(database, settings)),
        Job("health", _HEALTH_EVERY_S, lambda: report_health(database, files, settings, metrics)),
        Job("retention", None, lambda: long.run(age), at_hour=_RETENTION_HOUR, stop=long.stop),
        Job("space", _SPACE_EVERY_S, lambda: long.run(make_space), stop=long.stop),
        Job("verify", None, lambda: long.run(verify), at_hour=_VERIFY_HOUR, stop=long.stop),
    ]


def make_scheduler(jobs: list[Job]) -> BackgroundScheduler:
    """A scheduler, not yet started, that runs each job alone and late rather than never."""
    scheduler = _Scheduler(
        [job.stop for job in jobs if job.stop is not None],
        timezone="UTC",
        # without misfire_grace_time=None a job is dropped when all threads were busy for a second
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    for job in jobs:
        scheduler.add_job(job.run, job.trigger(), id=job.name, name=job.name)
    # it tells each failure of a job again, with a traceback; ours is told once per change
    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
    scheduler.add_listener(_JobFaults().note, EVENT_JOB_ERROR | EVENT_JOB_EXECUTED)
    return scheduler


class _Scheduler(BackgroundScheduler):  # type: ignore[misc]  # the library is not typed
    """Asks long jobs to end before it waits for them, and keeps its pace when the wall clock is set back."""

    def __init__(self, stops: list[Callable[[], object]], **options: object) -> None:
        super().__init__(**options)
        self._stops = stops

    def shutdown(self, wait: bool = True) -> None:
        for stop in self._stops:
            stop()
        super().shutdown(wait)

    def _process_jobs(self) -> float | None:
        self._follow_the_clock()
        wait_s: float | None = super()._process_jobs()
        return None if wait_s is None else min(wait_s, _LONGEST_WAIT_S)  # the clock may be set back just before it

    def _follow_the_clock(self) -> None:
        """No job is due later than its trigger would say now, but when the clock was set back."""
        now = datetime.now(self.timezone)
        for job in self.get_jobs():
            latest = job.trigger.get_next_fire_time(now, now)
            if job.next_run_time is not None and job.next_run_time - latest > _ROUNDING:
                job.modify(next_run_time=latest)


class _Stopped(Exception):
    """The node stops: a long job ends between two of its steps, and nothing of it is lost."""


class _Interruptible:
    """Runs long jobs that look now and then whether the node stops."""

    def __init__(self) -> None:
        self._stopping = threading.Event()

    def run(self, job: Callable[[Callable[[], None]], object]) -> None:
        try:
            job(self._check)
        except _Stopped:
            log.info("job_broken_off", reason="the node stops", effect="it begins anew at its next time")

    def stop(self) -> None:
        self._stopping.set()

    def _check(self) -> None:
        if self._stopping.is_set():
            raise _Stopped


def finish_delivered(database: Database) -> int:
    """Close the cases whose reports have reached every destination; returns how many."""
    with database.transaction() as session:
        finished = cases.finish_delivered(session, database.now())
    if finished:
        log.info("cases_done", count=finished)
    return finished


def strand_unknown_destinations(database: Database, settings: Settings) -> None:
    """Make dead letters of deliveries to destinations that the settings do not have: no sender would ever take them."""
    with database.transaction() as session:
        stranded = outbox.strand(session, [one.name for one in settings.destinations], database.now())
    for destination, count in sorted(stranded.items()):
        log.warning(
            "destination_unknown",
            destination=destination,
            deliveries=count,
            effect="they are dead letters",
            remedy="add the destination to the settings and run `spinenode outbox retry`",
        )


def report_health(database: Database, files: FileStore, settings: Settings, metrics: Metrics) -> None:
    """What an operator's monitoring can watch, as one log line and as gauges: queues, dead letters, held cases."""
    with database.reading() as session:
        of_state = dict(session.execute(select(CaseRow.state, func.count()).group_by(CaseRow.state)).all())
        new = session.scalar(select(func.count()).where(InstanceRow.placement == Placement.NEW.value))
        refused = session.scalar(select(func.count()).select_from(QuarantineRow)) or 0
        deliveries = outbox.counts(session)
    free = files.free_bytes()
    of_delivery_state = {
        state.value: sum(count for (_, found), count in deliveries.items() if found == state) for state in DeliveryState
    }
    for case_state in CaseState:
        metrics.set("cases", of_state.get(case_state.value, 0), state=case_state.value)
    for delivery_state in _WAITING:
        metrics.set("deliveries_waiting", of_delivery_state[delivery_state.value], state=delivery_state.value)
    metrics.set("quarantined_objects", refused)
    log.info("health", free_bytes=free, unplaced_instances=new, cases=of_state, deliveries=of_delivery_state)
    if free < _LOW_SPACE_FACTOR * settings.receiver.minimum_free_bytes:
        log.warning("disk_nearly_full", free_bytes=free, refused_below=settings.receiver.minimum_free_bytes)
    if held := of_state.get(CaseState.HELD.value):
        log.warning("cases_held", count=held, next_step="spinenode case list --state held")
    if dead := of_delivery_state[DeliveryState.DEAD.value]:
        log.warning("deliveries_dead", count=dead, next_step="spinenode outbox list --state dead")


class _JobFaults:
    """Tells when a job begins to fail and when it works again, not each run between."""

    def __init__(self) -> None:
        self._failing: set[str] = set()

    def note(self, event: JobExecutionEvent) -> None:
        job, error = event.job_id, event.exception
        if error is None:
            if job in self._failing:
                self._failing.discard(job)
                log.info("job_works_again", job=job)
        elif job not in self._failing:
            self._failing.add(job)
            log.error("job_failed", job=job, error=describe_error(error), exception=traceback_without_values(error))
