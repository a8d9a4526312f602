import numpy as np
import pytest

from inference.wff.phantom_verification.areas import area_over_shuffles, mean_of, same_patients

TRUTH = [n % 2 == 0 for n in range(60)]


def noisy(strength: float, seed: int) -> list[float]:
    noise = np.random.default_rng(seed).normal(size=len(TRUTH))
    return [strength * malignant + float(n) for malignant, n in zip(TRUTH, noise, strict=True)]


def test_the_share_of_the_oracle_is_one_for_the_oracle_and_nothing_for_a_coin() -> None:
    patients = same_patients(TRUTH, seed=1, resamples=200)
    oracle = noisy(2.0, 1)

    assert patients.share(oracle, oracle).value == 1.0
    assert patients.share([0.5] * len(TRUTH), oracle).value == 0.0


def test_a_difference_is_between_readers_of_the_same_patients() -> None:
    patients = same_patients(TRUTH, seed=1, resamples=200)
    good, poor = noisy(3.0, 1), noisy(0.5, 2)

    difference = patients.difference(good, poor)

    assert difference.value == pytest.approx(patients.area(good).value - patients.area(poor).value)
    assert difference.low > 0.0
    assert patients.difference(good, good).high == 0.0


def test_shuffles_that_lean_either_way_have_a_wider_interval_than_any_of_them() -> None:
    patients = same_patients(TRUTH, seed=1, resamples=400)
    to_one_side, to_the_other = noisy(2.0, 1), noisy(-2.0, 2)

    both = area_over_shuffles(patients, [to_one_side, to_the_other] * 2, seed=1)

    alone = patients.area(to_one_side)
    assert both.low < 0.5 < both.high
    assert both.high - both.low > alone.high - alone.low


def test_the_interval_of_a_mean_holds_it_and_narrows_with_more_numbers() -> None:
    few, many = (mean_of([0.0, 1.0, 2.0] * n, seed=1, resamples=400) for n in (3, 60))

    assert few.low < few.value < few.high
    assert few.value == many.value == 1.0
    assert many.high - many.low < few.high - few.low
