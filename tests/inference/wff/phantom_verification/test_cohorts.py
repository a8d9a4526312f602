"""Nothing but the lesions tells the parts of a verification apart."""

from itertools import combinations

import pytest

from inference.datasets import SpineRegion
from inference.wff.phantom_verification.cohorts import (
    AWAY,
    HELD_OUT,
    LOOK,
    PLAIN,
    TRAINING,
    TUNING,
    UNSEEN_LOOK,
    phantom_set,
)
from inference.wff.phantom_verification.scale import real_scale

SCALE = real_scale(seed=1)


@pytest.mark.parametrize("part", [TRAINING, TUNING, HELD_OUT, AWAY])
def test_the_region_of_the_look_that_is_left_out_is_left_out_too(part: str) -> None:
    """What is left of it is mostly benign: the region would tell the verdict without a lesion being seen."""
    drawn = phantom_set(SCALE, part, 120, PLAIN).truths().values()

    assert SpineRegion.SACRAL not in {truth.region for truth in drawn}
    assert UNSEEN_LOOK not in {truth.look for truth in drawn}


def test_the_unseen_look_lies_in_its_region_alone() -> None:
    drawn = phantom_set(SCALE, LOOK, 30, PLAIN).truths().values()

    assert {truth.region for truth in drawn} == {SpineRegion.SACRAL}
    assert {truth.look for truth in drawn} == {UNSEEN_LOOK}


def test_no_patient_is_in_two_parts() -> None:
    parts = [set(phantom_set(SCALE, part, 25, PLAIN).truths()) for part in (TRAINING, TUNING, HELD_OUT, AWAY, LOOK)]

    assert all(parts)
    assert not any(one & other for one, other in combinations(parts, 2))
