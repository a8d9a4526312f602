"""Several trainings at a time, each with one process of one thread: how many run together changes no number.

A training that shared its batches among processes would give other weights with each number of them.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection, get_context, parent_process
from multiprocessing.sharedctypes import SynchronizedArray
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final

import torch

from inference.errors import TrainingError
from inference.wff.interrupts import deferred_interrupts
from inference.wff.training.display import Display, Update
from inference.wff.training.engine import WEIGHTS, Plan, Progress, Task
from inference.wff.training.journal import Journal
from inference.wff.training.processes import train

PROCESSES: Final = (1, 2, 4)
_POLL_S: Final = 1.0  # how often the progress of the processes is shown


@dataclass(frozen=True, slots=True)
class Training:
    """One net to be trained; travels to another process."""

    name: str
    task: Task[Any]
    plan: Plan  # of one process
    folder: Path  # receives checkpoint, weights and the numbers of the training


def require_processes(processes: int) -> None:
    """Raises TrainingError: the table is promised to be the same with those numbers that are tried."""
    if processes not in PROCESSES:
        raise TrainingError(f"--processes is {processes}, expected 1, 2 or 4")


def train_side_by_side(trainings: Sequence[Training], *, processes: int, display: Display) -> None:
    """Every folder then holds its weights; one that does already is left as it is. The first ones begin first.

    Raises what a training raises, and TrainingError when a process dies; the same call goes on from the checkpoints.
    """
    missing = [one for one in trainings if not _is_done(one)]
    updates = [display.stage(one.name, one.plan.steps) for one in missing]
    if processes == 1:
        for training, update in zip(missing, updates, strict=True):
            _train(training, partial(_show, update))
    elif missing:
        _train_in_pool(missing, updates, processes)


def _show(update: Update, step: int, loss: float) -> None:
    update(step, f"loss {loss:.3f}")


def _is_done(training: Training) -> bool:
    return (training.folder / WEIGHTS).exists()


def _train(training: Training, progress: Progress) -> None:
    journal = Journal(training.folder, training.name)  # of its own: another training writes at the same time
    train(training.task, training.plan, training.folder, journal=journal, progress=progress)


def _train_in_pool(trainings: Sequence[Training], updates: Sequence[Update], processes: int) -> None:
    context = get_context("spawn")
    stop, steps = context.Event(), context.Array("q", len(trainings))
    pool = ProcessPoolExecutor(processes, context, _enter, (stop, steps))
    try:
        with deferred_interrupts():
            coming = {pool.submit(_train_here, number, one) for number, one in enumerate(trainings)}
        _await(coming, lambda: [update(steps[number], "") for number, update in enumerate(updates)])
    except BrokenProcessPool as error:
        raise TrainingError(
            "a training process died, for want of memory perhaps; the same command goes on, with fewer --processes too"
        ) from error
    finally:
        stop.set()
        with deferred_interrupts():  # a second Ctrl-C changes nothing
            pool.shutdown(cancel_futures=True)


def _await(coming: set[Future[None]], show: Callable[[], object]) -> None:
    """Until all are done or one has raised."""
    while coming:
        done, coming = wait(coming, timeout=_POLL_S, return_when=FIRST_COMPLETED)
        show()
        for one in done:
            one.result()


class _StoppedError(Exception):
    """Nobody waits for this training any more."""


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """Of a process of the pool."""

    stop: Event
    steps: "SynchronizedArray[int]"  # done of each training


_here: _Surroundings | None = None


def _enter(stop: Event, steps: "SynchronizedArray[int]") -> None:
    global _here
    torch.set_num_threads(1)
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()
    _here = _Surroundings(stop, steps)


def _leave_with_the_parent() -> None:
    """A parent that was killed leaves nobody behind."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _train_here(number: int, training: Training) -> None:
    here = _here
    if here is None:
        raise RuntimeError("the pool was started without its surroundings")

    def report(step: int, loss: float) -> None:
        if here.stop.is_set():
            raise _StoppedError
        here.steps[number] = step

    _train(training, report)
