"""Bounds of one case: a wall limit that interrupts it, and the memory that the process ever had."""

import re
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

_PEAK: Final = re.compile(r"VmHWM:\s+(\d+) kB")
_RESET_PEAK: Final = "5"  # proc(5), clear_refs


class TookTooLong(BaseException):
    """Not an Exception: nothing under test may catch it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TookTooLong inside the block after so many seconds; in the main thread only."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise TookTooLong(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK)


def peak_bytes() -> int:
    """The most memory that was resident since `reset_peak`."""
    found = _PEAK.search(Path("/proc/self/status").read_text())
    assert found is not None
    return int(found.group(1)) * 1024


def limit_address_space(more_bytes: int) -> None:
    """Let this process grow by at most so much; then MemoryError instead of a machine that swaps."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
