"""The six strategies of the paper's Table 3: which terms of Eq. 1 speak. All read the same detections and clips."""

from collections.abc import Mapping
from typing import Final

from inference.wff.config import FusionConfig

# lambda of detector, sequence classifier, age. Source: the paper for Det, Det-Age and Det-Seq-Age; the others follow.
PUBLISHED_WEIGHTS: Final[Mapping[str, tuple[float, float, float]]] = {
    "Det": (0.45, 0.0, 0.0),
    "Det-Age": (0.45, 0.0, 0.1),
    "Seq": (0.0, 0.45, 0.0),
    "Seq-Age": (0.0, 0.45, 0.1),
    "Det-Seq": (0.45, 0.45, 0.0),
    "Det-Seq-Age": (0.45, 0.45, 0.1),
}
DETECTOR_ALONE: Final = "Det"
WHOLE: Final = "Det-Seq-Age"
OWN: Final = "as the bundle decides"
_SAME: Final = 1e-9


def strategies_of(own: FusionConfig) -> dict[str, FusionConfig]:
    """The six at the threshold of the bundle, uncalibrated; then the bundle's own fusion where it is none of them."""
    rows = {
        name: FusionConfig(tau=own.tau, lambda_detector=d, lambda_sequence=s, lambda_age=a)
        for name, (d, s, a) in PUBLISHED_WEIGHTS.items()
    }
    return rows if _published_name(own) is not None else {**rows, OWN: own}


def deciding_strategy(own: FusionConfig) -> str:
    """The name of the row that the bundle decides by."""
    return _published_name(own) or OWN


def weights_of(fusion: FusionConfig) -> tuple[float, float, float]:
    return fusion.lambda_detector, fusion.lambda_sequence, fusion.lambda_age


def _published_name(own: FusionConfig) -> str | None:
    """The published strategy that decides alike: only the ratio of the weights counts."""
    if own.is_calibrated:
        return None
    shares = _shares(weights_of(own))
    return next((name for name, weights in PUBLISHED_WEIGHTS.items() if _near(_shares(weights), shares)), None)


def _shares(weights: tuple[float, float, float]) -> tuple[float, ...]:
    return tuple(weight / sum(weights) for weight in weights)


def _near(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return all(abs(x - y) < _SAME for x, y in zip(a, b, strict=True))
