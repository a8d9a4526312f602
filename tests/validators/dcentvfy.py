"""dcentvfy (dicom3tools) looks at several objects of one study side by side."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from tests.validators.explained import unexplained
from tests.validators.tool import run


def installed() -> bool:
    return shutil.which("dcentvfy") is not None


def errors_of(paths: Iterable[Path]) -> list[str]:
    """Attributes of one patient, study or series that differ between its objects. It says nothing when all agree."""
    _, lines = run("dcentvfy", *paths)
    return unexplained("dcentvfy", lines)
