import math

import numpy as np
import pytest

from inference.evaluation.intervals import Estimate
from inference.evaluation.probability_calibration import probability_calibration


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def value(one: Estimate | None) -> float:
    assert one is not None
    return one.value


def test_brier_score_and_calibration_error_are_those_counted_by_hand() -> None:
    found = probability_calibration([0.15, 0.45, 0.85], [False, True, True], seed=1)

    assert found.brier.value == pytest.approx((0.15**2 + 0.55**2 + 0.15**2) / 3)
    assert found.brier_of_prevalence == pytest.approx(((2 / 3) ** 2 + 2 * (1 / 3) ** 2) / 3)
    assert found.expected_error.value == pytest.approx((0.15 + 0.55 + 0.15) / 3)


def test_bins_are_of_equal_width_and_the_last_holds_one() -> None:
    found = probability_calibration([0.0, 0.05, 0.1, 0.95, 1.0], [False, True, False, True, True], seed=1)

    filled = {one.low: (one.patients, one.malignant) for one in found.bins if one.patients}
    assert len(found.bins) == 10
    assert filled == {0.0: (2, 1), 0.1: (1, 0), 0.9: (2, 2)}
    assert found.bins[0].mean_probability == pytest.approx(0.025)
    assert found.bins[5].mean_probability is None


def test_probabilities_that_are_what_they_say_have_slope_one_and_intercept_zero() -> None:
    """Two of eight malignant at .25, six of eight at .75."""
    found = probability_calibration(
        [0.25] * 8 + [0.75] * 8, [True] * 2 + [False] * 6 + [True] * 6 + [False] * 2, seed=1
    )

    assert value(found.slope) == pytest.approx(1.0, abs=1e-6)
    assert value(found.intercept) == pytest.approx(0.0, abs=1e-6)
    assert found.expected_error.value == pytest.approx(0.0)


def test_timid_probabilities_have_the_slope_between_their_two_groups() -> None:
    """Two of ten malignant at .25, nine of ten at .75: the line goes through both log odds."""
    found = probability_calibration([0.25] * 10 + [0.75] * 10, [True] * 2 + [False] * 8 + [True] * 9 + [False], seed=1)

    assert value(found.slope) == pytest.approx((logit(0.9) - logit(0.2)) / (logit(0.75) - logit(0.25)), abs=1e-5)


def test_the_intercept_is_the_shift_that_makes_the_mean_right() -> None:
    """All say .5 and 8 of 10 are malignant: the shift is the log odds of .8."""
    found = probability_calibration([0.5] * 10, [True] * 8 + [False] * 2, seed=1)

    assert value(found.intercept) == pytest.approx(logit(0.8), abs=1e-6)


def test_classes_that_are_parted_completely_have_no_slope() -> None:
    found = probability_calibration([0.1, 0.2, 0.8, 0.9], [False, False, True, True], seed=1)

    assert found.slope is None
    assert found.intercept is not None


def test_one_class_alone_has_neither_slope_nor_intercept() -> None:
    found = probability_calibration([0.1, 0.2], [False, False], seed=1)

    assert (found.slope, found.intercept) == (None, None)


def test_certain_probabilities_are_read_as_almost_certain() -> None:
    found = probability_calibration([0.0, 1.0, 0.0, 1.0, 0.5], [False, True, True, False, True], seed=1)

    assert found.slope is not None
    assert math.isfinite(found.slope.value)


def test_the_slope_is_that_of_another_library() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(2)
    p = rng.uniform(0.05, 0.95, size=80)
    truth = rng.uniform(size=80) < p**2

    found = probability_calibration(p.tolist(), truth.tolist(), seed=1)

    log_odds = np.log(p / (1 - p))[:, None]
    fitted = linear_model.LogisticRegression(C=1e12, tol=1e-10, max_iter=1000).fit(log_odds, truth)
    assert value(found.slope) == pytest.approx(float(fitted.coef_[0, 0]), abs=1e-4)


def test_nobody_has_no_calibration() -> None:
    with pytest.raises(ValueError, match="at least one"):
        probability_calibration([], [], seed=1)


def drawn(count: int, *, seed: int) -> tuple[list[float], list[bool]]:
    """Probabilities that are what they say."""
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.05, 0.95, size=count)
    return p.tolist(), (rng.uniform(size=count) < p).tolist()


def test_every_number_has_an_interval_that_holds_it_and_narrows_with_more_patients() -> None:
    few, many = (probability_calibration(*drawn(count, seed=3), seed=1) for count in (40, 640))

    for name in ("expected_error", "brier", "slope", "intercept"):
        narrow, wide = getattr(many, name), getattr(few, name)
        assert wide.low <= wide.value <= wide.high, name
        assert 0 < narrow.high - narrow.low < 0.5 * (wide.high - wide.low), name


def test_the_interval_of_the_brier_score_has_the_width_of_its_standard_error() -> None:
    p, truth = drawn(400, seed=4)
    squared = (np.array(p) - np.array(truth)) ** 2

    found = probability_calibration(p, truth, seed=1).brier

    assert (found.high - found.low) / 2 == pytest.approx(1.96 * squared.std() / 20, rel=0.1)


def test_slope_and_intercept_of_calibrated_probabilities_lie_in_their_intervals() -> None:
    """In 40 samples of 100 patients: 95 % are expected, 38; fewer than 33 would have a chance below 1 in 1000."""
    found = [probability_calibration(*drawn(100, seed=seed), seed=1, resamples=200) for seed in range(40)]

    slopes = [one.slope for one in found if one.slope is not None]
    intercepts = [one.intercept for one in found if one.intercept is not None]
    assert sum(one.low <= 1 <= one.high for one in slopes) >= 33
    assert sum(one.low <= 0 <= one.high for one in intercepts) >= 33


def test_a_slope_that_many_resamples_make_infinite_has_no_interval() -> None:
    """One benign patient stands among the malignant: whenever it is not drawn the classes are parted."""
    p = [0.1, 0.2, 0.3, 0.75, 0.7, 0.8, 0.9]

    found = probability_calibration(p, [False, False, False, False, True, True, True], seed=1)

    assert found.slope is not None
    assert found.slope.value > 0
    assert found.slope.low == found.slope.high == found.slope.value


def test_one_class_alone_has_no_intervals() -> None:
    found = probability_calibration([0.1, 0.2], [False, False], seed=1)

    assert found.brier.low == found.brier.high == found.brier.value
    assert str(found.expected_error).endswith("(no interval)")
