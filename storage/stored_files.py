"""The files that lie in the store: listed as a stream, and removed only while they are still the ones that were seen.

A sender may send an object again at the moment in which its old file is removed. The name is the same then, for it
follows from the content, and the new file is acknowledged. So a removal first takes the file away under a name of its
own, looks at what it has got, and puts back what is not the file that was to go. A crash in between leaves a file
that is "leaving"; `storage.orphans` puts it back or removes it.
"""

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from storage.errors import StorageError
from storage.files import FileStore

# From a file's rename to the commit of its row pass seconds; a database that hangs may make a quarter of an hour of
# them, and a report is on disk for as long as the pictures beside it are drawn. Younger files are let alone.
SETTLING_S: Final = 3600.0
TEMPORARY_SUFFIX: Final = ".part"
LEAVING_SUFFIX: Final = ".leaving"

_AREA: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")  # as `FileStore` makes them
_SHARDS: Final = tuple(f"{shard:02x}" for shard in range(256))


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file as it was at one moment. Another file under the same name has another inode or time."""

    relative: str
    inode: int
    byte_count: int
    modified_ns: int
    changed_ns: int  # grows with a rename, too

    @property
    def is_settled(self) -> bool:
        """Old enough for its row to be committed, if it has one at all."""
        return time.time() - self.modified_ns / 1e9 >= SETTLING_S

    @property
    def is_untouched(self) -> bool:
        """Neither written nor renamed for so long."""
        return self.is_settled and time.time() - self.changed_ns / 1e9 >= SETTLING_S

    def is_same(self, other: "SeenFile") -> bool:
        """Whether it is the same file with the same content, under whatever name."""
        return (self.inode, self.byte_count, self.modified_ns) == (other.inode, other.byte_count, other.modified_ns)


def walk(files: FileStore) -> Iterator[SeenFile]:
    """Every file in the shards of every area; what vanishes meanwhile is left out. Memory does not grow with them.

    Raises StorageError when a folder cannot be read.
    """
    try:
        for area in sorted(entry.name for entry in files.root.iterdir() if _AREA.fullmatch(entry.name)):
            for shard in _SHARDS:
                yield from _files_in(files.root / area / shard, f"{area}/{shard}")
    except OSError as error:
        raise StorageError(f"file store {files.root}: {error}; mend the disk or the rights on this folder") from error


def look(files: FileStore, relative: str) -> SeenFile | None:
    """The file as it is now; None where there is none. Raises StorageError for a path outside the store."""
    try:
        return _seen(relative, files.path(relative).lstat())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StorageError(f"file store {files.root}: looking at {relative}: {error}") from error


def remove_unchanged(files: FileStore, seen: SeenFile) -> bool:
    """Remove the file that was seen, never one that was written under its name since; whether it is gone.

    Not durable by itself: after a power cut the file may be there again, an orphan that the next sweep removes.
    """
    path = files.path(seen.relative)
    away = path.with_name(f"{path.name}.{uuid4().hex}{LEAVING_SUFFIX}")
    try:
        path.rename(away)
        if seen.is_same(_seen(seen.relative, away.lstat())):
            away.unlink()
            return True
        put_back(away, path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageError(f"file store {files.root}: removing {seen.relative}: {error}") from error
    return False


def put_back(away: Path, path: Path) -> None:
    """Give a file its name again, durably; a file that has the name by now has the same content."""
    away.rename(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def name_before_leaving(relative: str) -> str:
    """The name that a leaving file had."""
    return relative.removesuffix(LEAVING_SUFFIX).rpartition(".")[0]


def _files_in(folder: Path, relative: str) -> Iterator[SeenFile]:
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            try:
                if entry.is_file(follow_symlinks=False):
                    yield _seen(f"{relative}/{entry.name}", entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue


def _seen(relative: str, status: os.stat_result) -> SeenFile:
    return SeenFile(relative, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
