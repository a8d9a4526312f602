"""Optimiser and learning rate of a training, from its settings."""

import math

import torch
from torch import nn

from inference.wff.training.settings import OptimiserKind, OptimiserSettings, Schedule


def optimiser_of(net: nn.Module, settings: OptimiserSettings, *, peak: float) -> torch.optim.Optimizer:
    """Over the parameters that are not frozen; `peak` is the highest learning rate."""
    parameters = [p for p in net.parameters() if p.requires_grad]
    if settings.kind is OptimiserKind.SGD:
        return torch.optim.SGD(parameters, lr=peak, momentum=settings.momentum, weight_decay=settings.weight_decay)
    return torch.optim.AdamW(parameters, lr=peak, weight_decay=settings.weight_decay)


def peak_learning_rate(settings: OptimiserSettings, *, batch: int) -> float:
    """Scaled linearly with the batch, unless the settings say that the rate is taken as it is."""
    return settings.learning_rate * (batch / settings.reference_batch if settings.reference_batch else 1.0)


def learning_rate_at(step: int, settings: OptimiserSettings, *, steps: int, peak: float) -> float:
    """Of the step with this index, counted from 0: the schedule, and the linear warm-up as a factor of it."""
    warmup = min(settings.warmup_steps, steps // 3)
    if settings.schedule is Schedule.COSINE:
        done = max(0, step - warmup) / max(1, steps - warmup)
        rate = peak * 0.5 * (1.0 + math.cos(math.pi * done))
    else:
        rate = peak * settings.decay_factor ** sum(step >= round(share * steps) for share in settings.decay_at)
    if step >= warmup:
        return rate
    return rate * (settings.warmup_start + (1.0 - settings.warmup_start) * (step + 1) / warmup)
