"""Runs the engine in this process or in several that average their gradients (torch's DistributedDataParallel)."""

import fcntl
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from multiprocessing.sharedctypes import SynchronizedArray
from pathlib import Path
from typing import Any, Final

import structlog
import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import ProcessException, ProcessExitedException, start_processes

from inference.errors import TrainingError
from inference.wff.interrupts import deferred_interrupts
from inference.wff.training.engine import Plan, Progress, Task, finished_net, run_process
from inference.wff.training.journal import Journal

log = structlog.get_logger(__name__)

_IN_USE: Final = "in-use"  # locked by each process that trains in the folder
_RENDEZVOUS: Final = "rendezvous-"
_POLL_S: Final = 1.0  # how often the progress of the processes is shown
_EXITS_BY_OTHERS: Final = (-signal.SIGTERM, -signal.SIGABRT)  # of processes that lost another one
_ORDINARY_EXITS: Final = (0, 1, *_EXITS_BY_OTHERS)  # 1: raised
_GO_ON: Final = (
    "the same command goes on from the last checkpoint; a smaller batch, where memory is short, is another run"
)


def train(
    task: Task[Any], plan: Plan, folder: Path, *, journal: Journal | None = None, progress: Progress | None = None
) -> nn.Module:
    """Train to the end of the plan and return the averaged net in evaluation mode, on the CPU.

    `folder` receives the checkpoint and at last the weights; where it holds weights they are the answer, where it
    holds a checkpoint training goes on from it. Both must be of this task and plan: the run folder sees to that.
    Raises TrainingFailed when a loss is not finite, TrainingError when the checkpoint is damaged, nothing fits or one
    of several processes ends before its time, OSError when a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _require_even_shares(plan)
    net = finished_net(task, folder)
    if net is None:
        if plan.compute.devices == 1:
            run_process(0, task, plan, folder, journal, progress or _silent)
        else:
            _run_several(_Job(task, plan, folder, journal, os.getpid()), progress or _silent)
        net = finished_net(task, folder)
    if net is None:
        raise TrainingError(f"{folder} holds no weights after its training")
    return net


def _silent(step: int, loss: float) -> None:
    pass


def _require_even_shares(plan: Plan) -> None:
    devices = plan.compute.devices
    if plan.batch % devices:
        raise TrainingError(f"a batch of {plan.batch} cannot be shared by {devices} devices; make it a multiple")
    if plan.device == "cuda" and devices > torch.cuda.device_count():
        raise TrainingError(f"compute.devices is {devices}, and there are {torch.cuda.device_count()} GPUs")


@dataclass(frozen=True, slots=True)
class _Job:
    """What each process is told."""

    task: Task[Any]
    plan: Plan
    folder: Path
    journal: Journal | None
    parent: int  # process id

    @property
    def rendezvous(self) -> Path:
        return self.folder / f"{_RENDEZVOUS}{self.parent}"


def _run_several(job: _Job, progress: Progress) -> None:
    _await_orphans(job.folder)
    context = get_context("spawn")
    shared, faults = context.Array("d", [0.0, 0.0]), context.SimpleQueue()
    workers: Any = None
    try:
        with deferred_interrupts():
            workers = start_processes(  # type: ignore[no-untyped-call]
                _process, (job, shared, faults), nprocs=job.plan.compute.devices, join=False, start_method="spawn"
            )
        while not workers.join(timeout=_POLL_S):
            progress(int(shared[0]), shared[1])
    except ProcessException as error:
        log.warning("process_stopped", reason=str(error))  # with its traceback
        cause = _cause(error, faults, [one.exitcode for one in workers.processes])
        if cause is None:
            raise
        raise cause from error
    except KeyboardInterrupt:  # which they do not see
        for process in workers.processes if workers is not None else ():
            process.terminate()
            process.join()
        raise
    finally:
        for file in (job.rendezvous, job.folder / _IN_USE):
            file.unlink(missing_ok=True)
    progress(job.plan.steps, shared[1])


def _cause(
    error: ProcessException, faults: "SimpleQueue[Exception | None]", exits: Sequence[int | None]
) -> Exception | None:
    """Who was ended from outside, else what was told first: the others only notice that one is gone.

    None: a fault of ours, whose traceback is wanted.
    """
    ended = [(rank, code) for rank, code in enumerate(exits) if code is not None and code not in _ORDINARY_EXITS]
    if not ended and not faults.empty():
        return faults.get()
    if not ended and isinstance(error, ProcessExitedException):
        ended = [(error.error_index, error.exit_code)]
    if not ended:
        return None
    rank, code = ended[0]
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    return TrainingError(f"process {rank + 1} of {len(exits)} {how}; {_GO_ON}")


def _await_orphans(folder: Path) -> None:
    """Processes of a run that was killed go on to the end of their step; two runs must not write into one folder."""
    with _in_use(folder, fcntl.LOCK_EX):
        for left_behind in folder.glob(f"{_RENDEZVOUS}*"):
            left_behind.unlink()


@contextmanager
def _in_use(folder: Path, lock: int) -> Iterator[None]:
    """The lock goes with the process, however it ends."""
    with (folder / _IN_USE).open("a") as file:
        fcntl.flock(file, lock)
        yield


@contextmanager
def _told(faults: "SimpleQueue[Exception | None]", who: str) -> Iterator[None]:
    """To the parent: what a person can mend; None of anything else."""
    try:
        yield
    except (TrainingError, OSError) as error:
        faults.put(error)
        raise
    except (RuntimeError, MemoryError) as error:  # what torch raises without memory, of a GPU too
        why = (str(error) or type(error).__name__).splitlines()[0]
        faults.put(TrainingError(f"{who} stopped: {why}; {_GO_ON}"))
        raise
    except Exception:
        faults.put(None)
        raise


def _process(rank: int, job: _Job, shared: "SynchronizedArray[float]", faults: "SimpleQueue[Exception | None]") -> None:
    plan = job.plan

    def report(step: int, loss: float) -> None:
        if os.getppid() != job.parent:
            os._exit(1)  # the parent was killed: nobody waits for this process
        if rank == 0:
            shared[0], shared[1] = step, loss

    backend, place = "nccl" if plan.device == "cuda" else "gloo", f"file://{job.rendezvous.resolve()}"
    with _in_use(job.folder, fcntl.LOCK_SH):
        try:
            with _told(faults, f"process {rank + 1} of {plan.compute.devices}"):
                if plan.device == "cuda":
                    torch.cuda.set_device(rank)
                else:
                    torch.set_num_threads(1)
                dist.init_process_group(backend, place, rank=rank, world_size=plan.compute.devices)
                run_process(rank, job.task, plan, job.folder, job.journal, report)
        finally:  # only now do the others notice
            if dist.is_initialized():
                dist.destroy_process_group()
