"""Studies and finished reports, made once for all tests of this folder; tests must not change them."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import structlog

from node.report import ReportObject, build_report
from tests.node.report.report_sources import Study, classic_study, context_of, enhanced_study, findings_of
from tests.real_data import NO_SHARED_DATA, SHARED_DATA

Report = list[ReportObject]

VERDICTS = ("benign", "malignant", "tie", "negative", "not_analysed")
STYLES = ("classic", "enhanced")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """An object that cannot be made logs a traceback with all values of a data set, which takes seconds to print."""
    with structlog.testing.capture_logs():
        yield


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Study]:
    return {
        "classic": classic_study(tmp_path_factory.mktemp("classic")),
        "enhanced": enhanced_study(tmp_path_factory.mktemp("enhanced")),
    }


@pytest.fixture(scope="session")
def report(studies: dict[str, Study]) -> Callable[[str, str], Report]:
    """report(style, verdict): the objects of one cell of the matrix."""

    @cache
    def build(style: str, verdict: str) -> Report:
        study = studies[style]
        return build_report(findings_of(study, verdict), study.images, context_of(study))

    return build


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip(NO_SHARED_DATA)
    return SHARED_DATA
