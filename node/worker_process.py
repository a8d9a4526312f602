"""The worker in a process of its own: a crash inside the networks never hurts the receiver, and `serve` loads none.

The parent hands the settings over on the child's stdin, because they may hold a password, and keeps that pipe open:
when the parent dies, by whatever cause, the child reads the end of the pipe and stops after its case.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Final, TextIO

import structlog

from config.settings import Settings
from node.engine import LocalEngine
from node.worker import FreshProcessNeeded, Worker
from storage.database import Database
from storage.files import FileStore

log = structlog.get_logger(__name__)

DRAIN_S: Final = 20.0  # a stopping worker may finish its case for so long; then it gives the case back
_KILL_AFTER_S: Final = 5.0  # more, before the process is killed: its lease then runs out
_FIRST_RESTART_S: Final = 1.0
_LONGEST_RESTART_S: Final = 60.0
_HEALTHY_AFTER_S: Final = 60.0  # a worker that lived so long is restarted without a longer delay than the first
_FRESH_PROCESS: Final = 3  # exit status
# Threads of the networks that spin while they wait make a shared machine tens of times slower (52 s instead of 1 s for
# the demo's 45 slices, measured on four busy cores); a site may set the variable otherwise.
_THREADS_YIELD: Final = {"OMP_WAIT_POLICY": "PASSIVE"}
_COMMAND: Final = (sys.executable, "-m", "node.cli", "worker", "--settings-from-stdin")


def run_worker(settings: Settings, *, parent: TextIO | None = None) -> int:
    """Load the networks, then answer cases until SIGTERM, or until `parent` ends. Returns the exit status."""
    stop, loaded = threading.Event(), threading.Event()
    if parent is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent decides
        threading.Thread(target=_stop_at_end_of, args=(parent, stop, loaded), name="parent-watch", daemon=True).start()
    begin = time.perf_counter()
    part = settings.worker
    engine = LocalEngine(part.bundle, device=part.device, threads=part.threads)
    database = Database(settings.storage.url())
    owner = f"{socket.gethostname()}:{os.getpid()}"
    worker = Worker(database, FileStore(settings.storage.data_dir), engine, settings=settings, owner=owner)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stop.set())  # until here it ends the process at once
    loaded.set()
    threading.Thread(target=_leave_in_time, args=(stop, worker), name="drain-limit", daemon=True).start()
    bundle = engine.identity
    log.info(
        "worker_ready",
        owner=owner,
        bundle=bundle.name,
        sha256=bundle.sha256[:12],
        load_s=round(time.perf_counter() - begin, 3),
    )
    try:
        worker.run(stop)
    except FreshProcessNeeded as error:
        log.error("worker_needs_fresh_process", reason=str(error))  # noqa: TRY400 - logged with its traceback before
        return _FRESH_PROCESS
    finally:
        database.dispose()
    log.info("worker_stopped", owner=owner)
    return 0


def read_settings(stream: TextIO) -> Settings:
    """The settings that the parent wrote as the first line."""
    return Settings(**json.loads(stream.readline()))


class WorkerProcess:
    """Keeps one worker process running: starts it, and starts it again, after a growing delay, when it dies."""

    def __init__(self, settings: Settings) -> None:
        self._handover = _handover(settings)
        self._stopping = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._supervise, name="worker-supervisor", daemon=True)

    @property
    def pid(self) -> int | None:
        """Of the living worker process; None between two of them."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let the worker finish its case, for DRAIN_S at most; returns when no process is left."""
        self._stopping.set()
        with self._lock:  # from here on no process is started
            process = self._process
        if process is not None:
            _hang_up(process)
            try:
                process.wait(DRAIN_S + _KILL_AFTER_S)
            except subprocess.TimeoutExpired:
                log.warning(
                    "worker_killed", pid=process.pid, effect="its case is claimed again when the lease runs out"
                )
                process.kill()
                process.wait()
        if self._thread.is_alive():
            self._thread.join()

    def _supervise(self) -> None:
        delay_s = _FIRST_RESTART_S
        while (process := self._spawn()) is not None:
            begin = time.monotonic()
            status = process.wait()
            if self._stopping.is_set():
                return
            if time.monotonic() - begin >= _HEALTHY_AFTER_S:
                delay_s = _FIRST_RESTART_S
            log.error("worker_died", pid=process.pid, status=status, restart_in_s=delay_s)
            _hang_up(process)
            self._stopping.wait(delay_s)
            delay_s = min(delay_s * 2, _LONGEST_RESTART_S)

    def _spawn(self) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._stopping.is_set():
                return None
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                _COMMAND, stdin=subprocess.PIPE, text=True, env={**_THREADS_YIELD, **os.environ}
            )
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: stdin=PIPE
        with contextlib.suppress(BrokenPipeError):  # it died at once: its exit status tells
            self._process.stdin.write(self._handover + "\n")
            self._process.stdin.flush()
        log.info("worker_started", pid=self._process.pid)
        return self._process


def _handover(settings: Settings) -> str:
    content = settings.model_dump(mode="json")
    url = settings.storage.database_url
    content["storage"]["database_url"] = None if url is None else url.get_secret_value()
    content["storage"]["data_dir"] = str(settings.storage.data_dir.absolute())
    return json.dumps(content)


def _hang_up(process: subprocess.Popen[str]) -> None:
    """Close the child's stdin, which tells it to stop."""
    assert process.stdin is not None  # noqa: S101 - for the type checker: stdin=PIPE
    with contextlib.suppress(BrokenPipeError):  # it is gone already
        process.stdin.close()


def _stop_at_end_of(stream: TextIO, stop: threading.Event, loaded: threading.Event) -> None:
    stream.read()
    if not loaded.is_set():  # loading cannot be interrupted, and no case is in work yet
        os._exit(0)
    stop.set()


def _leave_in_time(stop: threading.Event, worker: Worker) -> None:
    stop.wait()
    time.sleep(DRAIN_S)
    worker.abandon()
    log.warning("worker_drain_limit_reached", drain_s=DRAIN_S)
    os._exit(0)  # the networks cannot be interrupted from outside
