"""The log loss of probabilities. Malignant is positive."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

_CERTAIN: Final = 1e-3  # the loss of a wrong certainty stays finite: 6.9


def log_loss(probabilities: Sequence[float], is_malignant: Sequence[bool]) -> float:
    """Mean over patients of -ln of the probability of what the patient has. Needs at least one patient."""
    return float(log_losses(probabilities, is_malignant).mean())


def log_losses(probabilities: Sequence[float], is_malignant: Sequence[bool]) -> NDArray[np.float64]:
    """That of each patient, in their order. Needs at least one patient."""
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(is_malignant, dtype=np.bool_)
    if not len(p) or len(p) != len(y):
        raise ValueError(f"{len(p)} probabilities of {len(y)} patients: need one of each, at least one")
    doubtful = np.clip(p, _CERTAIN, 1.0 - _CERTAIN)
    losses: NDArray[np.float64] = -np.log(np.where(y, doubtful, 1.0 - doubtful))
    return losses
