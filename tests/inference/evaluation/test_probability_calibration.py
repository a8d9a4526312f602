import math

import numpy as np
import pytest

from inference.evaluation.probability_calibration import probability_calibration


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_brier_score_and_calibration_error_are_those_counted_by_hand() -> None:
    found = probability_calibration([0.15, 0.45, 0.85], [False, True, True])

    assert found.brier == pytest.approx((0.15**2 + 0.55**2 + 0.15**2) / 3)
    assert found.brier_of_prevalence == pytest.approx(((2 / 3) ** 2 + 2 * (1 / 3) ** 2) / 3)
    assert found.expected_error == pytest.approx((0.15 + 0.55 + 0.15) / 3)


def test_bins_are_of_equal_width_and_the_last_holds_one() -> None:
    found = probability_calibration([0.0, 0.05, 0.1, 0.95, 1.0], [False, True, False, True, True])

    filled = {one.low: (one.patients, one.malignant) for one in found.bins if one.patients}
    assert len(found.bins) == 10
    assert filled == {0.0: (2, 1), 0.1: (1, 0), 0.9: (2, 2)}
    assert found.bins[0].mean_probability == pytest.approx(0.025)
    assert found.bins[5].mean_probability is None


def test_probabilities_that_are_what_they_say_have_slope_one_and_intercept_zero() -> None:
    """Two of eight malignant at .25, six of eight at .75."""
    found = probability_calibration([0.25] * 8 + [0.75] * 8, [True] * 2 + [False] * 6 + [True] * 6 + [False] * 2)

    assert found.slope == pytest.approx(1.0, abs=1e-6)
    assert found.intercept == pytest.approx(0.0, abs=1e-6)
    assert found.expected_error == pytest.approx(0.0)


def test_timid_probabilities_have_the_slope_between_their_two_groups() -> None:
    """Two of ten malignant at .25, nine of ten at .75: the line goes through both log odds."""
    found = probability_calibration([0.25] * 10 + [0.75] * 10, [True] * 2 + [False] * 8 + [True] * 9 + [False])

    assert found.slope == pytest.approx((logit(0.9) - logit(0.2)) / (logit(0.75) - logit(0.25)), abs=1e-5)


def test_the_intercept_is_the_shift_that_makes_the_mean_right() -> None:
    """All say .5 and 8 of 10 are malignant: the shift is the log odds of .8."""
    found = probability_calibration([0.5] * 10, [True] * 8 + [False] * 2)

    assert found.intercept == pytest.approx(logit(0.8), abs=1e-6)


def test_classes_that_are_parted_completely_have_no_slope() -> None:
    found = probability_calibration([0.1, 0.2, 0.8, 0.9], [False, False, True, True])

    assert found.slope is None
    assert found.intercept is not None


def test_one_class_alone_has_neither_slope_nor_intercept() -> None:
    found = probability_calibration([0.1, 0.2], [False, False])

    assert (found.slope, found.intercept) == (None, None)


def test_certain_probabilities_are_read_as_almost_certain() -> None:
    found = probability_calibration([0.0, 1.0, 0.0, 1.0, 0.5], [False, True, True, False, True])

    assert found.slope is not None
    assert math.isfinite(found.slope)


def test_the_slope_is_that_of_another_library() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(2)
    p = rng.uniform(0.05, 0.95, size=80)
    truth = rng.uniform(size=80) < p**2

    found = probability_calibration(p.tolist(), truth.tolist())

    log_odds = np.log(p / (1 - p))[:, None]
    fitted = linear_model.LogisticRegression(C=1e12, tol=1e-10, max_iter=1000).fit(log_odds, truth)
    assert found.slope == pytest.approx(float(fitted.coef_[0, 0]), abs=1e-4)


def test_nobody_has_no_calibration() -> None:
    with pytest.raises(ValueError, match="at least one"):
        probability_calibration([], [])
