"""No validator finds a fault in any object of any report: verdict x kind of images x character set.

PixelMed needs seconds to start and one or two for each document; here it judges every verdict, both kinds of images and
some character sets. `make validate` lets it judge the whole matrix.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from tests.node.report.conftest import STYLES
from tests.node.report.report_matrix import CELLS, VALIDATORS, Cell, CellFiles, write_cell
from tests.node.report.report_sources import Study
from tests.validators import explained, pixelmed

WHOLE_MATRIX: Final = bool(os.environ.get("SPINENODE_TEST_WHOLE_MATRIX"))
SOME_CELLS: Final = (
    Cell("classic", "malignant", "japanese"),
    Cell("enhanced", "malignant", "latin_1"),
    Cell("enhanced", "benign", "cyrillic"),
    Cell("classic", "tie", "gb18030"),
    Cell("enhanced", "negative", "utf_8"),
    Cell("classic", "not_analysed", "korean"),
)
# A foreign alphabet, a set that validators of 2022 do not know, and letters beyond ASCII everywhere
EXPLAINED_CELLS: Final = tuple(Cell("classic", "malignant", script) for script in ("japanese", "gbk", "utf_8"))

# Sources that say nothing, or something wrong, about their characters belong to the matrix
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
needs_pixelmed = pytest.mark.skipif(
    not pixelmed.installed(), reason="PixelMed or a JDK is not installed (libpixelmed-java, default-jdk-headless)"
)
each_validator = pytest.mark.parametrize(
    "validator",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(not one.installed(), reason=f"{name} is not installed ({one.packages})"),
        )
        for name, one in VALIDATORS.items()
    ],
)


@pytest.fixture(scope="module", params=CELLS, ids=str)
def cell(request: pytest.FixtureRequest) -> Cell:
    found: Cell = request.param
    return found


@pytest.fixture(scope="module")
def files(cell: Cell, studies: dict[str, Study]) -> Iterator[CellFiles]:
    """Made once for all validators, and removed before the next: the whole matrix would fill gigabytes."""
    with TemporaryDirectory() as folder:
        yield write_cell(cell, studies, Path(folder))


@pytest.fixture(scope="module")
def explained_reports(studies: dict[str, Study], tmp_path_factory: pytest.TempPathFactory) -> list[CellFiles]:
    folder = tmp_path_factory.mktemp("explained")
    return [write_cell(cell, studies, folder) for cell in EXPLAINED_CELLS]


@dataclass(frozen=True, slots=True)
class Judgement:
    errors: Mapping[str, list[str]]  # by name of the document's file, those with errors
    explained: frozenset[explained.Explained]  # what else it said


@pytest.fixture(scope="module")
def judged_by_pixelmed(studies: dict[str, Study], tmp_path_factory: pytest.TempPathFactory) -> Judgement:
    return pixelmeds_judgement(SOME_CELLS, studies, tmp_path_factory.mktemp("pixelmed"))


def pixelmeds_judgement(cells: Iterable[Cell], studies: dict[str, Study], folder: Path) -> Judgement:
    """Of all documents of these cells, in one Java machine."""
    explained.explanations.used.clear()
    documents: list[Path] = []
    for cell in cells:
        files = write_cell(cell, studies, folder, beside=("key_objects",))
        assert len(files.documents) == cell.kinds["sr"] + cell.kinds.get("key_objects", 0)
        documents += files.documents
    errors = {path.name: found for path, found in pixelmed.errors_of(documents).items() if found}
    return Judgement(errors, frozenset(explained.explanations.used))


def test_the_report_has_exactly_the_objects_that_the_verdict_asks_for(cell: Cell, files: CellFiles) -> None:
    assert files.kinds == cell.kinds


@each_validator
def test_no_validator_finds_an_error(files: CellFiles, validator: str) -> None:
    assert VALIDATORS[validator].errors_of(files) == []


@each_validator
def test_every_explanation_of_a_validators_fault_is_still_needed(
    explained_reports: list[CellFiles], validator: str
) -> None:
    explained.explanations.used.clear()

    for files in explained_reports:
        VALIDATORS[validator].errors_of(files)

    assert explanations_of(validator) - explained.explanations.used == set()


@needs_pixelmed
def test_pixelmed_finds_no_error_in_any_verdict(judged_by_pixelmed: Judgement) -> None:
    assert judged_by_pixelmed.errors == {}


@needs_pixelmed
def test_every_explanation_of_a_fault_of_pixelmed_is_still_needed(judged_by_pixelmed: Judgement) -> None:
    assert explanations_of("pixelmed") - judged_by_pixelmed.explained == set()


@needs_pixelmed
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not WHOLE_MATRIX, reason="takes some minutes; `make validate` asks for it")
@pytest.mark.parametrize("style", STYLES)
def test_pixelmed_finds_no_error_in_the_whole_matrix(studies: dict[str, Study], tmp_path: Path, style: str) -> None:
    cells = [cell for cell in CELLS if cell.style == style]

    assert pixelmeds_judgement(cells, studies, tmp_path).errors == {}


def explanations_of(validator: str) -> set[explained.Explained]:
    return {one for one in explained.EXPLAINED if one.validator == validator}
