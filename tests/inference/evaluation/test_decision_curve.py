import pytest

from inference.evaluation.decision_curve import decision_curve

PROBABILITIES, TRUTH = [0.9, 0.6, 0.2], [True, False, True]


def test_net_benefit_weighs_false_alarms_by_the_odds_of_the_threshold() -> None:
    """At .5 one right and one false alarm cancel; at .75 one right alone, at .1 two right less 1/9 of one."""
    curve = decision_curve(PROBABILITIES, TRUTH, thresholds=(0.1, 0.5, 0.75))

    assert curve.model == pytest.approx(((2 - 1 / 9) / 3, 0.0, 1 / 3))


def test_acting_on_everybody_depends_on_the_threshold_alone() -> None:
    curve = decision_curve(PROBABILITIES, TRUTH, thresholds=(0.1, 0.5, 0.75))

    assert curve.treat_all == pytest.approx(((2 - 1 / 9) / 3, (2 - 1) / 3, (2 - 3) / 3))


def test_a_patient_at_the_threshold_is_acted_on() -> None:
    at, above = (decision_curve([0.6], [True], thresholds=(t,)).model[0] for t in (0.6, 0.61))

    assert (at, above) == (1.0, 0.0)


def test_the_curve_goes_from_one_to_ninety_nine_per_cent() -> None:
    curve = decision_curve(PROBABILITIES, TRUTH)

    assert (curve.thresholds[0], curve.thresholds[-1], len(curve.thresholds)) == (0.01, 0.99, 99)
    assert len(curve.model) == len(curve.treat_all) == 99
