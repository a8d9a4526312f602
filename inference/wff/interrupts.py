"""Ctrl-C with several processes: the terminal sends it to all of them, and the parent alone answers it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Ctrl-C waits until the end of the block, and is raised there as KeyboardInterrupt.

    A process that is begun inside never sees one: it inherits the blocked signal, from its first instruction on.
    """
    if threading.current_thread() is not threading.main_thread():  # only that one is interrupted
        yield
        return
    resource_tracker.ensure_running()  # the start of this helper would unblock the signal
    came: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    handler = signal.signal(signal.SIGINT, remember)  # for other threads of ours, which do not block it
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, signal.SIG_DFL if handler is None else handler)
    if came:
        raise KeyboardInterrupt
