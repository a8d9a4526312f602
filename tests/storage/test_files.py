import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from storage.errors import StorageError, StorageFull
from storage.files import FileStore, name_for

CONTENT = b"the bytes of a data set"
NAME = name_for("1.2.3", sha256(CONTENT).hexdigest())


def parts_in(store: FileStore) -> list[Path]:
    return list(store.root.rglob("*.part"))


def test_a_written_object_has_all_its_chunks_in_order(files: FileStore) -> None:
    relative = files.write("instances", NAME, (b"prefix ", CONTENT))

    assert files.path(relative).read_bytes() == b"prefix " + CONTENT


def test_the_file_is_synced_then_renamed_then_its_folder_synced(
    files: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append("sync folder" if path.is_dir() else f"sync file of {path.stat().st_size} bytes")
        real_fsync(descriptor)

    def rename(source: str, target: str) -> None:
        steps.append("rename")
        real_rename(source, target)

    files.write("instances", NAME, [b"the area exists now"])
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    files.write("instances", NAME, [CONTENT])

    assert steps == [f"sync file of {len(CONTENT)} bytes", "rename", "sync folder"]


def test_new_shard_folders_are_synced_before_an_object_is_written_into_them(
    files: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    real_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    files.write("instances", NAME, [CONTENT])

    assert synced[:2] == [files.root / "instances", files.root]


def test_writing_the_same_object_twice_leaves_one_file(files: FileStore) -> None:
    first = files.write("instances", NAME, [CONTENT])
    second = files.write("instances", NAME, [CONTENT])

    assert first == second
    assert [path for path in files.root.rglob("*") if path.is_file()] == [files.path(first)]


def test_a_damaged_file_is_healed_when_its_object_is_written_again(files: FileStore) -> None:
    relative = files.write("instances", NAME, [CONTENT])
    files.path(relative).write_bytes(b"damaged")

    files.write("instances", NAME, [CONTENT])

    assert files.path(relative).read_bytes() == CONTENT


def test_no_temporary_file_is_left_when_the_source_fails(files: FileStore) -> None:
    def chunks() -> Iterator[bytes]:
        yield CONTENT
        raise ValueError("the sender went away")

    with pytest.raises(ValueError, match="went away"):
        files.write("instances", NAME, chunks())

    assert not [path for path in files.root.rglob("*") if path.is_file()]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_as_such_and_leaves_no_temporary_file(
    files: FileStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    files.write("instances", NAME, [b"the area exists now"])

    def fsync(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageFull, match="make room"):
        files.write("instances", NAME, [CONTENT])

    assert parts_in(files) == []


def test_a_write_that_the_system_cuts_off_leaves_nothing(files: FileStore) -> None:
    """The limit of the file size stands for a disk that ends in the middle of an object."""
    code = (
        "import sys, resource, signal, pathlib; from storage.files import FileStore;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "FileStore(pathlib.Path(sys.argv[1])).write('instances', sys.argv[2], [b'x' * 100_000])"
    )

    done = subprocess.run([sys.executable, "-c", code, files.root, NAME], capture_output=True, text=True, check=False)

    assert "StorageError" in done.stderr
    assert not [path for path in files.root.rglob("*") if path.is_file()]


def test_another_fault_of_the_disk_is_a_storage_error_that_names_the_object(
    files: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    relative = files.write("instances", NAME, [b"old"])

    def fsync(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageError, match=NAME):
        files.write("instances", NAME, [CONTENT])

    assert files.path(relative).read_bytes() == b"old"


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2/3", "", "1.2.3\x00", "ä" * 300])
def test_a_name_never_contains_a_senders_string(uid: str) -> None:
    name = name_for(uid, "ab" * 32)

    assert name.removesuffix(".dcm").replace("-", "").isalnum()
    assert len(name) == len(NAME)


def test_names_differ_by_uid_and_by_content() -> None:
    names = {name_for(uid, content * 32) for uid in ("1.2", "1.3") for content in ("ab", "cd")}

    assert len(names) == 4


@pytest.mark.parametrize(
    ("area", "name"), [("..", NAME), ("instances", "../x"), ("a/b", NAME), ("instances", ".hidden")]
)
def test_a_name_that_would_leave_the_store_is_refused(files: FileStore, area: str, name: str) -> None:
    with pytest.raises(ValueError, match="name_for"):
        files.write(area, name, [CONTENT])


@pytest.mark.parametrize("relative", ["../outside", "/etc/passwd", "instances/../../x", ""])
def test_a_path_outside_the_store_is_refused(files: FileStore, relative: str) -> None:
    with pytest.raises(StorageError, match="no path inside"):
        files.path(relative)


def test_objects_spread_over_256_folders_made_beforehand(files: FileStore) -> None:
    for number in range(64):
        files.write("instances", name_for(f"1.2.{number}", "ab" * 32), [CONTENT])

    shards = [path.parent.name for path in files.root.rglob("*.dcm")]
    assert len(list((files.root / "instances").iterdir())) == 256
    assert len(set(shards)) > 40


def test_removing_an_object_twice_is_harmless(files: FileStore) -> None:
    relative = files.write("instances", NAME, [CONTENT])

    files.remove(relative)
    files.remove(relative)

    assert not files.path(relative).exists()


def test_free_bytes_are_those_of_the_disk_of_the_store(files: FileStore) -> None:
    disk = os.statvfs(files.root)

    assert files.free_bytes() == pytest.approx(disk.f_bavail * disk.f_frsize, rel=0.05)


def test_temporary_files_of_a_killed_writer_are_removed_at_start(files: FileStore) -> None:
    code = (
        "import os, pathlib, signal, sys; from storage.files import FileStore\n"
        "def chunks():\n    yield b'half'* 10000\n    os.kill(os.getpid(), signal.SIGKILL)\n    yield b''\n"
        "FileStore(pathlib.Path(sys.argv[1])).write('instances', sys.argv[2], chunks())"
    )
    subprocess.run([sys.executable, "-c", code, files.root, NAME], check=False)
    left = parts_in(files)

    removed = FileStore(files.root).remove_stale_parts()

    assert (len(left), removed, parts_in(files)) == (1, 1, [])


def test_the_temporary_file_of_a_living_writer_is_not_removed(files: FileStore) -> None:
    removed: list[int] = []
    content = CONTENT * 10_000  # more than stays in a buffer

    def chunks() -> Iterator[bytes]:
        yield content
        removed.append(FileStore(files.root).remove_stale_parts())

    relative = files.write("instances", NAME, chunks())

    assert removed == [0]
    assert files.path(relative).read_bytes() == content


def test_a_new_store_is_closed_to_other_users_and_its_folders_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    real_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    FileStore(tmp_path / "data" / "files")

    assert synced == [tmp_path, tmp_path / "data"]
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_a_file_is_closed_to_other_users(files: FileStore) -> None:
    relative = files.write("instances", NAME, [CONTENT])

    assert files.path(relative).stat().st_mode & 0o077 == 0
