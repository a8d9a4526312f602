import pytest

from inference.findings import Verdict
from inference.wff.age import REFERENCE_TABLE, AgeTable, age_bin, fit_age_table


@pytest.mark.parametrize(
    ("age", "expected"), [(0, 0), (1.5, 0), (10, 0), (10.9, 0), (11, 1), (80, 7), (81, 8), (91, 9), (104, 9)]
)
def test_age_bins_hold_completed_years_one_to_ten(age: float, expected: int) -> None:
    assert age_bin(age) == expected


@pytest.mark.parametrize("age", [-1.0, float("nan")])
def test_a_nonsense_age_is_refused_instead_of_falling_into_the_oldest_bin(age: float) -> None:
    with pytest.raises(ValueError, match="pass None"):
        age_bin(age)


def test_an_unknown_age_has_no_probability() -> None:
    assert AgeTable().probability(None) is None


def test_the_reference_table_answers_by_bin() -> None:
    assert AgeTable().probability(45) == REFERENCE_TABLE[4] == 0.489


def test_a_fitted_table_never_says_zero_or_one_and_an_empty_bin_says_one_half() -> None:
    table = fit_age_table([85.0, 86.0, 15.0], [Verdict.MALIGNANT, Verdict.MALIGNANT, Verdict.BENIGN])

    assert table.probability(85) == pytest.approx(3 / 4)
    assert table.probability(15) == pytest.approx(1 / 3)
    assert table.probability(50) == 0.5


def test_a_table_of_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="10 probabilities"):
        AgeTable((0.5,) * 9)
