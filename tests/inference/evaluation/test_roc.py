import numpy as np
import pytest

from inference.evaluation.intervals import Resampling
from inference.evaluation.metrics import area_under_roc, areas_under_roc
from inference.evaluation.roc import roc_band, roc_curve

SCORES, TRUTH = [0.9, 0.7, 0.7, 0.1], [True, True, False, False]


def test_equal_scores_make_one_slanted_step() -> None:
    curve = roc_curve("model", SCORES, TRUTH)

    assert curve.false_positive_rate == (0.0, 0.0, 0.5, 1.0)
    assert curve.true_positive_rate == (0.0, 0.5, 1.0, 1.0)


def test_the_area_below_the_corners_is_the_area_by_pairs() -> None:
    rng = np.random.default_rng(3)
    truth = [bool(n % 3) for n in range(90)]
    scores = [round(float(rng.normal(float(true))), 1) for true in truth]

    curve = roc_curve("model", scores, truth)

    area = np.trapezoid(curve.true_positive_rate, curve.false_positive_rate)
    assert area == pytest.approx(area_under_roc(scores, truth))


def test_a_weight_of_two_is_the_patient_drawn_twice() -> None:
    weights = np.array([[2.0, 1.0, 0.0, 1.0]])

    weighted = areas_under_roc(SCORES, TRUTH, weights)

    assert weighted.tolist() == [area_under_roc([0.9, 0.9, 0.7, 0.1], [True, True, True, False])]


def test_the_band_holds_the_curve_and_ends_at_the_top() -> None:
    rng = np.random.default_rng(5)
    truth = [bool(n % 2) for n in range(80)]
    scores = [float(rng.normal(float(true))) for true in truth]
    curve = roc_curve("model", scores, truth)

    band = roc_band(scores, truth, Resampling(truth, seed=1, resamples=200))

    reached = [
        max(t for f, t in zip(curve.false_positive_rate, curve.true_positive_rate, strict=True) if f <= at + 1e-9)
        for at in band.false_positive_rate
    ]
    inside = [low <= value <= high for low, value, high in zip(band.low, reached, band.high, strict=True)]
    assert sum(inside) >= 0.95 * len(inside)
    assert (band.low[-1], band.high[-1]) == (1.0, 1.0)
    assert band.high[20] - band.low[20] > 0.05
