"""Claims ready cases, runs the engine on them and answers: always with a report, at most once per revision."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import structlog

from config.settings import ReportSettings, RouteSettings, Settings
from inference.case import Case
from inference.findings import Findings, Reason
from inference.findings_json import to_json
from node.answer import (
    NotStored,
    Stopwatch,
    Work,
    known_lesions,
    make_report,
    not_analysed,
    report_not_analysed,
    storing,
)
from node.doubts import last_decision
from node.engine import Engine
from node.forwarding import forward_answered
from node.lease import Heartbeat
from node.logs import describe_error
from node.report import ReportError, with_tracking
from storage import case_claims, cases
from storage.case_states import CaseEvent
from storage.cases import Claim, NewReportObject
from storage.database import Database
from storage.errors import LeaseLost, StorageError
from storage.files import FileStore

log = structlog.get_logger(__name__)

_LONGEST_RETRY_S: Final = 300.0  # between two attempts at one case
_STORAGE_RETRY_S: Final = 5.0  # after a fault of the database, before the next claim
# Room that a person made is noticed within a minute. Analysing again costs seconds, so the delay still grows up to it.
_LONGEST_STORAGE_RETRY_S: Final = 60.0
_LARGEST_EXPONENT: Final = 32  # beyond every cap
_ROUTE_RETRY_S: Final = 300.0  # a route comes back when the node is started again: its cases are answered soon after
_PATH: Final = re.compile(r"(?<![\w.])/[^\s/'\":;,]+(?:/[^\s'\":;,]*)+")


class FreshProcessNeeded(Exception):
    """The GPU context of this process is broken: every later run would fail too. End the process, start another."""


class _RouteGone(Exception):
    """No route takes the case any more: an answer would go nowhere."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What will be stored: `failed_reason` is set when no model's word stands behind it."""

    findings: Findings
    objects: list[NewReportObject]
    failed_reason: str | None


class Worker:
    """One thread's work. Several workers, in any number of processes, share one database without harm."""

    def __init__(self, database: Database, files: FileStore, engine: Engine, *, settings: Settings, owner: str) -> None:
        self._database = database
        self._files = files
        self._engine = engine
        self._settings = settings
        self._owner = owner
        self._current: Claim | None = None
        self._faults_in_a_row = 0  # answers that storage did not take
        self._has_room = True  # as it was when it was looked at last
        self._told_without_route: set[int] = set()

    def run(self, stop: threading.Event) -> None:
        """Answer cases until `stop` is set; the case in work is finished first. Raises FreshProcessNeeded."""
        while not stop.is_set():
            try:
                worked = self.run_once()
            except StorageError as error:
                log.warning("worker_storage_fault", reason=str(error), retry_after_s=_STORAGE_RETRY_S)
                stop.wait(_STORAGE_RETRY_S)
                continue
            if not worked:
                stop.wait(self._settings.worker.poll_s)

    def run_once(self) -> bool:
        """Claim one case and answer it; False when none is ready, or when there is no room for an answer.

        Raises StorageError when no case can be claimed, FreshProcessNeeded after an attempt that broke the GPU.
        """
        work = self._claim() if self._is_room() else None
        if work is None:
            return False
        self._current = work.claim
        case = {"case_id": work.claim.case_id, "revision": work.claim.revision, "attempt": work.claim.attempt}
        with structlog.contextvars.bound_contextvars(**case):
            try:
                self._answer(work)
            except LeaseLost as error:
                log.warning("case_lost", reason=str(error), effect="nothing was written")
            except NotStored as error:
                self._put_back(work.claim, error)
            except _RouteGone as error:
                self._wait_for_route(work.claim, str(error))
            except Exception as error:  # job boundary: one case must not end the worker
                log.exception("case_attempt_failed", instances=len(work.instances))
                self._give_back(work.claim, _told(error), self._retry_delay_s(work.claim))
                if _breaks_the_process(error):
                    raise FreshProcessNeeded(describe_error(error)) from error
            else:
                self._faults_in_a_row = 0
            finally:
                self._current = None
        return True

    def abandon(self) -> None:
        """Give the case in work back at once, from another thread, because this process is about to end."""
        claim = self._current
        if claim is not None:
            self._give_back(claim, "the worker was stopped", 0.0)

    def _is_room(self) -> bool:
        """Whether the disk has more free space than must stay free; told when it changes. Cases wait, ready."""
        free, least = self._files.free_bytes(), self._settings.receiver.minimum_free_bytes
        has_room = free >= least
        if has_room is not self._has_room:
            self._has_room = has_room
            if has_room:
                log.info("worker_has_room_again", free_bytes=free)
            else:
                log.warning(
                    "worker_waits_for_room",
                    free_bytes=free,
                    minimum_free_bytes=least,
                    effect="no case is begun; they stay ready",
                    remedy="make room on the disk of storage.data_dir, or let retention remove more",
                )
        return has_room

    def _claim(self) -> Work | None:
        worker = self._settings.worker
        with self._database.transaction() as session:
            claim = cases.claim(
                session,
                owner=self._owner,
                now=self._database.now(),
                lease_s=worker.lease_s,
                maximum_attempts=worker.maximum_attempts,
            )
            if claim is None:
                return None
            return Work(
                claim=claim,
                instances=tuple(cases.instances_of(session, claim.case_id)),
                released=last_decision(session, claim.case_id) == CaseEvent.RELEASED,
                predecessor=cases.previous_report(session, claim.case_id, claim.revision),
                known_lesions=known_lesions(cases.earlier_results(session, claim.case_id, claim.revision)),
            )

    def _answer(self, work: Work) -> None:
        claim, watch, begin = work.claim, Stopwatch(), time.perf_counter()
        route = self._route(work)
        with storing("the database"):
            waited_s = (self._database.now() - claim.state_since).total_seconds()
        log.info("case_claimed", instances=len(work.instances), waited_s=round(waited_s, 3))
        with Heartbeat(self._renewal(claim), lease_s=self._settings.worker.lease_s) as heartbeat:
            answer = self._findings_and_objects(work, self._settings.reports_of(route), watch)
            if heartbeat.lost:
                raise LeaseLost(
                    f"case {claim.case_id}: another worker has it since attempt {claim.attempt} took too long"
                )
            seconds = {**answer.findings.timings_s, **watch.seconds, "attempt": time.perf_counter() - begin}
            findings = replace(answer.findings, timings_s=seconds)
            with storing("the database"), self._database.transaction() as session:
                cases.report(
                    session,
                    claim,
                    findings=to_json(findings),
                    objects=answer.objects,
                    destinations=route.results_to,
                    failed_reason=answer.failed_reason,
                    now=self._database.now(),
                )
                forward_answered(session, self._settings, work.instances, self._database.now())
        log.info(
            "case_reported",
            status=findings.status.value,
            reason=None if findings.reason is None else findings.reason.value,
            failed=answer.failed_reason is not None,
            objects=len(answer.objects),
            seconds={stage: round(value, 3) for stage, value in seconds.items()},
        )

    def _findings_and_objects(self, work: Work, reports: ReportSettings, watch: Stopwatch) -> _Answer:
        claim = work.claim
        if claim.give_up_reason is not None:
            return self._last_word(work, claim.give_up_reason, reports, watch)
        with watch.stage("engine"):
            findings = with_tracking(self._engine.run(self._case(work)), claim.group_key, work.known_lesions)
        try:
            return _Answer(findings, make_report(findings, work, self._files, reports, watch), None)
        except ReportError as error:  # the findings and their report contradict each other: neither may leave
            log.exception("report_refused", remedy="the report says not analysed; tell the makers of the node")
            substitute = not_analysed(
                self._engine.identity, Reason.MODEL_FAILURE, "The result did not pass the check of its own report."
            )
            failed_reason = f"the report was refused: {_told(error)}"
            return _Answer(
                substitute, report_not_analysed(substitute, work, self._files, reports, watch), failed_reason
            )

    def _last_word(self, work: Work, reason: str, reports: ReportSettings, watch: Stopwatch) -> _Answer:
        """No model is run any more. Even when no report can be made the case ends, with the reason, as failed."""
        kind = Reason.IDENTITY_CONFLICT if reason.startswith(cases.REJECTION) else Reason.MODEL_FAILURE
        findings = not_analysed(self._engine.identity, kind, reason)
        try:
            return _Answer(findings, report_not_analysed(findings, work, self._files, reports, watch), reason)
        except NotStored:
            raise  # no room, no disk: the report can be made later
        except Exception as error:  # the last resort of a case: whatever is wrong with its images, it must end
            log.exception("report_impossible", effect="the case has failed and no object was made")
            return _Answer(findings, [], f"{reason}; no report could be made: {_told(error)}")

    def _case(self, work: Work) -> Case:
        files = tuple(self._files.path(row.file) for row in work.instances)
        return Case(case_id=str(work.claim.case_id), files=files)

    def _renewal(self, claim: Claim) -> Callable[[], None]:
        def renew() -> None:
            with self._database.transaction() as session:
                cases.renew(session, claim, now=self._database.now(), lease_s=self._settings.worker.lease_s)

        return renew

    def _route(self, work: Work) -> RouteSettings:
        """The route that the case came by, or, where that was renamed or removed, the one its senders take now.

        Raises _RouteGone when there is neither.
        """
        callers = dict.fromkeys(row.calling_ae_title for row in work.instances)
        by_name = [one for one in self._settings.routes if one.name == work.claim.route]
        for route in (*by_name, *map(self._settings.route_for, callers)):
            if route is not None and route.pipeline != "none":
                return route
        raise _RouteGone(f"route {work.claim.route} is gone and no other route takes {', '.join(callers)}")

    def _retry_delay_s(self, claim: Claim) -> float:
        doublings = min(claim.attempt - 1, _LARGEST_EXPONENT)
        return min(self._settings.worker.retry_base_s * 2.0**doublings, _LONGEST_RETRY_S)

    def _put_back(self, claim: Claim, error: NotStored) -> None:
        """Return the case without counting the attempt: the disk's state is no fault of the case or the model."""
        doublings = min(self._faults_in_a_row, _LARGEST_EXPONENT)
        delay_s = min(self._settings.worker.retry_base_s * 2.0**doublings, _LONGEST_STORAGE_RETRY_S)
        self._faults_in_a_row += 1
        log.warning("answer_not_stored", reason=str(error), cause=str(error.__cause__), retry_after_s=delay_s)
        self._return_uncounted(claim, str(error), delay_s)

    def _wait_for_route(self, claim: Claim, reason: str) -> None:
        """Return the case until the settings have a route for it again; told once for each case."""
        if claim.case_id not in self._told_without_route:
            self._told_without_route.add(claim.case_id)
            effect, remedy = "the case stays ready, unanswered", "add a route for its senders and start the node again"
            log.error("route_gone", reason=reason, effect=effect, remedy=remedy)
        self._return_uncounted(claim, reason, _ROUTE_RETRY_S)

    def _return_uncounted(self, claim: Claim, reason: str, delay_s: float) -> None:
        try:
            with self._database.transaction() as session:
                now = self._database.now()
                later = now + timedelta(seconds=delay_s)
                case_claims.put_back(session, claim, reason=reason, now=now, available_at=later)
        except (LeaseLost, StorageError) as fault:
            log.warning("case_not_given_back", reason=str(fault))

    def _give_back(self, claim: Claim, reason: str, delay_s: float) -> None:
        """Return the case for another attempt. When even that fails, its lease runs out and the effect is the same."""
        try:
            with self._database.transaction() as session:
                now = self._database.now()
                cases.attempt_failed(
                    session, claim, reason=reason, now=now, available_at=now + timedelta(seconds=delay_s)
                )
        except (LeaseLost, StorageError) as error:
            log.warning("case_not_given_back", reason=str(error))


def _told(error: BaseException) -> str:
    """One line about an error that may be kept with the case and leave the house in a report: no path is in it."""
    if isinstance(error, OSError) and error.errno is not None:
        return f"{type(error).__name__}: {error.strerror}"
    return _without_paths(describe_error(error))


def _without_paths(text: str) -> str:
    return _PATH.sub("[path]", text)


def _breaks_the_process(error: BaseException) -> bool:
    """A CUDA fault outlives its call: the context stays broken until the process ends."""
    return isinstance(error, RuntimeError) and "CUDA error" in str(error)
