"""The log loss of probabilities. Malignant is positive."""

from collections.abc import Sequence
from typing import Final

import numpy as np

_CERTAIN: Final = 1e-3  # the loss of a wrong certainty stays finite: 6.9


def log_loss(probabilities: Sequence[float], is_malignant: Sequence[bool]) -> float:
    """Mean over patients of -ln of the probability of what the patient has. Needs at least one patient."""
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(is_malignant, dtype=np.bool_)
    if not len(p) or len(p) != len(y):
        raise ValueError(f"{len(p)} probabilities of {len(y)} patients: need one of each, at least one")
    doubtful = np.clip(p, _CERTAIN, 1.0 - _CERTAIN)
    return float(-np.log(np.where(y, doubtful, 1.0 - doubtful)).mean())
