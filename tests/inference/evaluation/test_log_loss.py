import math

import pytest

from inference.evaluation.log_loss import log_loss


def test_the_log_loss_is_the_mean_surprise() -> None:
    assert log_loss([0.8, 0.4], [True, False]) == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)


def test_a_wrong_certainty_costs_much_but_not_everything() -> None:
    assert log_loss([0.0], [True]) == pytest.approx(-math.log(1e-3))


@pytest.mark.parametrize(("said", "truth"), [([], []), ([0.5], [True, False])])
def test_patients_without_a_pair_of_values_are_refused(said: list[float], truth: list[bool]) -> None:
    with pytest.raises(ValueError, match="need one of each, at least one"):
        log_loss(said, truth)
