"""Files and folders that are written whole or not at all."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from errno import EACCES, ENOTDIR
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

PART: Final = ".part"  # ends the name of what is not yet whole


def write_json(file: Path, data: Any) -> None:
    write_text(file, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def write_text(file: Path, text: str) -> None:
    write_durably(file, lambda out: out.write(text.encode("utf-8")))


def write_durably(file: Path, write: Callable[[BinaryIO], object]) -> None:
    """Under another name, synced, renamed, and the folder synced: a crash leaves the old file or the new one.

    Raises OSError naming the file.
    """
    _write_part(file, write).replace(file)
    _sync(file.parent)


def write_together(files: Mapping[Path, bytes], *, mode: int = 0o666) -> None:
    """Files of one folder, none of which is replaced before all are written. `mode` is of new files, before the umask.

    Raises OSError naming the file.
    """
    parts: list[tuple[Path, Path]] = []
    try:
        for file, content in files.items():
            parts.append((_write_part(file, partial(_write_all, content), mode=mode), file))
    except BaseException:
        for part, _ in parts:
            part.unlink(missing_ok=True)
        raise
    for part, file in parts:
        part.replace(file)
        _sync(file.parent)


def require_writable(folder: Path) -> None:
    """Raises OSError when `folder` cannot be made, or files in it cannot; makes nothing."""
    there = next(one for one in (folder, *folder.absolute().parents) if os.path.lexists(one))
    if not there.is_dir():
        raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(there))
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(EACCES, "it cannot be written into", str(there))


def _write_part(file: Path, write: Callable[[BinaryIO], object], *, mode: int = 0o666) -> Path:
    """The file under its other name, synced; nothing is left of one that could not be written."""
    half_written = file.with_name(file.name + PART)
    try:
        half_written.unlink(missing_ok=True)
        with os.fdopen(os.open(half_written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
            write(out)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        half_written.unlink(missing_ok=True)
        if error.filename is None:  # a full disk does not say where
            error.filename = str(file)
        raise
    return half_written


def _write_all(content: bytes, out: BinaryIO) -> None:
    out.write(content)


@contextmanager
def write_folder(folder: Path) -> Iterator[Path]:
    """Gives a new folder beside to write into; synced and renamed at the end: a crash leaves it whole or not there.

    Raises OSError when `folder` has files by then.
    """
    unfinished = folder.with_name(folder.name + PART)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        for one in (*unfinished.rglob("*"), unfinished):
            _sync(one)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    _sync(folder.parent)


def _sync(path: Path) -> None:
    """A file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
