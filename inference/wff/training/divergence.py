"""Numbers with which a training cannot go on, told by step and part."""

import math
from typing import Final

import torch

from inference.errors import TrainingError

_LEAST_SCALE: Final = 1e-4  # of the loss in fp16; from 65536, where it begins, 30 steps in a row that overflow


class TrainingFailed(TrainingError):
    """A number is not finite; the message names the step and the parts of the loss."""


def require_finite(what: str, value: float, step: int, parts: dict[str, float]) -> None:
    """`step` counts from 0, in messages from 1."""
    if not math.isfinite(value):
        raise TrainingFailed(
            f"step {step + 1}: {what} is {value}, parts {parts}; lower the learning rate or look at the data"
        )


def require_scale(scaler: torch.amp.GradScaler, step: int, parts: dict[str, float]) -> None:
    """A step that overflows is left out and halves the scale: a net whose steps all do would never move again."""
    if scaler.is_enabled() and scaler.get_scale() < _LEAST_SCALE:
        raise TrainingFailed(
            f"step {step + 1}: the gradients overflow in fp16 at every scale of the loss, parts {parts}; "
            'set precision = "bf16" or "fp32", or lower the learning rate'
        )
