from pathlib import Path

import pytest

from inference.age import parse_age, patient_age_years
from inference.heads import InstanceHead


def head(age: str = "", born: str = "", studied: str = "20200615") -> InstanceHead:
    return InstanceHead(file=Path("x"), patient_age=age, patient_birth_date=born, study_date=studied)


@pytest.mark.parametrize(
    ("text", "years"),
    [("045Y", 45.0), ("018M", 1.5), ("003W", 3 * 7 / 365.25), ("010D", 10 / 365.25), ("64Y", 64.0), (" 007y ", 7.0)],
)
def test_age_strings_keep_their_unit(text: str, years: float) -> None:
    assert parse_age(text) == pytest.approx(years)


@pytest.mark.parametrize("text", ["", "***", "64", "0045Y", "045X", "-45Y", "4.5Y", "000Y", "999Y", "045Y045Y", "045"])
def test_nonsense_is_no_age(text: str) -> None:
    assert parse_age(text) is None


def test_without_an_age_string_the_dates_are_taken() -> None:
    assert patient_age_years([head(born="19800615")]) == 40.0


def test_the_age_changes_on_the_birthday_and_not_a_day_earlier() -> None:
    day_before = patient_age_years([head(born="19800616")])

    assert day_before is not None
    assert 39.99 < day_before < 40.0


def test_born_on_29_february_has_a_birthday_in_common_years() -> None:
    assert patient_age_years([head(born="20000229", studied="20190301")]) == 19.0


def test_dotted_dates_of_old_scanners_are_read() -> None:
    assert patient_age_years([head(born="1956.06.11", studied="1996.06.11")]) == 40.0


def test_zero_years_is_not_entered_when_the_dates_say_otherwise() -> None:
    assert patient_age_years([head(age="000Y", born="19800615")]) == 40.0


def test_zero_years_without_dates_is_unknown() -> None:
    assert patient_age_years([head(age="000Y")]) is None


def test_a_newborn_is_known_by_its_dates() -> None:
    age = patient_age_years([head(age="000Y", born="20200415")])

    assert age == pytest.approx(61 / 365.25)


@pytest.mark.parametrize("born", ["19000101", "19010101", "20210101", "18500304", "1980", "00000000", "19801340"])
def test_placeholders_and_impossible_dates_are_unknown(born: str) -> None:
    assert patient_age_years([head(born=born)]) is None


def test_no_image_no_age() -> None:
    assert patient_age_years([]) is None


def test_images_that_say_nothing_do_not_outvote_one_that_does() -> None:
    assert patient_age_years([head(), head(age="045Y"), head(age="***")]) == 45.0


def test_a_birthday_between_two_studies_is_no_disagreement() -> None:
    assert patient_age_years([head(age="045Y"), head(age="046Y"), head(age="046Y")]) == 46.0


def test_images_that_disagree_by_years_make_the_age_unknown() -> None:
    assert patient_age_years([head(age="045Y"), head(age="054Y")]) is None


def test_the_birth_date_is_not_in_the_representation_that_a_log_could_print() -> None:
    assert "1980" not in repr(head(born="19800615"))
