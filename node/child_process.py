"""A child process that is kept running: started, handed its settings in private, started again when it dies.

The parent hands the settings over on the child's stdin, because they may hold a password, and keeps that pipe open:
when the parent dies, by whatever cause, the child reads the end of the pipe and stops.
"""

import contextlib
import json
import logging
import os
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TextIO

import structlog

from config.settings import Settings

log = structlog.get_logger(__name__)

FIRST_RESTART_S: Final = 1.0
LONGEST_RESTART_S: Final = 60.0
_HEALTHY_AFTER_S: Final = 60.0  # a child that lived so long is restarted without a longer delay than the first


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is kept running, and how patiently."""

    name: str  # of its log events: <name>_started, <name>_died, <name>_killed
    command: tuple[str, ...]
    leaves_within_s: float  # after it was told to stop; then it is killed
    effect_of_kill: str
    environment: Mapping[str, str] = field(default_factory=dict)  # a site's own variables have precedence
    first_restart_s: float = FIRST_RESTART_S
    longest_restart_s: float = LONGEST_RESTART_S


class ChildProcess:
    """Keeps one process of `program` running, and starts it again after a growing delay when it dies."""

    def __init__(self, program: Program, settings: Settings) -> None:
        self._program = program
        self._handover = _handover(settings)
        self._stopping = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._supervise, name=f"{program.name}-supervisor", daemon=True)

    @property
    def pid(self) -> int | None:
        """Of the living process; None between two of them."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop: its end is no death."""
        return self._stopping.is_set()

    def start(self) -> None:
        self._thread.start()

    def tell_to_stop(self) -> None:
        """Ask the process to leave, and start none any more. Returns at once."""
        self._stopping.set()
        with self._lock:  # from here on no process is started
            process = self._process
        if process is not None:
            self.hang_up(process)

    def stop(self) -> None:
        """Let the process leave in its time, or kill it; returns when none is left."""
        self.tell_to_stop()
        self.wait_until_gone(self._program.leaves_within_s)

    def wait_until_gone(self, within_s: float) -> None:
        """After `tell_to_stop`: returns when no process is left; kills one that needs longer."""
        if (process := self._process) is not None:
            try:
                process.wait(within_s)
            except subprocess.TimeoutExpired:
                log.warning(self._event("killed"), pid=process.pid, effect=self._program.effect_of_kill)
                process.kill()
                process.wait()
        if self._thread.is_alive():
            self._thread.join()

    def popen(self, command: tuple[str, ...], environment: Mapping[str, str]) -> subprocess.Popen[str]:
        """Start the process; a subclass adds what else it needs."""
        return subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=environment)  # noqa: S603 - our own

    def hang_up(self, process: subprocess.Popen[str]) -> None:
        """Tell the process to stop: close its stdin."""
        assert process.stdin is not None  # noqa: S101 - for the type checker: stdin=PIPE
        with contextlib.suppress(BrokenPipeError):  # it is gone already
            process.stdin.close()

    def ended(self, process: subprocess.Popen[str]) -> None:
        """Called once for each process, when it is gone."""

    def _supervise(self) -> None:
        program = self._program
        delay_s = program.first_restart_s
        while (process := self._spawn()) is not None:
            begin = time.monotonic()
            status = process.wait()
            self.ended(process)
            if self._stopping.is_set():
                return
            if time.monotonic() - begin >= _HEALTHY_AFTER_S:
                delay_s = program.first_restart_s
            log.error(self._event("died"), pid=process.pid, status=status, restart_in_s=delay_s)
            self.hang_up(process)
            self._stopping.wait(delay_s)
            delay_s = min(delay_s * 2, program.longest_restart_s)

    def _spawn(self) -> subprocess.Popen[str] | None:
        program = self._program
        level = logging.getLevelName(logging.getLogger().getEffectiveLevel())
        environment = {**program.environment, **os.environ, "SPINENODE_LOG_LEVEL": level}
        with self._lock:
            if self._stopping.is_set():
                return None
            process = self._process = self.popen(program.command, environment)
        assert process.stdin is not None  # noqa: S101 - for the type checker: stdin=PIPE
        with contextlib.suppress(BrokenPipeError, ValueError):  # it died, or was told to stop, at once
            process.stdin.write(self._handover + "\n")
            process.stdin.flush()
        log.info(self._event("started"), pid=process.pid)
        return process

    def _event(self, what: str) -> str:
        return f"{self._program.name}_{what}"


def read_settings(stream: TextIO) -> Settings:
    """The settings that the parent wrote as the first line."""
    return Settings(**json.loads(stream.readline()))


def _handover(settings: Settings) -> str:
    content = settings.model_dump(mode="json")
    url = settings.storage.database_url
    content["storage"]["database_url"] = None if url is None else url.get_secret_value()
    content["storage"]["data_dir"] = str(settings.storage.data_dir.absolute())
    return json.dumps(content)
