"""A disk of its own for one node: a small ext4 image on a loop device, that can be filled, fail, and lose power.

Every fault is the kernel's own: ENOSPC from a full file system, EROFS after its journal gave up, and for the power cut
the loss of everything that was not synced.
"""

import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.system.orthanc import wait_until

IMAGE_BYTES: Final = 1 << 30  # sparse: only what is written takes room
_BALLOON: Final = "balloon"
# linux/ext4.h: _IOR('X', 125, __u32); nothing, not even the journal, is written out any more
_EXT4_IOC_SHUTDOWN: Final = 0x8004587D
_NO_LOG_FLUSH: Final = struct.pack("I", 2)
_REPAIRED: Final = 1  # e2fsck's exit status
_TIMEOUT_S: Final = 60
_UNUSED_WITHIN_S: Final = 20.0  # processes that were just killed may still be closing their files


def can_mount() -> bool:
    """Whether this user may make and mount disk images here."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        return False
    try:
        with tempfile.TemporaryDirectory() as folder, mounted_disk(Path(folder), image_bytes=8 << 20):
            return True
    except (subprocess.SubprocessError, OSError):
        return False


class Disk:
    """An ext4 file system in a file. `folder` is where it is mounted."""

    def __init__(self, folder: Path, *, image_bytes: int = IMAGE_BYTES) -> None:
        self.folder = folder / "disk"
        self._image = folder / "disk.img"
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._image.open("wb") as image:
            image.truncate(image_bytes)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
        self._mount()

    def fill(self) -> None:
        """Leave no block free, however small the next write."""
        with (self.folder / _BALLOON).open("ab") as balloon:
            size, step = 0, IMAGE_BYTES
            while step >= 1024:
                try:
                    os.posix_fallocate(balloon.fileno(), size, step)
                    size += step
                except OSError:
                    step //= 2

    def make_room(self) -> None:
        (self.folder / _BALLOON).unlink(missing_ok=True)

    def abort(self) -> None:
        """The journal gives up, as after a write error: from now on everything is read-only."""
        _run("mount", "-o", "remount,abort", str(self.folder))

    def cut_power(self) -> None:
        """From now on nothing reaches the image. What is not synced by now is lost."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, _NO_LOG_FLUSH)
        finally:
            os.close(descriptor)

    def mend(self) -> None:
        """Unmount, repair and mount again, as an operator or a boot does. No process may use it."""
        self.unmount()
        done = subprocess.run(
            ["e2fsck", "-p", str(self._image)], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
        if done.returncode & ~_REPAIRED:
            raise RuntimeError(f"e2fsck could not mend the image: {done.stdout}{done.stderr}")
        self._mount()

    def unmount(self) -> None:
        """Raises TimeoutError when a process keeps using it."""
        wait_until(self._is_unmounted, timeout_s=_UNUSED_WITHIN_S, what=f"nobody uses {self.folder}")

    def _is_unmounted(self) -> bool:
        done = subprocess.run(["umount", str(self.folder)], capture_output=True, timeout=_TIMEOUT_S, check=False)
        return done.returncode == 0 or not self.folder.is_mount()

    def give_up(self) -> None:
        """Take it out of sight now, whoever uses it still."""
        if self.folder.is_mount():
            _run("umount", "--lazy", str(self.folder))

    def _mount(self) -> None:
        _run("mount", "-o", "loop,errors=remount-ro", str(self._image), str(self.folder))


@contextmanager
def mounted_disk(folder: Path, *, image_bytes: int = IMAGE_BYTES) -> Iterator[Disk]:
    disk = Disk(folder, image_bytes=image_bytes)
    try:
        yield disk
    finally:
        disk.give_up()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S)
