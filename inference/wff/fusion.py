"""Weighted fusion (Eq. 1) and the votes: image -> sequence -> patient. Plain numbers in, plain values out."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.findings import Verdict, verdict_of
from inference.wff.config import FusionConfig


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
