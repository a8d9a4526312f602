"""The training engine: one network, from its first step to its averaged weights, in one process or several.

What a run gives depends on its seed alone, not on where it was stopped: slice or clip `n` of the batch of a step draws
from (seed, step, n), and what the network itself draws (dropout, the proposals that count in the loss) from (seed,
process, step). A run that was killed goes on from its last checkpoint. On the CPU, with the same versions and threads,
it ends with the same weights to the last bit, with one or two processes; sums over three or more processes may be
ordered otherwise after a restart.

One process with a batch of 2n and two processes with n each draw the same slices. They end with the same weights up to
rounding where the loss of a batch is a mean over its items and nothing but the items is drawn: the sequence classifier
without dropout and mixup. The detector's losses are means over the boxes of a process and its proposals are drawn by
each process, so there both are estimates of the same thing.
"""

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from inference.wff.training.checkpoint import load_checkpoint, save_checkpoint
from inference.wff.training.divergence import require_finite, require_scale
from inference.wff.training.finished_weights import load_finished_weights, save_finished_weights
from inference.wff.training.journal import Journal, JournalWriter
from inference.wff.training.optimisation import learning_rate_at, optimiser_of, peak_learning_rate
from inference.wff.training.settings import ComputeSettings, OptimiserSettings, Precision

CHECKPOINT: Final = "checkpoint.pt"
WEIGHTS: Final = "weights.safetensors"
_LOSS_MEMORY: Final = 0.98  # of the smoothed loss that is shown
_PROGRAM, _ITEM = 0, 1  # streams of random numbers

Item = TypeVar("Item")


class Task(Protocol[Item]):
    """What is trained. Travels to other processes, so it holds settings and paths only."""

    def build(self) -> nn.Module: ...

    def start(self, net: nn.Module) -> None:
        """Loads the weights to start from, if there are any."""
        ...

    def train_mode(self, net: nn.Module) -> None:
        """Training mode, but for what stays frozen."""
        ...

    def open(self) -> Callable[[np.random.Generator], Item]:
        """Opens the data and returns the function that draws one slice or clip."""
        ...

    def losses(self, net: nn.Module, items: Sequence[Item], device: torch.device) -> dict[str, Tensor]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    steps: int
    batch: int  # items per step, over all processes
    optimiser: OptimiserSettings
    compute: ComputeSettings
    seed: int
    checkpoint_every: int
    log_every: int
    device: str  # "cpu" or "cuda"; of several processes each takes its own GPU


Progress = Callable[[int, float], None]  # steps done, mean loss of late


class WithLosses(nn.Module):
    """A module whose forward gives the losses: what DistributedDataParallel can wrap."""

    def __init__(self, task: Task[Any], net: nn.Module, device: torch.device, precision: Precision) -> None:
        super().__init__()
        self.net = net
        self._task = task
        self._device = device
        self._precision = precision

    def forward(self, items: Sequence[Any]) -> dict[str, Tensor]:
        kind = {Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}.get(self._precision)
        with torch.autocast(self._device.type, dtype=kind, enabled=kind is not None):
            losses = self._task.losses(self.net, items, self._device)
        return {name: loss.float() for name, loss in losses.items()}


def finished_net(task: Task[Any], folder: Path) -> nn.Module | None:
    """The net of a training that came to its end, in evaluation mode on the CPU; None: it did not.

    Raises TrainingError when its weights are damaged.
    """
    file = folder / WEIGHTS
    if not file.exists():
        return None
    net = task.build()
    net.load_state_dict(load_finished_weights(file, like=net.state_dict()))
    return net.eval()


def run_process(
    rank: int, task: Task[Any], plan: Plan, folder: Path, journal: Journal | None, report: Progress
) -> None:
    """The whole training as process `rank`; rank 0 writes checkpoint, numbers and, at the end, the averaged weights.

    Raises TrainingFailed when a loss or gradient is not finite, TrainingError when the checkpoint is damaged.
    """
    trainer = _Trainer(rank, task, plan, folder)
    if rank == 0 and journal is not None:
        with journal.open(after=trainer.done) as writer:
            trainer.run(report, writer)
    else:
        trainer.run(report, None)
    if rank == 0:
        save_finished_weights(folder / WEIGHTS, trainer.average)
        (folder / CHECKPOINT).unlink()


class _Trainer:
    def __init__(self, rank: int, task: Task[Any], plan: Plan, folder: Path) -> None:
        self._rank, self._task, self._plan, self._folder = rank, task, plan, folder
        self._device = torch.device(plan.device, rank) if plan.device == "cuda" else torch.device(plan.device)
        self._share = plan.batch // plan.compute.devices
        self._peak = peak_learning_rate(plan.optimiser, batch=plan.batch)
        torch.manual_seed(plan.seed)  # the same start in every process
        self._net = task.build()
        self.done, self._recent = 0, 0.0
        saved = load_checkpoint(folder / CHECKPOINT) if (folder / CHECKPOINT).exists() else None
        if saved is None:
            task.start(self._net)
        else:
            self._net.load_state_dict(saved["net"])
            self.done, self._recent = saved["step"], saved["recent"]
        self._net.to(self._device)
        if plan.compute.channels_last and all(p.dim() != 5 for p in self._net.parameters()):
            self._net.to(memory_format=torch.channels_last)  # of images; volumes keep their order
        task.train_mode(self._net)
        self.average = {name: value.detach().clone() for name, value in self._net.state_dict().items()}
        self._optimiser = optimiser_of(self._net, plan.optimiser, peak=self._peak)
        self._scaler = torch.amp.GradScaler(plan.device, enabled=plan.compute.precision is Precision.FP16)
        if saved is not None:
            self.average = {name: value.to(self._device) for name, value in saved["average"].items()}
            self._optimiser.load_state_dict(saved["optimiser"])
            self._scaler.load_state_dict(saved["scaler"])
        self._module: nn.Module = WithLosses(task, self._net, self._device, plan.compute.precision)
        if plan.compute.devices > 1:
            self._module = DistributedDataParallel(self._module)  # the task moves the items to the device

    def run(self, report: Progress, writer: JournalWriter | None) -> None:
        started, first = time.monotonic(), self.done
        with closing(_batches(self._task.open(), self._plan, self._rank, self._share, self.done)) as batches:
            for step, items in enumerate(batches, self.done):
                torch.manual_seed(_seed(self._plan.seed, _PROGRAM, self._rank, step))
                value, parts, rate = self._step(step, items)
                self.done = step + 1
                self._recent = value if step == 0 else _LOSS_MEMORY * self._recent + (1 - _LOSS_MEMORY) * value
                report(self.done, self._recent)
                last = self.done == self._plan.steps
                if writer is not None and (last or self.done % self._plan.log_every == 0):
                    seconds = (time.monotonic() - started) / (self.done - first)
                    writer.write(
                        self.done,
                        {"loss": value, "smoothed_loss": self._recent, **parts, "learning_rate": rate}
                        | {"seconds_per_step": seconds},
                    )
                # after the line of the step: whoever goes on from a checkpoint drops later lines, and has all before
                if self._rank == 0 and (last or self.done % self._plan.checkpoint_every == 0):
                    self._save()

    def _step(self, step: int, items: Sequence[Any]) -> tuple[float, dict[str, float], float]:
        """Loss, its parts and the learning rate."""
        settings = self._plan.optimiser
        losses: dict[str, Tensor] = self._module(items)
        loss = torch.stack(list(losses.values())).sum()
        parts = {name: float(part.detach()) for name, part in losses.items()}
        require_finite("loss", float(loss.detach()), step, parts)
        rate = learning_rate_at(step, settings, steps=self._plan.steps, peak=self._peak)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.unscale_(self._optimiser)
        length = nn.utils.clip_grad_norm_(self._net.parameters(), settings.clip_norm)
        if not self._scaler.is_enabled():  # the scaler leaves out a step that overflowed, and scales less
            require_finite("length of the gradient", float(length), step, parts)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        require_scale(self._scaler, step, parts)
        if self._rank == 0:
            _follow(self.average, self._net, min(settings.average_decay, (1 + step) / (10 + step)))
        return float(loss.detach()), parts, rate

    def _save(self) -> None:
        save_checkpoint(
            self._folder / CHECKPOINT,
            {
                "net": self._net.state_dict(),
                "average": self.average,
                "optimiser": self._optimiser.state_dict(),
                "scaler": self._scaler.state_dict(),
                "step": self.done,
                "recent": self._recent,
            },
        )


def _batches(
    draw: Callable[[np.random.Generator], Item], plan: Plan, rank: int, share: int, first: int
) -> Generator[list[Item], None, None]:
    """The part of process `rank` of each batch from step `first` on; with threads, the next one is drawn meanwhile."""
    places = range(rank * share, (rank + 1) * share)

    def item(step: int, place: int) -> Item:
        return draw(np.random.default_rng(_seed(plan.seed, _ITEM, step, place)))

    if not plan.compute.loader_threads:
        for step in range(first, plan.steps):
            yield [item(step, place) for place in places]
        return
    with ThreadPoolExecutor(plan.compute.loader_threads) as pool:
        coming = [pool.submit(item, first, place) for place in places]
        for step in range(first, plan.steps):
            ready = coming
            if step + 1 < plan.steps:
                coming = [pool.submit(item, step + 1, place) for place in places]
            yield [one.result() for one in ready]


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


@torch.no_grad()
def _follow(average: dict[str, Tensor], net: nn.Module, decay: float) -> None:
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1.0 - decay)
        else:
            average[name].copy_(value)
