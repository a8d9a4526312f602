import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from storage.errors import StorageError, StorageFull
from storage.files import FileStore, SyncOrder, name_for, sync_order_of

CONTENT = b"the bytes of a data set"
NAME = name_for("1.2.3", sha256(CONTENT).hexdigest())


def parts_in(store: FileStore) -> list[Path]:
    return list(store.root.rglob("*.part"))


def test_a_written_object_has_all_its_chunks_in_order(files: FileStore) -> None:
    relative = files.write("instances", NAME, (b"prefix ", CONTENT))

    assert files.path(relative).read_bytes() == b"prefix " + CONTENT


def steps_of_writing(files: FileStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What makes CONTENT durable, in its order; the shard's folder exists before."""
    steps: list[str] = []
    real = {name: getattr(os, name) for name in ("fsync", "rename", "link")}

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append("sync folder" if path.is_dir() else f"sync file of {os.fstat(descriptor).st_size} bytes")
        real["fsync"](descriptor)

    def rename(source: str, target: str) -> None:
        steps.append("rename")
        real["rename"](source, target)

    def link(source: str, target: str) -> None:
        real["link"](source, target)
        steps.append("link")

    for changed in (fsync, rename, link):
        monkeypatch.setattr(os, changed.__name__, changed)
    files.write("instances", NAME, [CONTENT])
    return steps


STRICT_STEPS = [f"sync file of {len(CONTENT)} bytes", "rename", "sync folder"]


def test_the_file_is_synced_then_renamed_then_its_folder_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = FileStore(tmp_path / "strict", order=SyncOrder.STRICT)
    files.make_area("instances")

    assert steps_of_writing(files, monkeypatch) == STRICT_STEPS


def test_where_one_sync_is_enough_it_comes_after_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = FileStore(tmp_path / "one", order=SyncOrder.ONE_SYNC)
    files.make_area("instances")

    assert steps_of_writing(files, monkeypatch) == ["link", f"sync file of {len(CONTENT)} bytes"]


def test_a_file_that_may_be_acknowledged_is_replaced_in_the_strict_order_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = FileStore(tmp_path / "one", order=SyncOrder.ONE_SYNC)
    files.write("instances", NAME, [CONTENT])

    assert steps_of_writing(files, monkeypatch) == STRICT_STEPS


@pytest.mark.parametrize(
    ("mounts", "order"),
    [
        ("36 35 {device} / / rw,relatime shared:1 - ext4 /dev/a rw", SyncOrder.ONE_SYNC),
        ("36 35 {device} / / rw,relatime - xfs /dev/a rw", SyncOrder.ONE_SYNC),
        ("36 35 {device} / / rw - btrfs /dev/a rw", SyncOrder.STRICT),
        ("36 35 {device} / / rw - overlay overlay rw", SyncOrder.STRICT),
        ("36 35 0:999 / / rw - ext4 /dev/a rw", SyncOrder.STRICT),
        ("", SyncOrder.STRICT),
    ],
)
def test_one_sync_is_only_for_file_systems_that_are_known_to_allow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounts: str, order: SyncOrder
) -> None:
    device = tmp_path.stat().st_dev
    table = tmp_path / "mountinfo"
    table.write_text(mounts.format(device=f"{os.major(device)}:{os.minor(device)}") + "\n")
    monkeypatch.setattr("storage.files._MOUNTS", table)

    assert sync_order_of(tmp_path) is order


def test_an_object_in_pieces_is_kept_under_the_name_of_its_content(files: FileStore) -> None:
    writer = files.begin("instances", "1.2.3")
    writer.write([b"the bytes ", bytearray(b"of "), memoryview(b"a data set")])

    relative = writer.commit(NAME)

    assert files.path(relative).read_bytes() == CONTENT
    assert relative == files.write("instances", NAME, [CONTENT])


def test_more_pieces_than_the_system_takes_at_once_are_all_kept(files: FileStore) -> None:
    writer = files.begin("instances", "1.2.3")
    writer.write([b"piece"] * 3000)

    assert files.path(writer.commit(NAME)).read_bytes() == b"piece" * 3000


def test_a_discarded_object_leaves_nothing(files: FileStore) -> None:
    writer = files.begin("instances", "1.2.3")
    writer.write([CONTENT])

    writer.discard()
    writer.discard()

    assert not [path for path in files.root.rglob("*") if path.is_file()]


def test_an_object_can_be_kept_in_another_area_than_it_was_begun_in(files: FileStore) -> None:
    writer = files.begin("instances", "1.2.3")
    writer.write([CONTENT])

    relative = writer.commit(NAME, area="quarantine")

    assert relative.startswith("quarantine/")
    assert files.path(relative).read_bytes() == CONTENT
    assert [path for path in files.root.rglob("*") if path.is_file()] == [files.path(relative)]


def test_a_name_of_another_uid_is_no_name_for_what_was_begun(files: FileStore) -> None:
    writer = files.begin("instances", "1.2.3")

    with pytest.raises(ValueError, match="UID"):
        writer.commit(name_for("1.2.4", "ab" * 32))
    writer.discard()

    assert parts_in(files) == []


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
