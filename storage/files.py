"""Files of DICOM objects: durable when `write` returns, whole or absent at every moment, named by us alone.

A path is `<area>/<shard>/<name>`; the shard is one of 256 folders, so that no folder grows without bound and no
folder has to be made while an object is received.
"""

import errno
import fcntl
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

from storage.errors import StorageError, StorageFull

log = structlog.get_logger(__name__)

_AREA: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_HASH_CHARACTERS: Final = 32  # 128 bits of each hash: no two objects of a hospital meet by chance
_PART_SUFFIX: Final = ".part"
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
# A writer locks its temporary file right after making it; an empty one this young may be about to be locked.
_EMPTY_PART_GRACE_S: Final = 60.0


def name_for(uid: str, content_sha256: str) -> str:
    """The file name of one content of one SOP instance: hashes only, never a string that a sender chose."""
    if not re.fullmatch(r"[0-9a-f]{64}", content_sha256):
        raise ValueError(f"content_sha256 must be 64 hexadecimal digits, not {content_sha256!r}")
    return f"{sha256(uid.encode()).hexdigest()[:_HASH_CHARACTERS]}-{content_sha256[:_HASH_CHARACTERS]}.dcm"


def make_folder(folder: Path) -> None:
    """Make a folder and what is missing above it, durably, open to our own user only: it will hold patients' data."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)


class FileStore:
    """A folder of immutable objects on a local disk, shared by all processes of the node."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._ready_areas: set[str] = set()
        self._areas_lock = threading.Lock()
        with _translated_errors(f"file store {self.root}"):
            make_folder(self.root)

    def write(self, area: str, name: str, chunks: Iterable[bytes]) -> str:
        """Write one object durably and return its path relative to the root.

        The order is: temporary file in the final folder, sync of the file, rename, sync of the folder. A crash
        leaves the old content, the new content or nothing under the name, and perhaps a temporary file that
        `remove_stale_parts` takes away. Writing the same object again is harmless.
        Raises StorageFull without space, StorageError for other faults; then no temporary file is left.
        """
        if not _AREA.fullmatch(area) or not _NAME.fullmatch(name):
            raise ValueError(f"area {area!r} or name {name!r} is not one of ours: names come from name_for()")
        with _translated_errors(f"file store {self.root}: writing {area}/{name}"):
            self._make_area(area)
            relative = f"{area}/{_shard(name)}/{name}"
            _write_durably(self.root / relative, chunks)
        return relative

    def path(self, relative: str) -> Path:
        """The absolute path of an object. Raises StorageError for a path that leaves the store."""
        path = Path(os.path.normpath(self.root / relative))
        if not path.is_relative_to(self.root) or path == self.root:
            raise StorageError(f"{relative!r} is no path inside the file store {self.root}")
        return path

    def remove(self, relative: str) -> None:
        """Remove one object durably; one that is gone already is no error."""
        path = self.path(relative)
        with _translated_errors(f"file store {self.root}: removing {relative}"):
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                _sync_folder(path.parent)

    def free_bytes(self) -> int:
        """Bytes that this process may still write on the disk of the store."""
        with _translated_errors(f"file store {self.root}"):
            disk = os.statvfs(self.root)
        return disk.f_bavail * disk.f_frsize

    def remove_stale_parts(self) -> int:
        """Remove the temporary files of writers that died, and return how many; call once when the node starts.

        Safe beside living writers of any process: each holds a lock on its file, and the system drops the lock
        of the dead.
        """
        with _translated_errors(f"file store {self.root}: removing temporary files"):
            removed = sum(_remove_if_stale(part) for part in self.root.glob(f"*/*/*{_PART_SUFFIX}"))
        if removed:
            log.info("stale_temporary_files_removed", count=removed)
        return removed

    def _make_area(self, area: str) -> None:
        with self._areas_lock:
            if area in self._ready_areas:
                return
            folder = self.root / area
            folder.mkdir(exist_ok=True)
            for shard in range(256):
                (folder / f"{shard:02x}").mkdir(exist_ok=True)
            for made in (folder, self.root):
                _sync_folder(made)
            self._ready_areas.add(area)


def _shard(name: str) -> str:
    return sha256(name.encode()).hexdigest()[:2]


def _write_durably(final: Path, chunks: Iterable[bytes]) -> None:
    descriptor, part = tempfile.mkstemp(dir=final.parent, prefix=f"{final.stem}-", suffix=_PART_SUFFIX)
    try:
        with os.fdopen(descriptor, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
            os.rename(part, final)  # noqa: PTH104 - the lock is held until the name is final
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    _sync_folder(final.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_if_stale(part: Path) -> bool:
    try:
        with part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(file.fileno())
            if status.st_size == 0 and time.time() - status.st_mtime < _EMPTY_PART_GRACE_S:
                return False
            part.unlink()
    except (BlockingIOError, FileNotFoundError):  # a living writer's, or renamed meanwhile
        return False
    return True


@contextmanager
def _translated_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StorageFull(f"{what}: {error.strerror}; make room on this disk") from error
        raise StorageError(f"{what}: {error}") from error
