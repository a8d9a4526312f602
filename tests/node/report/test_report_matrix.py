"""No validator finds a fault in any object of any report: verdict x kind of images x character set.

PixelMed needs seconds for each document; here it judges every verdict and kind of images in one character set, and
every character set with one verdict. `make validate` lets it judge the whole matrix.
"""

from pathlib import Path

import pytest

from tests.node.report.character_sets import SCRIPTS
from tests.node.report.report_matrix import STYLES, VERDICTS, Cell, errors_of, missing_tools, write_cell
from tests.node.report.report_sources import Study
from tests.validators import explained, pixelmed

pytestmark = [
    pytest.mark.skipif(bool(missing_tools()), reason=f"not installed: {', '.join(missing_tools())}"),
    # Sources that say nothing, or something wrong, about their characters belong to the matrix
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
]
needs_pixelmed = pytest.mark.skipif(
    not pixelmed.installed(), reason="PixelMed or a JDK is not installed (libpixelmed-java, openjdk-17-jdk-headless)"
)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("style", STYLES)
def test_no_validator_finds_an_error(
    studies: dict[str, Study], tmp_path: Path, style: str, verdict: str, script: str
) -> None:
    files = write_cell(Cell(style, verdict, script), studies, tmp_path)

    assert errors_of(files) == []


@needs_pixelmed
@pytest.mark.parametrize("style", STYLES)
def test_pixelmed_finds_no_error_in_any_verdict(studies: dict[str, Study], tmp_path: Path, style: str) -> None:
    cells = [Cell(style, verdict, "latin_1") for verdict in VERDICTS]

    assert complaints(cells, studies, tmp_path) == {}


@needs_pixelmed
def test_pixelmed_finds_no_error_in_any_character_set(studies: dict[str, Study], tmp_path: Path) -> None:
    cells = [Cell("enhanced", "negative", script) for script in SCRIPTS]

    assert complaints(cells, studies, tmp_path) == {}


@needs_pixelmed
def test_every_explanation_of_a_validators_fault_is_still_needed(studies: dict[str, Study], tmp_path: Path) -> None:
    explained.explanations.used.clear()
    scripts = ("japanese", "gbk", "utf_8")
    reports = [write_cell(Cell("classic", "malignant", script), studies, tmp_path) for script in scripts]

    for report in reports:
        errors_of(report)
    pixelmed.errors_of(reports[0].documents)

    assert set(explained.EXPLAINED) - explained.explanations.used == set()


def complaints(cells: list[Cell], studies: dict[str, Study], folder: Path) -> dict[str, list[str]]:
    documents = [path for cell in cells for path in write_cell(cell, studies, folder).documents]
    assert len(documents) >= len(cells)
    return {path.name: found for path, found in pixelmed.errors_of(documents).items() if found}
