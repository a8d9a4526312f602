import math

import pytest

from inference.findings import Verdict
from inference.wff.config import FusionConfig
from inference.wff.fusion import (
    Vote,
    calibrated,
    detector_probability,
    fuse,
    verdict_of,
    vote_of_images,
    vote_of_sequences,
)

ALL = FusionConfig(lambda_detector=0.45, lambda_sequence=0.45, lambda_age=0.1)
DETECTOR_AND_AGE = FusionConfig(lambda_detector=0.45, lambda_sequence=0.0, lambda_age=0.1)


def test_all_three_terms_give_the_golden_number_of_the_paper_weights() -> None:
    p = fuse(0.2, 0.9, 0.489, ALL)

    assert p == pytest.approx(0.5439)
    assert verdict_of(p) is Verdict.MALIGNANT


def test_a_term_of_weight_zero_takes_no_part_in_the_sum_of_weights() -> None:
    p = fuse(0.2, 0.9, 0.489, DETECTOR_AND_AGE)

    assert p == pytest.approx(0.2525, abs=5e-5)
    assert verdict_of(p) is Verdict.BENIGN


def test_an_unknown_age_drops_its_term_and_its_weight() -> None:
    assert fuse(0.2, 0.9, None, ALL) == pytest.approx((0.45 * 0.2 + 0.45 * 0.9) / 0.9)


def test_a_fusion_without_any_term_is_refused() -> None:
    with pytest.raises(ValueError, match="no active term"):
        fuse(0.2, None, None, FusionConfig(lambda_detector=0.0))


def test_detector_scores_are_normalised_to_a_probability() -> None:
    assert detector_probability(0.2, 0.6) == pytest.approx(0.75)


def test_an_image_without_detection_has_no_detector_probability() -> None:
    with pytest.raises(ValueError, match="abstains"):
        detector_probability(0.0, 0.0)


def test_the_majority_of_images_wins_against_the_mean() -> None:
    vote = vote_of_images([0.55, 0.55, 0.01])

    assert vote is not None
    assert (vote.verdict, vote.tie) == (Verdict.MALIGNANT, False)
    assert vote.mean == pytest.approx(0.37)


@pytest.mark.parametrize(("mean", "verdict"), [(0.48, Verdict.BENIGN), (0.55, Verdict.MALIGNANT)])
def test_a_tie_of_two_against_two_sequences_goes_by_the_mean(mean: float, verdict: Verdict) -> None:
    votes = [
        Vote(Verdict.MALIGNANT, mean + 0.2, tie=False),
        Vote(Verdict.MALIGNANT, mean + 0.1, tie=False),
        Vote(Verdict.BENIGN, mean - 0.2, tie=False),
        Vote(Verdict.BENIGN, mean - 0.1, tie=False),
    ]

    vote = vote_of_sequences(votes)

    assert vote is not None
    assert (vote.verdict, vote.tie) == (verdict, True)
    assert vote.mean == pytest.approx(mean)


def test_a_tie_with_a_mean_of_exactly_one_half_is_malignant() -> None:
    vote = vote_of_images([0.25, 0.75])

    assert vote is not None
    assert (vote.verdict, vote.tie) == (Verdict.MALIGNANT, True)


def test_a_sequence_without_voting_image_abstains_and_a_patient_without_sequence_has_no_vote() -> None:
    assert vote_of_images([]) is None
    assert vote_of_sequences([]) is None


@pytest.mark.parametrize("probability", [0.0, 0.1, 1 / 3, 0.5, 1.0])
def test_without_calibration_a_probability_stays_as_it_is_to_the_last_bit(probability: float) -> None:
    assert calibrated(probability, FusionConfig()) == probability


def test_calibration_is_a_line_in_the_logit() -> None:
    fusion = FusionConfig(calibration_slope=2.0, calibration_intercept=-0.5)

    p = calibrated(0.7, fusion)

    assert math.log(p / (1 - p)) == pytest.approx(2.0 * math.log(0.7 / 0.3) - 0.5)


def test_calibration_keeps_the_order_of_probabilities_and_leaves_no_certainty() -> None:
    fusion = FusionConfig(calibration_slope=0.5, calibration_intercept=1.0)

    said = [calibrated(p, fusion) for p in (0.0, 0.2, 0.5, 0.9, 1.0)]

    assert said == sorted(set(said))
    assert 0.0 < said[0] < said[-1] < 1.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"calibration_slope": 0.0},
        {"calibration_slope": -1.0},
        {"calibration_slope": math.nan},
        {"calibration_intercept": math.inf},
    ],
)
def test_a_calibration_that_would_turn_the_model_round_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)).replace("_", " ")):
        FusionConfig(**wrong)
