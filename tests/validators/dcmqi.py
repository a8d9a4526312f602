"""dcmqi reads a TID 1500 report as measurement groups, and a segmentation as labels."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.validators.explained import unexplained
from tests.validators.tool import run

_READER: Final = Path(sys.executable).with_name("tid1500reader")


def installed() -> bool:
    return _READER.is_file()


def errors_of(path: Path, groups: int) -> list[str]:
    """Complaints about a structured report, which has to have this many measurement groups."""
    with TemporaryDirectory() as folder:
        page = Path(folder) / "report.json"
        status, lines = run(_READER, "--inputDICOM", path, "--outputMetadata", page)
        errors = [line for line in lines if "error" in line.lower() or "fatal" in line.lower()]
        if status or not page.is_file():
            return unexplained("dcmqi", errors or [f"tid1500reader ended with {status}: {lines[-1:]}"])
        read = len(json.loads(page.read_text(encoding="utf-8")).get("Measurements") or ())
    if read != groups:
        errors.append(f"{read} measurement groups read, {groups} written")
    return unexplained("dcmqi", errors)
