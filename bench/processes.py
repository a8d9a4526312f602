"""Server processes of a benchmark: started with a log, stopped by pid, their processor time read from /proc."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_STOP_TIMEOUT_S = 60.0
# proc(5), /proc/PID/stat, counted from the third field on: what follows the name in brackets
_PARENT, _USER, _SYSTEM, _USER_OF_CHILDREN, _SYSTEM_OF_CHILDREN = 1, 11, 12, 13, 14
_QUIET_SHARE = 0.1  # of one core: timers and polls of an idle server stay below it
_LOOK_S = 0.2


class ServerProcess:
    """One server and whatever it starts."""

    def __init__(
        self, command: Sequence[str | Path], *, folder: Path, environment: Mapping[str, str], **options: Any
    ) -> None:
        self._log = folder / "server.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=dict(environment),
                **options,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def log_text(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_until(self, condition: Callable[[], bool], *, timeout_s: float = 90.0) -> None:
        """Raises RuntimeError with the end of the log when the server ends or the time does."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self._process.args!r} did not become ready:\n{self.log_text()[-4000:]}")
            time.sleep(0.02)  # between two looks at a condition with a deadline

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def cpu_seconds(root: int) -> float:
    """User and system time so far of a process, its living descendants and those of its dead that were waited for."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
            continue
        pid = int(entry.name)
        parents[pid] = int(fields[_PARENT])
        times = _USER, _SYSTEM, _USER_OF_CHILDREN, _SYSTEM_OF_CHILDREN
        ticks[pid] = sum(int(fields[one]) for one in times)
    return sum(ticks[pid] for pid in ticks if _descends(pid, root, parents)) / _TICKS_PER_S


def _descends(pid: int, root: int, parents: Mapping[int, int]) -> bool:
    while pid != root and pid in parents:
        pid = parents[pid]
    return pid == root


def wait_until_quiet(root: int, has_caught_up: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
    """Wait until what was put off is done and the process tree uses nearly no processor time. Raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    began, before = time.monotonic(), cpu_seconds(root)
    while True:
        time.sleep(_LOOK_S)
        now, after = time.monotonic(), cpu_seconds(root)
        if after - before <= _QUIET_SHARE * (now - began) and has_caught_up():
            return
        if now > deadline:
            raise TimeoutError(f"process {root} still had work to do {timeout_s:.0f} s after the last answer")
        began, before = now, after
