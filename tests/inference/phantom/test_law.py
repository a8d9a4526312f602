"""The label law: its Bayes ceiling is known, and it is the one that the patients are drawn from."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import rankdata

from inference.findings import Verdict
from inference.phantom import PhantomConfig, PhantomTruth, Sign, oracle_probability
from inference.phantom.law import (
    AGE_TABLE,
    LawSample,
    age_bin,
    age_log_odds,
    draw_law,
    prevalence_log_odds,
    sign_log_odds,
    sign_rates,
)
from inference.phantom.patient import draw_subject

DRAWS = 100_000


def auc(score: NDArray[np.float64], malignant: NDArray[np.bool_]) -> float:
    ranks = rankdata(score)
    positive = int(malignant.sum())
    return float((ranks[malignant].sum() - positive * (positive + 1) / 2) / (positive * (len(score) - positive)))


def accuracy(log_odds: NDArray[np.float64], malignant: NDArray[np.bool_]) -> float:
    return float(((log_odds > 0) == malignant).mean())


def sample(difficulty: float) -> LawSample:
    return draw_law(np.random.default_rng(1), DRAWS, difficulty=difficulty)


# AUC and accuracy of the oracle as the phantom specification states them: (signs), (signs and age).
@pytest.mark.parametrize(
    ("difficulty", "by_signs", "by_signs_and_age"),
    [
        (1.0, (0.940, 0.866), (0.953, 0.883)),
        (0.65, (0.836, 0.759), (0.877, 0.795)),
        (0.5, (0.770, 0.704), (0.832, 0.753)),
    ],
)
def test_the_oracle_reaches_the_specified_ceiling(
    difficulty: float, by_signs: tuple[float, float], by_signs_and_age: tuple[float, float]
) -> None:
    drawn = sample(difficulty)

    signs = sign_log_odds(drawn.signs, difficulty=difficulty)
    alone = signs + prevalence_log_odds()
    with_age = signs + age_log_odds(drawn.age_years)

    assert (auc(alone, drawn.malignant), accuracy(alone, drawn.malignant)) == pytest.approx(by_signs, abs=0.006)
    assert (auc(with_age, drawn.malignant), accuracy(with_age, drawn.malignant)) == pytest.approx(
        by_signs_and_age, abs=0.006
    )


def test_signs_say_nothing_at_difficulty_zero() -> None:
    drawn = sample(0.0)

    assert np.all(sign_log_odds(drawn.signs, difficulty=0.0) == 0.0)
    assert auc(age_log_odds(drawn.age_years), drawn.malignant) == pytest.approx(0.728, abs=0.006)
    for column in range(len(Sign)):
        rates = [drawn.signs[drawn.malignant == value, column].mean() for value in (True, False)]
        assert rates[0] == pytest.approx(rates[1], abs=0.01)


def test_the_oracle_is_calibrated() -> None:
    drawn = sample(1.0)
    probability = 1.0 / (1.0 + np.exp(-(sign_log_odds(drawn.signs, difficulty=1.0) + age_log_odds(drawn.age_years))))

    for low in (0.1, 0.3, 0.5, 0.7):
        chosen = (probability >= low) & (probability < low + 0.2)

        assert drawn.malignant[chosen].mean() == pytest.approx(probability[chosen].mean(), abs=0.02)


def test_age_groups_follow_the_table() -> None:
    drawn = sample(1.0)

    for group in range(8):
        chosen = age_bin(drawn.age_years) == group
        expected = AGE_TABLE[group]
        tolerance = 4.0 * np.sqrt(expected * (1 - expected) / chosen.sum())

        assert drawn.malignant[chosen].mean() == pytest.approx(expected, abs=tolerance)


def test_age_groups_end_at_the_full_decade() -> None:
    assert age_bin(np.array([4, 10, 11, 80, 81, 82])).tolist() == [0, 0, 1, 7, 8, 8]


@pytest.mark.parametrize("difficulty", [-0.1, 1.1, float("nan")])
def test_a_difficulty_outside_its_range_is_refused(difficulty: float) -> None:
    with pytest.raises(ValueError, match="difficulty is"):
        sign_rates(difficulty)


def test_patients_are_drawn_from_the_law() -> None:
    subjects = [draw_subject(index, seed=3, config=PhantomConfig(lesion_free_fraction=0.0)) for index in range(250)]
    malignant = [s for s in subjects if s.truth.label is Verdict.MALIGNANT]

    for sign, (expected, _) in zip(Sign, sign_rates(1.0), strict=True):
        seen = np.mean([s.truth.signs[sign] for s in malignant])
        assert seen == pytest.approx(expected, abs=4.0 * np.sqrt(expected * (1 - expected) / len(malignant)))


def test_the_oracle_of_a_patient_tells_the_verdict_far_better_than_chance() -> None:
    truths = [draw_subject(n, seed=4, config=PhantomConfig(lesion_free_fraction=0.0)).truth for n in range(250)]
    malignant = np.array([truth.label is Verdict.MALIGNANT for truth in truths])
    score = np.array([oracle_probability(truth, with_age=True) for truth in truths])

    assert auc(score, malignant) > 0.90


def test_a_lesion_free_patient_has_probability_zero() -> None:
    truth = PhantomTruth(label=None, signs={}, log_odds_signs=None, log_odds_signs_age=None, lesions=())

    assert oracle_probability(truth, with_age=True) == 0.0
    assert oracle_probability(truth, with_age=False) == 0.0
