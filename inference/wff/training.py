"""The training engine: replicas on CPU processes (or one GPU), averaged gradients, checkpoints, running average.

Every step draws its random numbers from (seed, replica, step), so a run that was stopped goes on exactly where its
last checkpoint stood.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.sharedctypes import SynchronizedArray
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import structlog
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import start_processes

log = structlog.get_logger(__name__)

_CHECKPOINT = "checkpoint.pt"
_POLL_S = 2.0  # how often the progress of the replicas is shown

Losses = Callable[[nn.Module, np.random.Generator], dict[str, Tensor]]


class Task(Protocol):
    """What is trained. Travels to other processes, so it holds settings and paths only."""

    def build(self) -> nn.Module: ...

    def open(self) -> Losses:
        """Opens the data and returns the function that draws a batch and gives its losses."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    steps: int
    learning_rate: float
    replicas: int = 1  # processes with one thread each: faster than threads, whose small operations wait on each other
    weight_decay: float = 1e-2
    warmup_steps: int = 200
    clip_norm: float = 10.0
    average_decay: float = 0.998  # of the running average of the weights, which is what is kept
    checkpoint_every: int = 200
    seed: int = 0
    device: str = "cpu"


class TrainingFailed(RuntimeError):
    """The loss is not finite; the message names the step and the parts."""


Progress = Callable[[int, float], None]  # steps done, mean loss of late


def train(task: Task, plan: TrainingPlan, folder: Path, *, progress: Progress | None = None) -> nn.Module:
    """Train to the end of the plan and return the averaged model in evaluation mode, on the CPU.

    `folder` receives `checkpoint.pt`; when it holds one already, training goes on from there.
    Raises TrainingFailed when the loss is not finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _forget_other_settings(folder, f"{task!r}\n{plan!r}\n")
    if plan.replicas == 1:
        _run(0, task, plan, folder, progress or _silent)
    else:
        _run_replicas(task, plan, folder, progress or _silent)
    model = task.build()
    model.load_state_dict(_load(folder)["average"])
    return model.eval()


def _silent(step: int, loss: float) -> None:
    pass


def _run_replicas(task: Task, plan: TrainingPlan, folder: Path, progress: Progress) -> None:
    rendezvous = folder / "rendezvous"
    rendezvous.unlink(missing_ok=True)
    shared = get_context("spawn").Array("d", [0.0, 0.0])
    workers: Any = start_processes(  # type: ignore[no-untyped-call]
        _replica, (task, plan, folder, shared), nprocs=plan.replicas, join=False, start_method="spawn"
    )
    while not workers.join(timeout=_POLL_S):
        progress(int(shared[0]), shared[1])
    progress(plan.steps, shared[1])
    rendezvous.unlink(missing_ok=True)


def _forget_other_settings(folder: Path, settings: str) -> None:
    """A checkpoint made with other settings is not gone on from."""
    recorded = folder / "settings.txt"
    if not recorded.exists() or recorded.read_text() != settings:
        (folder / _CHECKPOINT).unlink(missing_ok=True)
        recorded.write_text(settings)


def learning_rate_at(step: int, plan: TrainingPlan) -> float:
    """Linear warm-up, then half a cosine down to 0."""
    if step < plan.warmup_steps:
        return plan.learning_rate * (step + 1) / plan.warmup_steps
    done = (step - plan.warmup_steps) / max(1, plan.steps - plan.warmup_steps)
    return plan.learning_rate * 0.5 * (1.0 + math.cos(math.pi * done))


def _replica(rank: int, task: Task, plan: TrainingPlan, folder: Path, shared: "SynchronizedArray[float]") -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder.resolve() / 'rendezvous'}", rank=rank, world_size=plan.replicas)

    def report(step: int, loss: float) -> None:
        shared[0], shared[1] = step, loss

    try:
        _run(rank, task, plan, folder, report)
    finally:
        dist.destroy_process_group()


def _run(rank: int, task: Task, plan: TrainingPlan, folder: Path, report: Progress) -> None:
    torch.manual_seed(plan.seed)  # the same start in every replica
    model = task.build().to(plan.device).train()
    average = {name: value.detach().clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.AdamW(model.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    first = 0
    if (folder / _CHECKPOINT).exists():
        saved = _load(folder)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        average, first = saved["average"], saved["step"]
    losses_of = task.open()
    recent, started = 0.0, time.monotonic()
    for step in range(first, plan.steps):
        torch.manual_seed(hash((plan.seed, rank, step)) % 2**31)
        rng = np.random.default_rng((plan.seed, rank, step))
        losses = losses_of(model, rng)
        value = _one_step(model, optimiser, losses, step, plan)
        _follow(average, model, min(plan.average_decay, (1 + step) / (10 + step)))
        recent = value if step == first else 0.98 * recent + 0.02 * value
        report(step + 1, recent)
        last = step + 1 == plan.steps
        if rank == 0 and (last or (step + 1) % plan.checkpoint_every == 0):
            _save(folder, model, average, optimiser, step + 1)
            parts = {name: round(float(part.detach()), 4) for name, part in losses.items()}
            seconds = (time.monotonic() - started) / (step + 1 - first)
            log.info("training_step", step=step + 1, loss=round(recent, 4), seconds_per_step=round(seconds, 3), **parts)


def _one_step(
    model: nn.Module, optimiser: torch.optim.Optimizer, losses: dict[str, Tensor], step: int, plan: TrainingPlan
) -> float:
    loss = torch.stack(list(losses.values())).sum()
    value = float(loss.detach())
    if not math.isfinite(value):
        parts = {name: float(part.detach()) for name, part in losses.items()}
        raise TrainingFailed(
            f"step {step}: loss is {value}, parts {parts}; lower the learning rate or look at the data"
        )
    for group in optimiser.param_groups:
        group["lr"] = learning_rate_at(step, plan)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if plan.replicas > 1:
        _average_gradients(model, plan.replicas)
    nn.utils.clip_grad_norm_(model.parameters(), plan.clip_norm)
    optimiser.step()
    return value


def _average_gradients(model: nn.Module, replicas: int) -> None:
    """One message for all gradients; a parameter that this batch did not touch counts as zero."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    dist.all_reduce(flat)
    flat /= replicas
    for parameter, part in zip(parameters, torch.split(flat, [p.numel() for p in parameters]), strict=True):
        parameter.grad = part.view_as(parameter).clone()


@torch.no_grad()
def _follow(average: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1.0 - decay)
        else:
            average[name].copy_(value)


def _save(
    folder: Path, model: nn.Module, average: dict[str, Tensor], optimiser: torch.optim.Optimizer, step: int
) -> None:
    state = {"model": model.state_dict(), "average": average, "optimiser": optimiser.state_dict(), "step": step}
    half_written = folder / f"{_CHECKPOINT}.part"
    torch.save(state, half_written)
    half_written.replace(folder / _CHECKPOINT)


def _load(folder: Path) -> dict[str, Any]:
    saved: dict[str, Any] = torch.load(folder / _CHECKPOINT, map_location="cpu", weights_only=True)
    return saved
