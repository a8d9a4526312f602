"""Files of DICOM objects: durable when `commit` returns, named by us alone, never half of an acknowledged one.

A path is `<area>/<shard>/<name>`; the shard is one of 256 folders, so that no folder grows without bound and no
folder has to be made while an object is received. It follows from the hash of the UID, so that the temporary file can
lie in the final folder before the content, and with it the name, is known. An object is never looked for by its name:
whoever keeps one keeps its path.

Two orders make a file and its name durable:

strict    sync of the file, rename, sync of the folder. Right on every file system.
one sync  link to the final name, removal of the temporary one, then a single sync of the file. On a journal that
          commits in order, the sync of an inode also commits the change of its names before it: one commit in place
          of two. Done on ext4 and xfs only, and never where the name is taken already: the file that has it may be
          acknowledged, and until the sync its place would be held by one that a power cut takes away.
          Source: Linux, Documentation/filesystems/ext4/journal.rst, and the log of XFS (an inode is forced to disk up
          to its last log sequence number); no power cut of `tests/torture` on ext4 lost what was acknowledged.
"""

import errno
import fcntl
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Final

import structlog

from storage.aborted_journal import raise_if_aborted
from storage.errors import StorageError, StorageFull

log = structlog.get_logger(__name__)

_AREA: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_HASH_CHARACTERS: Final = 32  # 128 bits of each hash: no two objects of a hospital meet by chance
_PART_SUFFIX: Final = ".part"
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_UID_SHARD: Final = re.compile(r"[0-9a-f]{32}-[0-9a-f]{32}\.dcm")  # the names of `name_for`
_MOST_BUFFERS: Final = 1024  # of one writev: IOV_MAX of Linux
# Not on every system. Linux begins to write what is dirty and frees what is clean. So the disk works while more of an
# object comes, and the memory of each synced object is given to the next instead of ever more fresh memory. Measured on
# a virtual machine, whose fresh memory comes from its host, with objects of 0.53 MB: writing takes 0.1 to 0.3 ms, not
# 1.2 to 1.5, and 0.2 ms more of it makes the sync 0.1 ms instead of 0.5.
_ADVISE: Final = getattr(os, "posix_fadvise", None)
# A writer locks its temporary file right after making it; an empty one this young may be about to be locked.
_EMPTY_PART_GRACE_S: Final = 60.0


class SyncOrder(Enum):
    """How a file and its name are made durable; see the head of this module."""

    STRICT = "strict"
    ONE_SYNC = "one sync"


_SAFE_WITH_ONE_SYNC: Final = frozenset({"ext4", "xfs"})
_MOUNTS: Final = Path("/proc/self/mountinfo")


def name_for(uid: str, content_sha256: str) -> str:
    """The file name of one content of one SOP instance: hashes only, never a string that a sender chose."""
    if not re.fullmatch(r"[0-9a-f]{64}", content_sha256):
        raise ValueError(f"content_sha256 must be 64 hexadecimal digits, not {content_sha256!r}")
    return f"{sha256(uid.encode()).hexdigest()[:_HASH_CHARACTERS]}-{content_sha256[:_HASH_CHARACTERS]}.dcm"


def sync_order_of(folder: Path) -> SyncOrder:
    """The order that is safe on the file system of `folder`: strict where it is not known."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = _MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return SyncOrder.STRICT
    # PROC(5): ID, parent, major:minor, root, mount point, options, optional fields, "-", type, source, options
    types = {line.partition(" - ")[2].split(" ")[0] for line in mounts if line.split(" ")[2:3] == [number]}
    return SyncOrder.ONE_SYNC if types and types <= _SAFE_WITH_ONE_SYNC else SyncOrder.STRICT


def make_folder(folder: Path) -> None:
    """Make a folder and what is missing above it, durably, open to our own user only: it will hold patients' data."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)


class FileStore:
    """A folder of immutable objects on a local disk, shared by all processes of the node."""

    def __init__(self, root: Path, *, order: SyncOrder | None = None) -> None:
        """`order` None: as the file system of `root` allows."""
        self.root = root.absolute()
        self._ready_areas: set[str] = set()
        self._areas_lock = threading.Lock()
        with _translated_errors(f"file store {self.root}"):
            make_folder(self.root)
            self.order = sync_order_of(self.root) if order is None else order

    def begin(self, area: str, uid: str) -> "FileWriter":
        """Begin one object of the SOP instance `uid`, whatever that string is; its content may come in pieces.

        Raises StorageFull or StorageError.
        """
        shard = sha256(uid.encode(errors="surrogatepass")).hexdigest()[:2]
        return self._begin(area, shard, is_read_soon=False)

    def write(self, area: str, name: str, chunks: Iterable[bytes]) -> str:
        """Write one object durably and return its path relative to the root.

        A crash leaves the old content, the new content or nothing under the name, and perhaps a temporary file that
        `remove_stale_parts` takes away. Writing the same object again is harmless.
        Raises StorageFull without space, StorageError for other faults; then no temporary file is left.
        """
        _check_ours(area, name)
        writer = self._begin(area, _shard(name), is_read_soon=True)
        try:
            for chunk in chunks:
                writer.write((chunk,))
            return writer.commit(name)
        except BaseException:
            writer.discard()
            raise

    def _begin(self, area: str, shard: str, *, is_read_soon: bool) -> "FileWriter":
        if not _AREA.fullmatch(area):
            raise ValueError(f"area {area!r} is not one of ours")
        with _translated_errors(f"file store {self.root}: beginning an object in {area}"):
            self.make_area(area)
            return FileWriter(self, area, shard, is_read_soon=is_read_soon)

    def path(self, relative: str) -> Path:
        """The absolute path of an object. Raises StorageError for a path that leaves the store."""
        path = Path(os.path.normpath(self.root / relative))
        if not path.is_relative_to(self.root) or path == self.root:
            raise StorageError(f"{relative!r} is no path inside the file store {self.root}")
        return path

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

    def make_area(self, area: str) -> None:
        """Make the folders of an area durably, once."""
        if area in self._ready_areas:
            return
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


class FileWriter:
    """One object being written to a temporary file in its final folder. Belongs to one thread.

    Ends with `commit` or `discard`; the file stays locked until then, so that nobody takes it for a dead writer's.
    """

    def __init__(self, store: FileStore, area: str, shard: str, *, is_read_soon: bool) -> None:
        self._store = store
        self._area = area
        self._shard = shard
        self._part = f"{store.root}/{area}/{shard}/{token_hex(12)}{_PART_SUFFIX}"
        self._descriptor = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self._is_named = False
        self._is_read_soon = is_read_soon

    @property
    def descriptor(self) -> int:
        """The open file, to read back what was written; -1 when the writer has ended."""
        return self._descriptor

    def write(self, buffers: Sequence[bytes | bytearray | memoryview]) -> None:
        """Append the buffers in their order. Raises StorageFull or StorageError."""
        with _translated_errors(f"file store {self._store.root}: writing an object of {self._area}"):
            for start in range(0, len(buffers), _MOST_BUFFERS):
                _write_all(self._descriptor, buffers[start : start + _MOST_BUFFERS])
            self._let_memory_go()

    def commit(self, name: str, *, area: str | None = None) -> str:
        """Make the object durable under `name` and return its path relative to the root.

        `area` None: the one it was begun in. Raises ValueError for a name of another UID, StorageFull or
        StorageError when it could not be made durable; then no temporary file is left.
        """
        area = self._area if area is None else area
        _check_ours(area, name)
        if _shard(name) != self._shard:
            raise ValueError(f"{name!r} is no name of the UID that the object was begun with")
        relative = f"{area}/{self._shard}/{name}"
        with _translated_errors(f"file store {self._store.root}: writing {relative}"):
            try:
                if area != self._area:
                    self._store.make_area(area)
                self._make_durable(f"{self._store.root}/{relative}", stays_in_folder=area == self._area)
                raise_if_aborted(self._descriptor)
                self._let_memory_go()
            finally:
                self.discard()
        return relative

    def discard(self) -> None:
        """End without an object; harmless after `commit`."""
        if self._descriptor < 0:
            return
        if not self._is_named:
            with suppress(OSError):  # on a disk that fails the next start removes what is left
                os.unlink(self._part)  # noqa: PTH108 - Path costs more than the call
        os.close(self._descriptor)
        self._descriptor = -1

    def _let_memory_go(self) -> None:
        """Of what is not read soon: what is written goes to the disk now, what is on the disk leaves the memory."""
        if not self._is_read_soon and _ADVISE is not None:
            with suppress(OSError):  # advice: where it is not taken nothing is lost
                _ADVISE(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def _make_durable(self, final: str, *, stays_in_folder: bool) -> None:
        if stays_in_folder and self._store.order is SyncOrder.ONE_SYNC:
            try:
                os.link(self._part, final)
            except FileExistsError:
                pass
            else:
                os.unlink(self._part)  # noqa: PTH108
                self._is_named = True
                os.fsync(self._descriptor)
                return
        os.fsync(self._descriptor)
        os.rename(self._part, final)  # noqa: PTH104 - the lock is held until the name is final
        self._is_named = True
        _sync_folder(Path(final).parent)


def _check_ours(area: str, name: str) -> None:
    if not _AREA.fullmatch(area) or not _NAME.fullmatch(name):
        raise ValueError(f"area {area!r} or name {name!r} is not one of ours: names come from name_for()")


def _shard(name: str) -> str:
    """The folder of a name: that of its UID, for a name of `name_for`."""
    return name[:2] if _UID_SHARD.fullmatch(name) else sha256(name.encode()).hexdigest()[:2]


def _write_all(descriptor: int, buffers: Sequence[bytes | bytearray | memoryview]) -> None:
    missing = sum(map(len, buffers)) - os.writev(descriptor, buffers)
    if missing:  # a signal, or more than 2 GB at once
        rest = memoryview(b"".join(buffers))[-missing:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]


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
