from collections.abc import Sequence

import pytest

from inference.evaluation.diagnosis import Diagnosis, performance
from inference.evaluation.intervals import Resampling
from tests.inference.evaluation.diagnoses import diagnoses_of_counts, diagnosis
from tests.inference.evaluation.test_metrics import PUBLISHED


def resampled(diagnoses: Sequence[Diagnosis]) -> Resampling:
    return Resampling([one.is_malignant for one in diagnoses], seed=1, resamples=200)


@pytest.mark.parametrize("row", PUBLISHED)
def test_published_rows_follow_from_140_patients(row: str) -> None:
    counts, published = PUBLISHED[row]
    diagnoses = diagnoses_of_counts(counts)

    found = performance(diagnoses, resampled(diagnoses))

    rates = (found.accuracy, found.sensitivity, found.specificity)
    assert tuple(f"{rate.value:.3f}" for rate in rates) == published
    assert all(rate.low < rate.value < rate.high for rate in rates)


def test_a_patient_without_a_detection_counts_as_called_benign_with_score_zero() -> None:
    diagnoses = [
        diagnosis("P1", malignant=True, probability=0.9),
        diagnosis("P2", malignant=True),
        diagnosis("P3", malignant=False, probability=0.3),
        diagnosis("P4", malignant=False),
    ]

    found = performance(diagnoses, resampled(diagnoses))

    assert found.undetected == 2
    assert (found.counts.missed_malignant, found.counts.true_benign) == (1, 2)
    assert found.area.value == pytest.approx((2 + 0.5) / 4)


def test_the_area_of_the_votes_is_told_beside_that_of_the_probability() -> None:
    diagnoses = [diagnosis(f"P{n}", malignant=n > 1, probability=p) for n, p in enumerate((0.1, 0.2, 0.3, 0.9))]

    found = performance(diagnoses, resampled(diagnoses))

    assert found.area.value == 1.0
    assert found.area_of_votes.value == 0.75


def test_twelve_of_twelve_has_the_interval_of_wilson() -> None:
    """No resample of them differs; 12 / (12 + 1.96 ** 2) is Wilson's lower bound."""
    diagnoses = [diagnosis(f"P{n}", malignant=n < 12, said=n < 12 or n == 13) for n in range(15)]

    found = performance(diagnoses, resampled(diagnoses))

    assert (found.sensitivity.value, found.sensitivity.high) == (1.0, 1.0)
    assert found.sensitivity.low == pytest.approx(12 / (12 + 1.959964**2))
    assert found.specificity.low < found.specificity.value < found.specificity.high
