"""Nothing is promised that a disk which gives up at that moment does not keep."""

import errno
import os
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from storage.database import Database, upgrade
from storage.errors import StorageError
from storage.files import FileStore, name_for
from storage.instances import InstanceRecorder
from storage.schema import InstanceRow
from tests.storage.conftest import new_instance
from tests.torture.disk import Disk, can_mount, mounted_disk

ABORTS = 8  # without the look after each sync about a third of them lose something
WRITERS = 3
CONTENT = b"0" * 50_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if not can_mount():
        pytest.skip("only root can mount a disk image")
    with mounted_disk(tmp_path, image_bytes=128 << 20) as disk:
        yield disk


def abort_while(disk: Disk, rng: Random, *workers: threading.Thread) -> None:
    """Let the threads work, abort the journal at a random moment, and mend the disk when they have seen it."""
    for worker in workers:
        worker.start()
    time.sleep(rng.uniform(0.02, 0.1))  # not for anything: the moment is the fault's
    disk.abort()
    for worker in workers:
        worker.join()
    disk.mend()


def test_every_file_that_was_said_to_be_kept_is_there_after_the_disk_gave_up(disk: Disk) -> None:
    rng = Random(3)  # noqa: S311 - not for secrets
    for number in range(ABORTS):
        kept: list[str] = []

        def write(writer: int, number: int = number, kept: list[str] = kept) -> None:
            files = FileStore(disk.folder / "data")
            for index in range(10_000):
                name = name_for(f"{number}.{writer}.{index}", sha256(CONTENT).hexdigest())
                try:
                    kept.append(files.write("instances", name, (CONTENT,)))
                except StorageError:
                    return

        abort_while(disk, rng, *(threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)))

        files = FileStore(disk.folder / "data")
        assert [one for one in kept if not files.path(one).exists() or files.path(one).read_bytes() != CONTENT] == []


def test_every_row_that_was_said_to_be_kept_is_there_after_the_disk_gave_up(disk: Disk) -> None:
    url = f"sqlite:///{disk.folder / 'node.db'}"
    rng = Random(4)  # noqa: S311 - the same
    upgrade(url)
    for number in range(ABORTS):
        kept: list[str] = []

        def record(number: int = number, kept: list[str] = kept) -> None:
            database = Database(url)
            recorder = InstanceRecorder(database)
            try:
                for index in range(10_000):
                    one = new_instance(number * 10_000 + index)
                    try:
                        recorder.record(one)
                    except StorageError:
                        return
                    kept.append(one.sop_instance_uid)
            finally:
                recorder.close()
                database.dispose()

        abort_while(disk, rng, threading.Thread(target=record))

        database = Database(url)
        try:
            with database.reading() as session:
                found = {row.sop_instance_uid for row in session.query(InstanceRow)}
        finally:
            database.dispose()
        assert [uid for uid in kept if uid not in found] == []


@pytest.mark.parametrize("number", [errno.ENODATA, errno.ENOTSUP, errno.EPERM])
def test_a_file_system_that_cannot_be_asked_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def remove(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("storage.aborted_journal._REMOVE", remove)
    files = FileStore(tmp_path)

    path = files.write("instances", name_for("1.2.3", sha256(CONTENT).hexdigest()), (CONTENT,))

    assert files.path(path).read_bytes() == CONTENT


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO])
def test_one_that_has_given_up_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def remove(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("storage.aborted_journal._REMOVE", remove)
    files = FileStore(tmp_path)

    with pytest.raises(StorageError):
        files.write("instances", name_for("1.2.3", sha256(CONTENT).hexdigest()), (CONTENT,))


def test_a_row_on_a_disk_that_has_given_up_is_not_promised(
    database: Database, recorder: InstanceRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not database.is_sqlite:
        pytest.skip("PostgreSQL keeps its own files")

    def remove(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("storage.aborted_journal._REMOVE", remove)

    with pytest.raises(StorageError, match="does not keep what is written: Read-only file system"):
        recorder.record(new_instance())


def test_the_disk_of_the_file_is_asked_not_that_of_a_link_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.mkdir()
    (link / "node.db").symlink_to(real / "node.db")
    upgrade(f"sqlite:///{link / 'node.db'}")
    asked: list[object] = []
    monkeypatch.setattr("storage.aborted_journal._REMOVE", lambda target, _: asked.append(target))

    database = Database(f"sqlite:///{link / 'node.db'}")
    with database.transaction():
        pass
    database.dispose()

    assert asked == [real]
