"""Studies and finished reports, made once for all tests of this folder; tests must not change them."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from node.report import ReportObject, build_report
from tests.node.report.report_sources import Study, classic_study, context_of, enhanced_study, findings_of

Report = list[ReportObject]

VERDICTS = ("benign", "malignant", "tie", "negative", "not_analysed")
STYLES = ("classic", "enhanced")


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
    beside = Path(__file__).parents[4] / "shared" / "data"
    folder = Path(os.environ.get("SPINENODE_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no shared test data at {folder}; set SPINENODE_TEST_DATA")
    return folder
