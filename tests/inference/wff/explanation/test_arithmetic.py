"""The arithmetic of a decision, and what would have changed it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from inference.findings import Box, Verdict
from inference.wff.age import REFERENCE_TABLE
from inference.wff.config import FusionConfig
from inference.wff.explanation.arithmetic import Evidence, SequenceEvidence, TermName, explain
from inference.wff.explanation.what_ifs import Change, Outcome, WhatIf, WhatIfs, what_ifs
from inference.wff.reading import ClipReading, DetectedBox

ALL = FusionConfig(tau=0.3, lambda_detector=0.45, lambda_sequence=0.45, lambda_age=0.1)
BOX = Box(x0=1, y0=1, x1=9, y1=9)


def sequence(*malignant: float | None, said: float = 0.5) -> SequenceEvidence:
    """A slice per number, whose D it is (None: nothing found there), and a clip with this probability."""
    found = [() if p is None else tuple(boxes(p)) for p in malignant]
    return SequenceEvidence(found, ClipReading(BOX, (0,), said) if any(found) else None)


def boxes(p: float) -> list[DetectedBox]:
    pair = [DetectedBox(BOX, Verdict.MALIGNANT, 0.9 * p), DetectedBox(BOX, Verdict.BENIGN, 0.9 * (1 - p))]
    return [box for box in pair if box.score > 0.0]


def evidence(*sequences: SequenceEvidence, age: float | None = 0.489, fusion: FusionConfig = ALL) -> Evidence:
    return Evidence(sequences, age, fusion)


def asked(given: Evidence, table: Sequence[float] = REFERENCE_TABLE) -> WhatIfs:
    """At another threshold the clips of these sequences stay what they are."""
    return what_ifs(given, at_tau=lambda tau: replace(given, fusion=replace(given.fusion, tau=tau)), age_table=table)


def changed(told: WhatIfs, change: Change) -> dict[TermName | int | float, WhatIf]:
    return {one.subject: one for one in told.changes if one.change is change}


def test_the_terms_of_an_image_are_those_of_the_equation_and_add_up_to_its_probability() -> None:
    given = evidence(sequence(0.2, said=0.9))  # the golden numbers of the specification

    (image,) = explain(given).sequences[0].images

    assert [(term.name, term.weight) for term in image.terms] == [
        (TermName.DETECTOR, 0.45),
        (TermName.SEQUENCE, 0.45),
        (TermName.AGE, 0.1),
    ]
    assert [term.value for term in image.terms] == pytest.approx([0.2, 0.9, 0.489])
    assert [term.contribution for term in image.terms] == pytest.approx([0.09, 0.405, 0.0489])
    assert (image.normaliser, image.fused) == (pytest.approx(1.0), pytest.approx(0.5439))
    assert image.verdict is Verdict.MALIGNANT


def test_an_unknown_age_contributes_nothing_and_leaves_the_normaliser() -> None:
    (image,) = explain(evidence(sequence(0.2, said=0.9), age=None)).sequences[0].images

    assert (image.terms[2].value, image.terms[2].contribution) == (None, 0.0)
    assert image.normaliser == pytest.approx(0.9)
    assert sum(term.contribution for term in image.terms) == pytest.approx(image.fused)


def test_a_calibrated_probability_stands_beside_the_fused_one() -> None:
    calibrated = replace(ALL, calibration_slope=2.0, calibration_intercept=-1.0)

    (image,) = explain(evidence(sequence(0.2, said=0.9), fusion=calibrated)).sequences[0].images

    assert image.fused == pytest.approx(0.5439)
    assert image.probability < image.fused
    assert image.verdict is Verdict.BENIGN


def test_votes_are_counted_over_the_images_that_vote_and_the_sequences_that_do_not_abstain() -> None:
    told = explain(evidence(sequence(0.9, None, 0.8, 0.1), sequence(None, None), sequence(0.7, said=0.9)))

    first, silent, _ = told.sequences
    assert (first.slices, [image.index for image in first.images]) == (4, [0, 2, 3])
    assert (first.votes.malignant, first.votes.benign, first.votes.tie) == (2, 1, False)
    assert (silent.votes.verdict, silent.votes.mean, silent.images) == (None, None, ())
    assert (told.votes.malignant, told.votes.benign, told.votes.verdict) == (2, 0, Verdict.MALIGNANT)


def test_a_tie_is_told_with_the_mean_that_broke_it() -> None:
    told = explain(evidence(sequence(1.0, said=1.0), sequence(0.1, said=0.2)))

    assert (told.votes.malignant, told.votes.benign, told.votes.tie) == (1, 1, True)
    assert told.votes.mean == pytest.approx((0.9489 + 0.1839) / 2)
    assert told.votes.verdict is Verdict.MALIGNANT


def test_without_any_vote_there_is_no_verdict_to_explain_but_a_lower_threshold_may_give_one() -> None:
    silent = evidence(sequence(0.9, said=0.9), fusion=replace(ALL, tau=0.85))

    told = asked(silent)

    assert explain(silent).votes.verdict is None
    assert told.decided == Outcome(None, None, tie=False)
    assert (told.age, told.fewest_votes) == (None, None)
    lower = changed(told, Change.THRESHOLD)[0.75]
    assert lower.outcome.verdict is Verdict.MALIGNANT
    assert lower.changes_the_decision


def test_each_voice_left_out_of_the_equation_is_told_with_what_the_others_say() -> None:
    told = asked(evidence(sequence(0.2, said=0.9)))

    without = changed(told, Change.WITHOUT_TERM)

    assert told.decided.verdict is Verdict.MALIGNANT
    assert without[TermName.SEQUENCE].outcome.probability == pytest.approx(0.2525, abs=1e-4)  # golden
    assert without[TermName.SEQUENCE].changes_the_decision
    assert without[TermName.DETECTOR].outcome.probability == pytest.approx((0.405 + 0.0489) / 0.55)
    assert not without[TermName.AGE].changes_the_decision


def test_the_only_voice_of_an_equation_is_not_left_out() -> None:
    alone = replace(ALL, lambda_sequence=0.0, lambda_age=0.0)

    assert changed(asked(evidence(sequence(0.2), fusion=alone)), Change.WITHOUT_TERM) == {}


def test_leaving_out_a_sequence_or_turning_its_vote_is_told_for_each_that_voted() -> None:
    told = asked(evidence(sequence(1.0, said=1.0), sequence(None), sequence(0.1, said=0.2), sequence(0.8, said=0.9)))

    without, turned = changed(told, Change.WITHOUT_SEQUENCE), changed(told, Change.OTHER_VOTE)

    assert set(without) == set(turned) == {0, 2, 3}
    assert not without[2].changes_the_decision
    assert without[0].outcome.tie
    assert turned[0].outcome.verdict is Verdict.BENIGN
    assert turned[0].changes_the_decision
    assert told.fewest_votes == 1


def test_three_of_three_votes_need_two_others_to_be_turned_over() -> None:
    one = sequence(0.9, said=0.9)

    assert asked(evidence(one, one, one)).fewest_votes == 2


def test_the_turning_point_of_the_age_is_where_the_decision_turns_and_no_sooner() -> None:
    given = evidence(sequence(0.4, said=0.55), age=0.3)

    told = asked(given)

    assert told.decided.verdict is Verdict.BENIGN
    assert told.age is not None
    assert told.age.turning_point == pytest.approx(0.725, abs=1e-6)  # .45 x .4 + .45 x .55 + .1 x A = .5
    assert [group.verdict for group in told.age.groups] == [
        Verdict.MALIGNANT if probability >= 0.725 else Verdict.BENIGN for probability in REFERENCE_TABLE
    ]


@pytest.mark.parametrize(("d", "verdict"), [(0.9, Verdict.MALIGNANT), (0.1, Verdict.BENIGN)])
def test_where_the_age_weighs_too_little_no_age_turns_the_decision(d: float, verdict: Verdict) -> None:
    told = asked(evidence(sequence(d, said=d)))

    assert told.decided.verdict is verdict
    assert told.age is not None
    assert told.age.turning_point is None


def test_of_a_patient_of_unknown_age_every_age_group_is_told() -> None:
    told = asked(evidence(sequence(0.4, said=0.55), age=None))

    assert told.age is not None
    assert told.age.turning_point is None
    assert {group.verdict for group in told.age.groups} == {Verdict.BENIGN, Verdict.MALIGNANT}


def test_an_age_without_weight_is_not_asked() -> None:
    assert asked(evidence(sequence(0.4), fusion=replace(ALL, lambda_age=0.0))).age is None


def test_other_thresholds_stay_between_nothing_and_everything() -> None:
    low = evidence(sequence(0.9), fusion=replace(ALL, tau=0.05))

    assert list(changed(asked(low), Change.THRESHOLD)) == [0.1, 0.15, 0.25]


def test_a_threshold_above_every_box_leaves_no_lesion() -> None:
    told = asked(evidence(sequence(0.9), fusion=replace(ALL, tau=0.75)))

    above = changed(told, Change.THRESHOLD)[0.95]

    assert above.outcome == Outcome(None, None, tie=False)
    assert above.changes_the_decision
