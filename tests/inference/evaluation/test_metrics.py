import numpy as np
import pytest

from inference.evaluation.metrics import Confusion, Rate, area_interval, area_under_roc, confusion

# Integer counts behind the published tables of the WFF paper: 50 malignant and 90 benign patients.
PUBLISHED = {
    "Det": ((25, 25, 76, 14), ("0.721", "0.500", "0.844")),
    "Det-Age": ((25, 25, 78, 12), ("0.736", "0.500", "0.867")),
    "Seq": ((33, 17, 64, 26), ("0.693", "0.660", "0.711")),
    "Seq-Age": ((33, 17, 64, 26), ("0.693", "0.660", "0.711")),
    "Det-Seq": ((37, 13, 75, 15), ("0.800", "0.740", "0.833")),
    "Det-Seq-Age": ((36, 14, 79, 11), ("0.821", "0.720", "0.878")),
    "D1": ((33, 17, 72, 18), ("0.750", "0.660", "0.800")),
    "D2": ((29, 21, 64, 26), ("0.664", "0.580", "0.711")),
    "D3": ((46, 4, 40, 50), ("0.614", "0.920", "0.444")),
    "D1-Age": ((35, 15, 61, 29), ("0.686", "0.700", "0.678")),
    "D2-Age": ((36, 14, 67, 23), ("0.736", "0.720", "0.744")),
    "D3-Age": ((44, 6, 45, 45), ("0.636", "0.880", "0.500")),
}


@pytest.mark.parametrize("row", PUBLISHED)
def test_published_rates_follow_from_their_counts(row: str) -> None:
    (tp, fn, tn, fp), published = PUBLISHED[row]

    counts = Confusion(true_malignant=tp, missed_malignant=fn, true_benign=tn, false_malignant=fp)

    found = (counts.accuracy.value, counts.sensitivity.value, counts.specificity.value)
    assert tuple(f"{rate:.3f}" for rate in found) == published


def test_counts_are_taken_from_pairs_of_said_and_true() -> None:
    counts = confusion([True, True, False, False, False], [True, False, True, False, False])

    assert counts == Confusion(true_malignant=1, false_malignant=1, missed_malignant=1, true_benign=2)


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"), [(34, 40, 0.7093, 0.9294), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)]
)
def test_wilson_intervals_are_the_tabled_ones(hits: int, total: int, low: float, high: float) -> None:
    assert Rate(hits, total).interval == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("hits", "total"), [(0, 0), (3, 2), (-1, 2)])
def test_a_rate_of_nothing_or_more_than_all_is_refused(hits: int, total: int) -> None:
    with pytest.raises(ValueError, match="no rate"):
        Rate(hits, total)


def test_the_area_counts_pairs_in_order_and_ties_half() -> None:
    assert area_under_roc([0.1, 0.4, 0.4, 0.9], [False, False, True, True]) == pytest.approx((1 + 0.5 + 1 + 1) / 4)


def test_the_area_needs_both_classes() -> None:
    with pytest.raises(ValueError, match="malignant and benign"):
        area_under_roc([0.1, 0.2], [True, True])


def test_the_bootstrap_interval_holds_the_area_and_repeats_with_its_seed() -> None:
    rng = np.random.default_rng(0)
    truth = [bool(n % 2) for n in range(60)]
    scores = [float(rng.normal(1.0 if malignant else 0.0)) for malignant in truth]

    low, high = area_interval(scores, truth, seed=1, resamples=200)

    assert low < area_under_roc(scores, truth) < high
    assert (low, high) == area_interval(scores, truth, seed=1, resamples=200)
