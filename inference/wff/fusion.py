"""Weighted fusion (Eq. 1), its calibration, and the votes: image -> sequence -> patient. Plain numbers and values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from inference.findings import Verdict, verdict_of
from inference.wff.config import FusionConfig

LEAST_DOUBT: Final = 1e-6  # keeps the logit of a certain probability finite


@dataclass(frozen=True, slots=True)
class Vote:
    """Majority of some voices. `mean` is the mean malignant probability of the voters; it also breaks ties."""

    verdict: Verdict
    mean: float
    tie: bool


def detector_probability(benign_score: float, malignant_score: float) -> float:
    """D of Eq. 1: the best malignant score as a share of the best benign and malignant scores."""
    total = benign_score + malignant_score
    if total <= 0.0:
        raise ValueError("an image without any detection has no detector probability: it abstains")
    return malignant_score / total


def fuse(detector: float, sequence: float | None, age: float | None, weights: FusionConfig) -> float:
    """Eq. 1 divided by the sum of the active weights, so that the result is a malignant probability.

    A term that is None is inactive. Raises ValueError when no term is left.
    """
    terms = (
        (weights.lambda_detector, detector),
        (weights.lambda_sequence, sequence),
        (weights.lambda_age, age),
    )
    active = [(weight, value) for weight, value in terms if value is not None and weight > 0.0]
    total = sum(weight for weight, _ in active)
    if total <= 0.0:
        raise ValueError(f"no active term in the fusion: weights {weights}")
    return sum(weight * value for weight, value in active) / total


def calibrated(probability: float, fusion: FusionConfig) -> float:
    """Platt scaling of a fused probability: sigmoid(slope * logit(P) + intercept). Source: Platt 1999.

    A P that leaves no doubt is read as `LEAST_DOUBT` away from 0 or 1. The identity gives P back as it is.
    """
    if not fusion.is_calibrated:
        return probability
    line = fusion.calibration_slope * log_odds(probability) + fusion.calibration_intercept
    return 0.5 * (1.0 + math.tanh(0.5 * line))  # the sigmoid, which cannot overflow in this form


def log_odds(probability: float) -> float:
    doubtful = min(max(probability, LEAST_DOUBT), 1.0 - LEAST_DOUBT)
    return math.log(doubtful) - math.log1p(-doubtful)


def vote_of_images(probabilities: Sequence[float]) -> Vote | None:
    """Majority of the voting images of one sequence; None: no image voted, the sequence abstains."""
    return _majority([verdict_of(p) for p in probabilities], probabilities)


def vote_of_sequences(votes: Sequence[Vote]) -> Vote | None:
    """Majority of the sequences that did not abstain; None: there is none. Ties go by the mean of their means."""
    return _majority([vote.verdict for vote in votes], [vote.mean for vote in votes])


def _majority(verdicts: Sequence[Verdict], probabilities: Sequence[float]) -> Vote | None:
    if not verdicts:
        return None
    mean = sum(probabilities) / len(probabilities)
    malignant = sum(verdict is Verdict.MALIGNANT for verdict in verdicts)
    benign = len(verdicts) - malignant
    if malignant == benign:
        return Vote(verdict_of(mean), mean, tie=True)
    return Vote(Verdict.MALIGNANT if malignant > benign else Verdict.BENIGN, mean, tie=False)
