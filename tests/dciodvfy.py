"""Asks dciodvfy (dicom3tools) what is wrong with an object."""

import re
import shutil
from pathlib import Path

from pydicom import dcmread

from tests.validators.explained import unexplained
from tests.validators.tool import run


def installed() -> bool:
    return shutil.which("dciodvfy") is not None


def errors_of(path: Path) -> list[str]:
    """The unexplained errors. An object that dciodvfy cannot even name counts as one error.

    Its exit status is useless and an unreadable file yields no error line, so the line with the IOD's name has to
    be there.
    """
    _, lines = run("dciodvfy", "-new", path)
    errors = [_with_character_set(line, path) for line in lines if line.startswith("Error")]
    if not any(re.fullmatch(r"\w+", line) for line in lines):
        errors.append(f"dciodvfy recognised no IOD: {lines[:3]}")
    return unexplained("dciodvfy", errors)


def _with_character_set(line: str, path: Path) -> str:
    """What a complaint about characters does not say: which set the object declares."""
    if "character repertoire" not in line:
        return line
    declared = dcmread(path, specific_tags=["SpecificCharacterSet"]).get("SpecificCharacterSet", "nothing")
    return f"{line}; declared: {declared}"
