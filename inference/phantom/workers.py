"""Runs one function for many patients on several processes, and leaves none of the processes behind."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import connection, get_context, parent_process
from typing import TypeVar

_What = TypeVar("_What")
_Result = TypeVar("_Result")


def each(work: Callable[[_What], _Result], items: Sequence[_What], *, processes: int) -> Iterator[_Result]:
    """Do the work for every item; yields the results as they are done, by this process alone when it is to be one.

    The first error ends it: what has begun is finished, nothing more is begun, the error is raised. So does Ctrl-C.

    Raises
    ------
    BrokenProcessPool
        a process died.
    """
    if processes == 1 or len(items) < 2:
        yield from map(work, items)
        return
    workers = min(processes, len(items))
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_leave_with_the_parent)
    try:
        for future in as_completed([pool.submit(work, item) for item in items]):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _leave_with_the_parent() -> None:
    """Ctrl-C is the parent's to answer; and a parent that was killed leaves nobody behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_wait_for_end, args=(parent.sentinel,), daemon=True).start()


def _wait_for_end(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
