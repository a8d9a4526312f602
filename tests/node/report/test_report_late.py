"""An answer that took long says so."""

import pytest

from config.settings import ReportSettings
from node.report import build_report
from tests.node.report.report_sources import Study, context_of, findings_of
from tests.node.report.test_report_structured import items, number, texts

HOUR = 3600.0


@pytest.mark.parametrize("verdict", ["malignant", "negative", "not_analysed"])
def test_a_late_answer_says_how_late_it_is(studies: dict[str, Study], verdict: str) -> None:
    study = studies["classic"]
    context = context_of(study, waited_s=5.5 * HOUR, settings=ReportSettings(objects=()))

    sr = build_report(findings_of(study, verdict), study.images, context)[0].dataset

    assert "Late answer: analysed 5.5 hours after the last image came." in texts(sr)
    (delay,) = items(sr, "Time from the last image to the analysis, where it was long")
    assert number(delay) == 330
    assert delay.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "min"


def test_an_answer_in_time_says_nothing_about_it(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    context = context_of(study, waited_s=0.5 * HOUR, settings=ReportSettings(objects=()))

    sr = build_report(findings_of(study, "malignant"), study.images, context)[0].dataset

    assert "Late answer" not in texts(sr)


def test_a_site_says_what_is_late(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    context = context_of(study, waited_s=0.5 * HOUR, settings=ReportSettings(objects=(), late_after_s=60.0))

    sr = build_report(findings_of(study, "malignant"), study.images, context)[0].dataset

    assert "Late answer: analysed 30 minutes after the last image came." in texts(sr)


def test_the_summary_picture_shows_that_the_answer_is_late(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    settings = ReportSettings(objects=("summary",))

    in_time, late = (
        build_report(findings_of(study, "negative"), study.images, context_of(study, waited_s=s, settings=settings))
        for s in (0.0, 5 * HOUR)
    )

    assert late[1].dataset.Rows > in_time[1].dataset.Rows  # one line more
