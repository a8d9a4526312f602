import numpy as np
import pytest

from inference.evaluation.intervals import Estimate, Resampling

TRUTH = [True, False, False, True, False]


def test_every_resample_draws_as_many_patients_and_both_classes() -> None:
    weights = Resampling(TRUTH, seed=1, resamples=200).weights

    malignant = weights[:, TRUTH].sum(axis=1)
    assert weights.shape == (200, 5)
    assert set(weights.sum(axis=1)) == {5.0}
    assert malignant.min() >= 1
    assert malignant.max() <= 4


def test_resamples_repeat_with_their_seed_and_differ_with_another() -> None:
    first, same, other = (Resampling(TRUTH, seed=seed, resamples=20).weights for seed in (1, 1, 2))

    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_a_rate_is_taken_among_the_patients_it_is_of() -> None:
    patients = Resampling(TRUTH, seed=1, resamples=200)

    of_all, of_malignant = (patients.rate([True, True, False, False, False], among) for among in (None, TRUTH))

    assert of_all.value == pytest.approx(2 / 5)
    assert of_malignant.value == pytest.approx(1 / 2)
    assert (of_malignant.low, of_malignant.high) == (0.0, 1.0)


def test_the_interval_of_a_mean_has_the_width_of_its_standard_error() -> None:
    """Of 400 patients, half of them hits: 1.96 x sqrt(.25 / 400) = .049 on each side."""
    truth = [bool(n % 2) for n in range(400)]
    hits = [n % 4 < 2 for n in range(400)]

    found = Resampling(truth, seed=3).rate(hits)

    assert found.value == 0.5
    assert found.low == pytest.approx(0.451, abs=0.006)
    assert found.high == pytest.approx(0.549, abs=0.006)


def test_resamples_that_cannot_say_are_left_out_of_the_interval() -> None:
    patients = Resampling(TRUTH, seed=1, resamples=50)

    found = patients.estimate(lambda weights: np.where(weights[:, 0] > 0, 0.25, np.nan))

    assert (found.value, found.low, found.high) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("truth", [[True, True], [False], []])
def test_patients_of_one_class_are_refused(truth: list[bool]) -> None:
    with pytest.raises(ValueError, match="malignant and benign"):
        Resampling(truth, seed=1)


def test_an_interval_without_width_is_not_told_as_certainty() -> None:
    assert str(Estimate(1.0, 1.0, 1.0)) == "1.000 (no interval)"
    assert str(Estimate(0.8, 0.7, 0.9)) == "0.800 (95 % CI 0.700-0.900)"
    assert str(Estimate(-0.2, -0.7, 0.1)) == "-0.200 (95 % CI -0.700 to 0.100)"


@pytest.mark.parametrize("drawn", [np.nan, np.inf])
def test_a_number_of_which_the_resamples_say_nothing_finite_has_no_interval(drawn: float) -> None:
    patients = Resampling(TRUTH, seed=1, resamples=50)

    found = patients.estimate(lambda weights: np.full(len(weights), 0.5 if len(weights) == 1 else drawn))

    assert str(found) == "0.500 (no interval)"


def test_a_bound_at_infinity_is_no_bound() -> None:
    """A tenth of the resamples have no finite value: neither has the upper bound."""
    patients = Resampling(TRUTH, seed=1, resamples=50)
    some = np.r_[np.linspace(0.1, 0.9, 45), np.full(5, np.inf)]

    found = patients.estimate(lambda weights: np.full(1, 0.5) if len(weights) == 1 else some)

    assert (found.low, found.high) == (0.5, 0.5)
