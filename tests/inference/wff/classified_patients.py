"""Labelled patients with made-up detections: the detector's probability of each voting slice is what a test says."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.datasets import LabelledPatient, LabelledSeries
from inference.findings import Box, SequenceKind, Verdict
from inference.wff.config import FusionConfig
from inference.wff.patients import ClassifiedPatient, DetectedPatient
from inference.wff.reading import DetectedBox

BY_DETECTOR = FusionConfig(tau=0.3, lambda_detector=1.0, lambda_sequence=0.0, lambda_age=0.0)
_BOX = Box(x0=0, y0=0, x1=10, y1=10)


def patient(
    name: str, verdict: Verdict | None, sequences: Sequence[Sequence[float]], age_years: float | None = None
) -> ClassifiedPatient:
    """`sequences`: the detector's malignant probability of each voting slice of each sequence."""
    series = tuple(
        LabelledSeries(kind=SequenceKind.T1, file=Path("none.npy"), boxes=((),) * len(slices)) for slices in sequences
    )
    found = tuple(tuple(_boxes(p) for p in slices) for slices in sequences)
    labelled = LabelledPatient(patient_id=name, age_years=age_years, verdict=verdict, series=series)
    return ClassifiedPatient(DetectedPatient(labelled, found), (None,) * len(series), None)


def _boxes(malignant: float) -> tuple[DetectedBox, ...]:
    """Their best scores make this probability, and one of them votes."""
    boxes = (DetectedBox(_BOX, Verdict.MALIGNANT, malignant), DetectedBox(_BOX, Verdict.BENIGN, 1.0 - malignant))
    return tuple(sorted(boxes, key=lambda one: -one.score))


@dataclass(frozen=True, slots=True)
class Law:
    """How patients come about: the truth is drawn from sigmoid(slope * said + intercept), `said` in log odds."""

    slope: float
    intercept: float

    def draw(self, count: int, *, seed: int) -> list[ClassifiedPatient]:
        """One sequence of three slices per patient, whose log odds scatter a little."""
        rng = np.random.default_rng(seed)
        drawn = []
        for number in range(count):
            said = rng.normal(0.0, 2.5) + rng.normal(0.0, 0.3, size=3)
            chance = _sigmoid(self.slope * said + self.intercept).mean()
            verdict = Verdict.MALIGNANT if rng.random() < chance else Verdict.BENIGN
            age = float(rng.integers(20, 85))
            drawn.append(patient(f"P{number:04d}", verdict, [_sigmoid(said).tolist()], age))
        return drawn


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))
