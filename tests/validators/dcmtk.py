"""DCMTK reads structured reports item by item, as XML by its schema, and tests presentation states."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pydicom import dcmread
from pydicom.uid import (
    Comprehensive3DSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
)

from tests.validators.explained import unexplained
from tests.validators.tool import run

_SCHEMA: Final = Path("/usr/share/dcmtk/dsr2xml.xsd")
_DOCUMENTS: Final = (Comprehensive3DSRStorage, KeyObjectSelectionDocumentStorage)
_COMPLAINS: Final = ("W:", "E:", "F:")  # warning, error, fatal


def installed() -> bool:
    return _SCHEMA.is_file() and all(shutil.which(tool) for tool in ("dsrdump", "dsr2xml", "dcmpschk", "xmllint"))


def errors_of(path: Path) -> list[str]:
    """Complaints about a document or a presentation state; about another object, whether it can be read to its end."""
    sop_class = dcmread(path, specific_tags=["SOPClassUID"]).SOPClassUID
    if sop_class in _DOCUMENTS:
        return unexplained("dcmtk", [*_complaints("dsrdump", "+Pt", path), *_schema_errors(path)])
    if sop_class == GrayscaleSoftcopyPresentationStateStorage:
        return unexplained("dcmtk", _presentation_state_errors(path))
    return unexplained("dcmtk", _complaints("dcmdump", "+P", "SOPInstanceUID", path))


def _complaints(*command: str | Path) -> list[str]:
    status, lines = run(*command)
    found = [line for line in lines if line.startswith(_COMPLAINS)]
    return found if status == 0 or found else [f"{command[0]} ended with {status}"]


def _schema_errors(path: Path) -> list[str]:
    with TemporaryDirectory() as folder:
        page = Path(folder) / "document.xml"
        complaints = _complaints("dsr2xml", "+U8", "+Xs", "+Xn", path, page)
        if not page.is_file():
            return complaints or ["dsr2xml wrote nothing"]
        status, lines = run("xmllint", "--noout", "--nonet", "--schema", _SCHEMA, page)
        return complaints if status == 0 else [*complaints, *lines]


def _presentation_state_errors(path: Path) -> list[str]:
    """One line per fault, of which dcmpschk makes a paragraph."""
    status, lines = run("dcmpschk", path)
    if status == 0 and lines[-1:] == ["W: Test passed."]:
        return []
    said = " ".join(line.removeprefix("E:").strip() for line in lines if line.startswith(("E:", "F:")))
    faults = [f"dcmpschk: {fault.strip()}" for fault in said.split("Error:") if fault.strip()]
    return faults or [f"dcmpschk ended with {status}: {lines[-1:]}"]
