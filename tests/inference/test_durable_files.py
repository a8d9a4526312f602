import stat
from errno import ENOSPC
from pathlib import Path
from typing import BinaryIO

import pytest

from inference.durable_files import require_writable, write_durably, write_folder, write_together


def test_a_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    with write_folder(tmp_path / "new" / "folder") as unfinished:
        (unfinished / "a").write_text("1")
        (unfinished / "b").mkdir()
        (unfinished / "b" / "c").write_text("2")
        assert not (tmp_path / "new" / "folder").exists()

    assert (tmp_path / "new" / "folder" / "a").read_text() == "1"
    assert (tmp_path / "new" / "folder" / "b" / "c").read_text() == "2"
    assert [one.name for one in (tmp_path / "new").iterdir()] == ["folder"]


def test_a_folder_that_could_not_be_completed_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), write_folder(tmp_path / "folder") as unfinished:
        (unfinished / "a").write_text((tmp_path / "missing").read_text())

    assert list(tmp_path.iterdir()) == []


def test_what_an_attempt_that_was_killed_left_behind_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "folder.part").mkdir()
    (tmp_path / "folder.part" / "half").write_text("1")

    with write_folder(tmp_path / "folder") as unfinished:
        (unfinished / "a").write_text("1")

    assert [one.name for one in (tmp_path / "folder").iterdir()] == ["a"]


def test_a_folder_with_things_in_it_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("1")

    with pytest.raises(OSError, match="not empty"), write_folder(tmp_path / "folder") as unfinished:
        (unfinished / "a").write_text("1")

    assert [one.name for one in tmp_path.rglob("*")] == ["folder", "mine"]


def test_of_files_that_belong_together_none_is_replaced_when_one_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "b.part").mkdir()

    with pytest.raises(OSError, match=r"b\.part"):
        write_together({tmp_path / "a": b"new", tmp_path / "b": b"new"})

    assert (tmp_path / "a").read_text() == "old"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a", "b.part"]


def test_a_full_disk_is_told_with_the_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def full(_: BinaryIO) -> None:
        raise OSError(ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left") as raised:
        write_durably(tmp_path / "a", full)

    assert raised.value.filename == str(tmp_path / "a")
    assert (tmp_path / "a").read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_files_for_our_own_user_alone_are_so_from_the_beginning(tmp_path: Path) -> None:
    (tmp_path / "a").touch(0o644)

    write_together({tmp_path / "a": b"secret"}, mode=0o600)

    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_a_folder_that_can_be_made_passes_and_is_not_made(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "folder")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["file", "file/new", "gone"])
def test_a_file_or_a_lost_link_where_a_folder_must_be_is_told(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "gone").symlink_to("nowhere")

    with pytest.raises(NotADirectoryError, match=folder.partition("/")[0]):
        require_writable(tmp_path / folder)
