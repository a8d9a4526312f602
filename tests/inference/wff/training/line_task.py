"""A task small enough to be trained in a moment, for tests of the engine; here so that processes can import it."""

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from inference.wff.training.engine import Plan
from inference.wff.training.settings import ComputeSettings, OptimiserKind, OptimiserSettings, Schedule

QUICK = OptimiserSettings(
    kind=OptimiserKind.ADAMW, learning_rate=1e-2, reference_batch=0, schedule=Schedule.COSINE, warmup_steps=1
)
PLAN = Plan(
    steps=6,
    batch=4,
    optimiser=QUICK,
    compute=ComputeSettings(),
    seed=5,
    checkpoint_every=2,
    log_every=1,
    device="cpu",
)


@dataclass(frozen=True)
class LineTask:
    """Fits y = 2x. From step `breaks_at` on the loss is not a number; in step `stops_at` the process is interrupted.

    The first `breaks_gradients` steps have a loss and no gradient that is a number. In step `fails_at` the last of
    several processes runs into `fault`.
    """

    breaks_at: int = 1000
    stops_at: int = 1000
    first_weight: float | None = None
    breaks_gradients: int = 0
    fails_at: int = 1000
    fault: Literal["memory", "kill", "exit"] = "memory"

    def build(self) -> nn.Module:
        return nn.Linear(1, 1)

    def start(self, net: nn.Module) -> None:
        if self.first_weight is not None:
            nn.init.constant_(next(net.parameters()), self.first_weight)

    def train_mode(self, net: nn.Module) -> None:
        net.train()

    def open(self) -> Callable[[np.random.Generator], float]:
        return lambda rng: float(rng.normal())

    def losses(self, net: nn.Module, items: Sequence[float], device: torch.device) -> dict[str, Tensor]:
        calls = net.__dict__["calls"] = net.__dict__.get("calls", 0) + 1
        if calls > self.stops_at:
            raise KeyboardInterrupt
        if calls > self.fails_at and dist.get_rank() == dist.get_world_size() - 1:
            fail(self.fault)
        x = torch.tensor(items, device=device)[:, None]
        loss = (net(x) - 2 * x).square().mean()
        if calls <= self.breaks_gradients:
            loss = loss + torch.sqrt(0.0 * net(x).square()).sum()  # 0, and its slope is 0 / 0
        return {"fit": loss * (float("nan") if calls > self.breaks_at else 1.0)}


def fail(fault: str) -> None:
    if fault == "memory":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee the documentation.")
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(3)
