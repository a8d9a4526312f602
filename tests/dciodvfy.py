"""Asks dciodvfy (dicom3tools) what is wrong with an object."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

DCIODVFY: Final = shutil.which("dciodvfy")
# Faults of the validator, each with its reason; everything else is a fault of the object.
EXPLAINED: Final[dict[str, str]] = {}


def installed() -> bool:
    return DCIODVFY is not None


def errors_of(path: Path) -> list[str]:
    """The unexplained errors. An object that dciodvfy cannot even name counts as one error.

    Its exit status is useless and an unreadable file yields no error line, so the line with the IOD's name has to
    be there.
    """
    assert DCIODVFY is not None
    run = subprocess.run([DCIODVFY, "-new", str(path)], capture_output=True, text=True, timeout=120, errors="replace")
    lines = (run.stdout + run.stderr).splitlines()
    errors = [line for line in lines if line.startswith("Error") and not any(known in line for known in EXPLAINED)]
    if not any(re.fullmatch(r"\w+", line) for line in lines):
        errors.append(f"dciodvfy recognised no IOD: {lines[:3]}")
    return errors
