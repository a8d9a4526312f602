from dataclasses import replace

import pytest

from inference.wff.config import FusionConfig
from inference.wff.evaluation.strategies import OWN, deciding_strategy, strategies_of, weights_of

PUBLISHED = {
    "Det": (0.45, 0.0, 0.0),
    "Det-Age": (0.45, 0.0, 0.1),
    "Seq": (0.0, 0.45, 0.0),
    "Seq-Age": (0.0, 0.45, 0.1),
    "Det-Seq": (0.45, 0.45, 0.0),
    "Det-Seq-Age": (0.45, 0.45, 0.1),
}


def test_the_six_strategies_have_the_weights_of_the_paper_and_the_threshold_of_the_bundle() -> None:
    rows = strategies_of(FusionConfig(tau=0.6))

    assert {name: weights_of(fusion) for name, fusion in rows.items()} == PUBLISHED
    assert {fusion.tau for fusion in rows.values()} == {0.6}


def test_a_bundle_with_other_weights_has_a_row_of_its_own() -> None:
    own = FusionConfig(lambda_detector=0.0, lambda_sequence=0.8, lambda_age=0.2)

    rows = strategies_of(own)

    assert list(rows) == [*PUBLISHED, OWN]
    assert rows[OWN] == own
    assert deciding_strategy(own) == OWN


@pytest.mark.parametrize(
    ("weights", "name"),
    [((0.9, 0.9, 0.2), "Det-Seq-Age"), ((0.5, 0.5, 0.0), "Det-Seq"), ((1.0, 0.0, 0.0), "Det")],
)
def test_weights_in_the_ratio_of_a_published_strategy_are_that_strategy(
    weights: tuple[float, float, float], name: str
) -> None:
    detector, sequence, age = weights
    own = FusionConfig(lambda_detector=detector, lambda_sequence=sequence, lambda_age=age)

    assert deciding_strategy(own) == name
    assert list(strategies_of(own)) == list(PUBLISHED)


def test_a_calibrated_bundle_is_a_row_of_its_own_and_the_six_stay_uncalibrated() -> None:
    own = replace(FusionConfig(), calibration_slope=2.0)

    rows = strategies_of(own)

    assert rows[OWN].is_calibrated
    assert not any(rows[name].is_calibrated for name in PUBLISHED)
