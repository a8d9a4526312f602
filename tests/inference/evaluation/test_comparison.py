import math
from itertools import chain, repeat

import numpy as np
import pytest

from inference.evaluation.comparison import CORRECTED, EXACT, area_with_delong, compare_areas, mcnemar

# Hanley and McNeil 1982, Radiology 143:29, table I: ratings 1..5 of 58 normal and 51 abnormal CT images. Area and
# standard error by DeLong's formula as published with them in the Stata manual, [R] roctab: .8932, .0307
RATINGS = ((33, 3), (6, 2), (6, 2), (11, 11), (2, 33))
SCORES = [float(n) for n, (normal, abnormal) in enumerate(RATINGS, 1) for _ in range(normal + abnormal)]
ABNORMAL = list(chain.from_iterable([*repeat(False, normal), *repeat(True, abnormal)] for normal, abnormal in RATINGS))


def delong_by_definition(
    first: list[float], second: list[float], truth: list[bool]
) -> tuple[list[float], list[list[float]]]:
    """Equations 1 to 5 of DeLong 1988 as they stand: all pairs, then placements, then covariances."""
    placements = []
    for scores in (first, second):
        malignant = [s for s, true in zip(scores, truth, strict=True) if true]
        benign = [s for s, true in zip(scores, truth, strict=True) if not true]
        psi = [[1.0 if x > y else 0.5 if x == y else 0.0 for y in benign] for x in malignant]
        placements.append((np.mean(psi, axis=1), np.mean(psi, axis=0)))
    areas = [float(v10.mean()) for v10, _ in placements]

    def covariance(a: int, b: int) -> float:
        parts = []
        for side in (0, 1):
            x, y = placements[a][side], placements[b][side]
            parts.append(sum((x - areas[a]) * (y - areas[b])) / (len(x) - 1) / len(x))
        return float(sum(parts))

    return areas, [[covariance(a, b) for b in (0, 1)] for a in (0, 1)]


def test_the_interval_of_a_published_area_is_the_published_one() -> None:
    found = area_with_delong(SCORES, ABNORMAL)

    assert found.value == pytest.approx(0.8932, abs=5e-5)
    assert (found.low, found.high) == pytest.approx((0.83295, 0.95339), abs=1e-4)


def test_the_variance_of_an_area_is_that_of_a_count_by_hand() -> None:
    """Of 9 pairs 8 are in order; placements 1, 2/3, 1 on both sides: variance 2 x (1/27) / 3."""
    found = area_with_delong([0.9, 0.4, 0.8, 0.1, 0.5, 0.3], [True, True, True, False, False, False])

    half = 1.959964 * math.sqrt(2 / 81)
    assert found.value == pytest.approx(8 / 9)
    assert found.low == pytest.approx(8 / 9 - half, abs=1e-6)
    assert found.high == 1.0


def test_the_test_of_two_areas_follows_the_definition_by_pairs() -> None:
    rng = np.random.default_rng(4)
    truth = [bool(n % 3 == 0) for n in range(60)]
    first = [round(float(rng.normal(1.2 * true)), 1) for true in truth]  # rounded: ties
    second = [round(float(s + rng.normal(0.0, 1.0)), 1) for s in first]
    (a, b), ((va, c), (_, vb)) = delong_by_definition(first, second, truth)

    found = compare_areas(("first", first), ("second", second), truth)

    z = (a - b) / math.sqrt(va + vb - 2 * c)
    assert found.difference.value == pytest.approx(a - b)
    assert found.z == pytest.approx(z)
    assert found.p_value == pytest.approx(math.erfc(abs(z) / math.sqrt(2)))
    assert found.difference.low == pytest.approx(a - b - 1.959964 * math.sqrt(va + vb - 2 * c), abs=1e-6)


def test_a_model_does_not_differ_from_itself() -> None:
    found = compare_areas(("one", SCORES), ("same", SCORES), ABNORMAL)

    assert (found.difference.value, found.z, found.p_value) == (0.0, 0.0, 1.0)


def test_one_patient_of_a_class_has_no_variance() -> None:
    with pytest.raises(ValueError, match="two patients of each class, got 1 and 2"):
        area_with_delong([0.1, 0.2, 0.9], [False, False, True])


def pairs(only_first: int, only_second: int, both: int = 7) -> tuple[list[bool], list[bool]]:
    first = [True] * only_first + [False] * only_second + [True] * both
    second = [False] * only_first + [True] * only_second + [True] * both
    return first, second


def test_few_differing_patients_are_tested_exactly() -> None:
    """One against five of six coin tosses: 2 x (1 + 6) / 64."""
    found = mcnemar(*pairs(1, 5))

    assert (found.only_first_right, found.only_second_right, found.method) == (1, 5, EXACT)
    assert found.p_value == pytest.approx(14 / 64)


def test_many_differing_patients_are_tested_with_the_continuity_correction() -> None:
    """(|5 - 20| - 1)^2 / 25 = 7.84, the square of 2.8: two-sided p .00511."""
    found = mcnemar(*pairs(5, 20))

    assert found.method == CORRECTED
    assert found.p_value == pytest.approx(math.erfc(2.8 / math.sqrt(2)))
    assert found.p_value == pytest.approx(0.00511, abs=1e-5)


@pytest.mark.parametrize(("only_second", "method"), [(19, EXACT), (20, CORRECTED)])
def test_twenty_five_differing_patients_are_many(only_second: int, method: str) -> None:
    assert mcnemar(*pairs(5, only_second)).method == method


def test_as_many_rights_on_either_side_are_no_difference() -> None:
    """13 against 13: the correction goes to b = c, not past it."""
    found = mcnemar(*pairs(13, 13))

    assert (found.method, found.p_value) == (CORRECTED, 1.0)


def test_areas_that_differ_without_any_variance_have_no_test() -> None:
    """One parts the classes wholly, the other says the same of all: no placement varies."""
    found = compare_areas(("whole", [0.1, 0.1, 0.9, 0.9]), ("none", [0.5] * 4), [False, False, True, True])

    assert found.difference.value == 0.5
    assert (found.z, found.p_value) == (None, None)


def test_two_who_never_differ_are_equal() -> None:
    assert mcnemar(*pairs(0, 0)).p_value == 1.0
