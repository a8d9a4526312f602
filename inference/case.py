"""What a pipeline is asked: the files of one case."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The instances of one patient that one inference answers.

    `files` are DICOM Part 10 files, one per instance, in no particular order. Only paths travel, never
    pixels, so that a case can be handed to another process or machine that sees the same files.
    """

    case_id: str  # no patient data: it appears in logs
    files: tuple[Path, ...]
