"""Settings of the report objects that could make a report say what it does not mean are refused."""

import pytest
from pydantic import ValidationError

from config.reporting import ReportSettings


@pytest.mark.parametrize("word", ["benign", "Malignant", "no lesion", "NOT ANALYSED"])
def test_a_verdict_in_the_series_description_of_every_report_is_refused(word: str) -> None:
    with pytest.raises(ValidationError, match=r"may stand there as \{verdict\} alone"):
        ReportSettings(series_description=f"AI {word} filter {{object}}")


@pytest.mark.parametrize("description", ["{model} {object} - {verdict}", "AI spine", "{verdict}", "nonmalignantly"])
def test_the_sites_own_words_are_taken(description: str) -> None:
    assert ReportSettings(series_description=description).series_description == description


@pytest.mark.parametrize("description", ["", "   ", "{patient}", "a\\b", "line\nline", "x" * 65])
def test_what_cannot_be_a_series_description_is_refused(description: str) -> None:
    with pytest.raises(ValidationError, match="series_description"):
        ReportSettings(series_description=description)


def test_a_note_of_spaces_is_none() -> None:
    assert ReportSettings(institution_note="  ").institution_note == ""


@pytest.mark.parametrize("note", ["\t", "one\ntwo", "\x00", "\x1b"])
def test_a_note_is_one_printable_line(note: str) -> None:
    with pytest.raises(ValidationError, match="one line of printable characters"):
        ReportSettings(institution_note=note)
