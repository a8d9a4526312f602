"""What the readings of all folds together choose."""

import math
from dataclasses import replace

import pytest

from inference.findings import Box, Verdict
from inference.wff.config import FusionConfig
from inference.wff.patients import ClassifiedPatient
from inference.wff.reading import ClipReading
from inference.wff.training.fusion_choice import log_loss, weights_with_least_loss
from tests.inference.wff.classified_patients import BY_DETECTOR, patient

BENIGN, MALIGNANT = Verdict.BENIGN, Verdict.MALIGNANT


def with_age(one: ClassifiedPatient, probability: float) -> ClassifiedPatient:
    """The sequence classifier says nothing: one half."""
    clip = ClipReading(Box(x0=0, y0=0, x1=9, y1=9), (0,), 0.5)
    return replace(one, age_probability=probability, clips=(clip,))


def test_a_patient_without_a_detection_costs_as_much_as_a_tossed_coin() -> None:
    silent = [patient("A", BENIGN, [[]]), patient("B", MALIGNANT, [[]])]

    assert log_loss(silent, BY_DETECTOR) == pytest.approx(math.log(2))


def test_a_model_that_finds_little_does_not_win_by_its_silence() -> None:
    speaks = [patient("A", BENIGN, [[0.2]]), patient("B", MALIGNANT, [[0.7]])]
    silent = [patient("A", BENIGN, [[0.1]]), patient("B", MALIGNANT, [[]])]

    assert log_loss(speaks, BY_DETECTOR) < log_loss(silent, BY_DETECTOR)


def test_lesion_free_patients_have_no_loss() -> None:
    read = [patient("A", BENIGN, [[0.2]]), patient("B", None, [[0.99]])]

    assert log_loss(read, BY_DETECTOR) == pytest.approx(-math.log(0.8))


def test_a_wrong_certainty_costs_much_but_not_everything() -> None:
    assert 5 < log_loss([patient("A", MALIGNANT, [[0.0]])], BY_DETECTOR) < 10


def test_weights_are_chosen_over_the_readings_of_all_folds() -> None:
    """One fold alone would trust its age table; over both folds the detector is right and the ages are not."""
    first = [with_age(patient("A", BENIGN, [[0.4]]), 0.05), with_age(patient("B", MALIGNANT, [[0.6]]), 0.95)]
    second = [with_age(patient("C", BENIGN, [[0.1]]), 0.95), with_age(patient("D", MALIGNANT, [[0.9]]), 0.05)]
    base = FusionConfig(tau=0.3)

    alone, together = weights_with_least_loss(first, base), weights_with_least_loss([*first, *second], base)

    assert alone.lambda_age > 0.5
    assert together.lambda_detector > 0.8
    assert together.tau == base.tau
