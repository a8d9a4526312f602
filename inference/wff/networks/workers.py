"""Threads that share the work of the networks.

On a CPU a slice per thread is nearly twice as fast as all threads on one slice: no thread waits for the others after
each of a thousand small steps, and what a slice leaves in a cache stays there. A slice then also gives the same bits
whatever else is in its case.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Self, TypeVar

import torch

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class _OneCoreEach:
    """Sets the threads of torch to one while anybody needs that: the matrix library has one number for all threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._before = 0

    def begin(self) -> None:
        with self._lock:
            if self._users == 0:
                self._before = torch.get_num_threads()
                torch.set_num_threads(1)
            self._users += 1

    def end(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                torch.set_num_threads(self._before)


_one_core_each = _OneCoreEach()


class Workers:
    """`count` threads of one core each, as a context; 0: the caller itself, at once."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self._count:
            _one_core_each.begin()
            self._pool = ThreadPoolExecutor(self._count, "wff", initializer=torch.set_num_threads, initargs=(1,))
        return self

    def __exit__(self, *_raised: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
            _one_core_each.end()

    def submit(self, work: Callable[[_In], _Out], given: _In) -> "Future[_Out]":
        if self._pool is not None:
            return self._pool.submit(work, given)
        done: Future[_Out] = Future()
        try:
            done.set_result(work(given))
        except Exception as error:  # noqa: BLE001 (whoever asks for the result gets it)
            done.set_exception(error)
        return done

    def map(self, work: Callable[[_In], _Out], given: Sequence[_In]) -> list[_Out]:
        started = [self.submit(work, item) for item in given]
        return [one.result() for one in started]
