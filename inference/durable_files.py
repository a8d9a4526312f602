"""Files that are written whole or not at all."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

PART: Final = ".part"  # ends the name of a file that is not yet whole


def write_json(file: Path, data: Any) -> None:
    write_text(file, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def write_text(file: Path, text: str) -> None:
    write_durably(file, lambda out: out.write(text.encode("utf-8")))


def write_durably(file: Path, write: Callable[[BinaryIO], object]) -> None:
    """Under another name, synced, renamed, and the folder synced: a crash leaves the old file or the new one."""
    half_written = file.with_name(file.name + PART)
    with half_written.open("wb") as out:
        write(out)
        out.flush()
        os.fsync(out.fileno())
    half_written.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
