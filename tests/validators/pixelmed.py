"""PixelMed checks structured reports against their templates, and reads texts in any character set of the standard."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tests.validators.explained import unexplained
from tests.validators.tool import run

_JAR: Final = Path("/usr/share/java/pixelmed.jar")
_FOLDER: Final = Path(__file__).parent
# Its compiled templates exceed what Java 17 lets an XPath be; without these it says nothing and succeeds
_LIMITS: Final = ("xpathExprGrpLimit", "xpathExprOpLimit", "xpathTotalOpLimit")
# The start takes 10 s of CPU, then each document 1.5 s; with the second compiler the start takes 16 s and each document
# 1 s. A collector with threads of its own adds 20 % to both
_ALWAYS: Final = ("-XX:+UseSerialGC",)
_FOR_A_SHORT_RUN: Final = ("-XX:TieredStopAtLevel=1",)
_FEW: Final = 15  # documents
_SUCCESS: Final = ("Found ", "Root Template Validation Complete", "IOD validation complete")
_TIMEOUT_S: Final = 3600.0


def installed() -> bool:
    """A whole JDK is needed: the programs beside this file are compiled when they are run."""
    return _JAR.is_file() and shutil.which("javac") is not None


def errors_of(paths: Sequence[Path]) -> dict[Path, list[str]]:
    """Complaints about each document; all of them in one Java machine, whose start takes seconds."""
    return {path: _complaints(lines) for path, lines in _by_file("DicomSrCheck.java", paths).items()}


def texts_of(paths: Sequence[Path]) -> dict[Path, list[str]]:
    """Four texts of each file as PixelMed reads them; which ones, DicomText.java says."""
    return _by_file("DicomText.java", paths)


def _complaints(lines: list[str]) -> list[str]:
    found = [line for line in lines if not line.startswith(_SUCCESS)]
    missing = [step for step in _SUCCESS if not any(line.startswith(step) for line in lines)]
    return [*unexplained("pixelmed", found), *(f"never said: {step}" for step in missing)]


def _by_file(program: str, paths: Iterable[Path]) -> dict[Path, list[str]]:
    said: dict[Path, list[str]] = {path: [] for path in paths}
    options = [*_ALWAYS, *(_FOR_A_SHORT_RUN if len(said) <= _FEW else ()), *(f"-Djdk.xml.{one}=0" for one in _LIMITS)]
    status, lines = run("java", *options, "-cp", _JAR, _FOLDER / program, *said, timeout_s=_TIMEOUT_S)
    assert status == 0, lines[-5:]
    current: list[str] = []
    for line in lines:
        if line.startswith("File: "):
            current = said[Path(line.removeprefix("File: "))]
        else:
            current.append(line)
    return said
