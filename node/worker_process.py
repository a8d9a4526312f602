"""The worker in a process of its own: a crash inside the networks never hurts the receiver, and `serve` loads none.

When its parent dies or hangs up (see `node.child_process`) it stops after its case.
"""

import os
import signal
import socket
import sys
import threading
import time
from typing import Final, TextIO

import structlog

from config.settings import Settings
from node import collector
from node.child_process import FIRST_RESTART_S, LONGEST_RESTART_S, ChildProcess, Program
from node.engine import LocalEngine, runtime_of
from node.worker import FreshProcessNeeded, Worker
from storage.database import Database
from storage.files import FileStore

log = structlog.get_logger(__name__)

DRAIN_S: Final = 20.0  # a stopping worker may finish its case for so long; then it gives the case back
_KILL_AFTER_S: Final = 5.0  # more, before the process is killed: its lease then runs out
_FIRST_RESTART_S: Final = FIRST_RESTART_S
_LONGEST_RESTART_S: Final = LONGEST_RESTART_S
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
    engine = LocalEngine(settings.worker.bundle, runtime_of(settings.worker))
    database = Database(settings.storage.url())
    owner = f"{socket.gethostname()}:{os.getpid()}"
    worker = Worker(database, FileStore(settings.storage.data_dir), engine, settings=settings, owner=owner)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stop.set())  # until here it ends the process at once
    loaded.set()
    collector.settle()
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


class WorkerProcess(ChildProcess):
    """Keeps one worker process running: starts it, and starts it again, after a growing delay, when it dies."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            Program(
                name="worker",
                command=_COMMAND,
                leaves_within_s=DRAIN_S + _KILL_AFTER_S,
                effect_of_kill="its case is claimed again when the lease runs out",
                environment=_THREADS_YIELD,
                first_restart_s=_FIRST_RESTART_S,
                longest_restart_s=_LONGEST_RESTART_S,
            ),
            settings,
        )


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
