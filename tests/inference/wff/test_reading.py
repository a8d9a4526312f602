from dataclasses import replace

import numpy as np
import pytest

from inference.findings import Box, Verdict
from inference.wff.config import FusionConfig
from inference.wff.reading import (
    ClipReading,
    DetectedBox,
    largest_box,
    lesions_of,
    read_patient,
    read_sequence,
    voting_slices,
)

FUSION = FusionConfig(tau=0.3)
SMALL, LARGE = Box(x0=0, y0=0, x1=10, y1=10), Box(x0=50, y0=50, x1=80, y1=80)
CLIP = ClipReading(LARGE, (0, 1), 0.9)


def benign(score: float, box: Box = SMALL) -> DetectedBox:
    return DetectedBox(box, Verdict.BENIGN, score)


def malignant(score: float, box: Box = SMALL) -> DetectedBox:
    return DetectedBox(box, Verdict.MALIGNANT, score)


@pytest.mark.parametrize("tau", [0.1, 0.2, 0.3, 0.45])
def test_a_slice_votes_from_a_score_of_exactly_tau(tau: float) -> None:
    assert voting_slices([[benign(tau)], [benign(tau - 0.01)], [], [malignant(0.8)]], tau) == [0, 3]


def test_the_crop_comes_from_the_largest_box_not_from_the_best_score() -> None:
    found = [[malignant(0.9, SMALL)], [benign(0.4, LARGE)], [benign(0.2, Box(x0=0, y0=0, x1=99, y1=99))]]

    chosen = largest_box(found, 0.3)

    assert chosen == (1, found[1][0])


def test_of_equally_large_boxes_the_better_score_is_cropped_then_the_earlier_slice() -> None:
    found = [[benign(0.4)], [benign(0.8)], [benign(0.8)]]

    assert largest_box(found, 0.3) == (1, found[1][0])


def test_one_lesion_seen_as_benign_and_malignant_is_reported_once_with_the_score_of_both() -> None:
    """Of one class the better box alone counts: detections of a class that overlap are one already."""
    boxes = [benign(0.25), malignant(0.5), malignant(0.1), benign(0.4, LARGE), benign(0.1, LARGE)]

    assert lesions_of(boxes, 0.3) == (malignant(0.625), benign(0.4, LARGE))


def test_a_lesion_of_a_class_that_cannot_be_told_votes_where_each_class_alone_would_not() -> None:
    unclear = [malignant(0.375), benign(0.25)]

    assert voting_slices([unclear, [malignant(0.375)], [malignant(0.375), benign(0.25, LARGE)]], 0.5) == [0]
    assert largest_box([unclear], 0.5) == (0, malignant(0.53125))
    assert read_sequence([unclear], None, None, replace(FUSION, tau=0.5)).slices[0].lesions == (malignant(0.53125),)


def test_a_box_over_two_places_belongs_to_the_better_one_alone() -> None:
    left, middle, right = (Box(x0=x, y0=0, x1=x + 10, y1=10) for x in (0, 3, 6))
    chain = [benign(0.7, left), malignant(0.5, middle), benign(0.06, right)]

    assert [(one.box, one.score) for one in lesions_of(chain, 0.0)] == [
        (left, pytest.approx(0.85)),
        (right, pytest.approx(0.06)),
    ]


def test_a_higher_threshold_only_takes_lesions_away() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        corners = rng.uniform(0, 20, size=(12, 2))
        boxes = [
            DetectedBox(Box(x0=x, y0=y, x1=x + 12, y1=y + 12), rng.choice([*Verdict]), float(score))
            for (x, y), score in zip(corners, rng.uniform(0.05, 0.6, 12), strict=True)
        ]
        every = lesions_of(boxes, 0.0)
        for tau in (0.1, 0.3, 0.5, 0.7):
            assert lesions_of(boxes, tau) == tuple(one for one in every if one.score >= tau)
            assert lesions_of(every, tau) == lesions_of(boxes, tau)  # joined again, a lesion stays what it is


def test_a_lesion_never_scores_one_for_being_seen_twice() -> None:
    assert lesions_of([malignant(0.75), benign(0.5)], 0.2) == (malignant(0.875),)


@pytest.mark.parametrize(("height", "seen"), [(5.0, 1), (4.9, 2)])
def test_boxes_that_overlap_by_half_are_one_lesion(height: float, seen: int) -> None:
    boxes = [malignant(0.7, SMALL), benign(0.4, Box(x0=0, y0=0, x1=10, y1=height))]

    assert len(lesions_of(boxes, 0.3)) == seen


def test_overlap_is_intersection_over_union() -> None:
    assert SMALL.overlap(Box(x0=5, y0=0, x1=15, y1=10)) == pytest.approx(1 / 3)
    assert SMALL.overlap(LARGE) == 0.0


def test_the_best_scores_of_both_classes_make_the_detector_probability_even_below_tau() -> None:
    reading = read_sequence([[malignant(0.6), benign(0.2, LARGE), malignant(0.1)]], CLIP, None, FUSION)

    assert reading.slices[0].detector_probability == pytest.approx(0.75)
    assert reading.slices[0].probability_malignant == pytest.approx((0.75 + 0.9) / 2)


def test_slices_below_tau_abstain() -> None:
    reading = read_sequence([[malignant(0.6)], [benign(0.2)], []], CLIP, None, FUSION)

    assert [s.index for s in reading.slices] == [0]


def test_a_sequence_without_detection_abstains_and_the_others_decide() -> None:
    silent = read_sequence([[], [benign(0.1)]], None, 0.5, FUSION)
    speaking = read_sequence([[malignant(0.9)]], CLIP, 0.5, FUSION)

    patient = read_patient([silent, speaking])

    assert silent.vote is None
    assert patient.vote is not None
    assert (patient.vote.verdict, patient.vote.tie) == (Verdict.MALIGNANT, False)
    assert patient.vote_fraction_malignant == 1.0


def test_the_vote_fraction_is_the_share_of_malignant_slices() -> None:
    by_detector = FusionConfig(tau=0.3, lambda_detector=1.0, lambda_sequence=0.0, lambda_age=0.0)

    patient = read_patient([read_sequence([[malignant(0.9)], [benign(0.9)], [benign(0.8)]], None, None, by_detector)])

    assert patient.vote_fraction_malignant == pytest.approx(1 / 3)


def test_a_patient_without_any_detection_has_no_decision() -> None:
    patient = read_patient([read_sequence([[], []], None, 0.5, FUSION)])

    assert patient.vote is None
    assert patient.vote_fraction_malignant is None


def test_the_calibration_comes_before_the_votes() -> None:
    sure = FusionConfig(tau=0.3, lambda_detector=1.0, lambda_sequence=0.0, lambda_age=0.0)
    doubted = replace(sure, calibration_intercept=-3.0)
    found = [[malignant(0.6), benign(0.4, LARGE)], [malignant(0.9)]]

    before, after = (read_sequence(found, None, None, fusion) for fusion in (sure, doubted))

    assert [s.verdict for s in before.slices] == [Verdict.MALIGNANT, Verdict.MALIGNANT]
    assert [s.verdict for s in after.slices] == [Verdict.BENIGN, Verdict.MALIGNANT]
    assert after.slices[0].detector_probability == before.slices[0].detector_probability
    assert after.vote is not None
    assert after.vote.tie
    assert after.vote.mean == pytest.approx(sum(s.probability_malignant for s in after.slices) / 2)
