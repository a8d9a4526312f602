"""Refused objects are kept once, within their room, and can be handed on without patient data in names or notes."""

import json
import threading
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from storage import quarantine
from storage.database import Database
from storage.errors import StorageError
from storage.files import FileStore
from storage.new_quarantined import NewQuarantined
from storage.verify import verify
from tests.storage.conftest import START, Clock
from tests.storage.kept import PREFIX

ROOM = 10_000


class Ward:
    """The quarantine of one node."""

    def __init__(self, database: Database, files: FileStore, clock: Clock) -> None:
        self.database, self.files, self.clock = database, files, clock

    def refuse(self, content: bytes, name: str = "refused", limit_bytes: int = ROOM) -> bool:
        return quarantine.add(self.database, self.files, self.written(content, name), limit_bytes=limit_bytes)

    def written(self, content: bytes, name: str = "refused") -> NewQuarantined:
        digest = sha256(content).hexdigest()
        return NewQuarantined(
            file=self.files.write("quarantine", f"{name}-{digest[:16]}.dcm", [PREFIX, content]),
            content_sha256=digest,
            byte_count=len(content),
            calling_ae_title="SCANNER",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
            sop_instance_uid="2.25.7",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            status=0xC000,
            reason="the data set cannot be parsed (ValueError); repair the object at its source",
            received_at=self.clock(),
        )

    def sizes(self) -> list[int]:
        """Oldest first."""
        with self.database.reading() as session:
            return [row.byte_count for row in reversed(quarantine.listing(session))]

    def stored(self) -> int:
        return sum(path.is_file() for path in self.files.root.glob("quarantine/*/*"))

    def is_clean(self) -> bool:
        return verify(self.database, self.files, read_contents=True) == []


@pytest.fixture
def ward(database: Database, files: FileStore, clock: Clock) -> Ward:
    return Ward(database, files, clock)


def test_a_refused_object_is_kept(ward: Ward) -> None:
    assert ward.refuse(b"no data set")

    assert ward.sizes() == [11]
    assert ward.stored() == 1
    assert ward.is_clean()


def test_the_same_content_is_kept_once_under_whatever_name(ward: Ward) -> None:
    ward.refuse(b"no data set")

    assert not ward.refuse(b"no data set")
    assert not ward.refuse(b"no data set", name="another")

    assert ward.sizes() == [11]
    assert ward.stored() == 1
    assert ward.is_clean()


def test_the_oldest_give_way_when_the_room_is_used_up(ward: Ward) -> None:
    for size in (4000, 3000, 2000):
        ward.refuse(b"x" * size)

    ward.refuse(b"x" * 4500)

    assert ward.sizes() == [3000, 2000, 4500]
    assert ward.stored() == 3
    assert ward.is_clean()


def test_an_object_larger_than_the_room_is_not_kept_and_drives_nobody_out(ward: Ward) -> None:
    ward.refuse(b"no data set")

    assert not ward.refuse(b"x" * (ROOM + 1))

    assert ward.sizes() == [11]
    assert ward.stored() == 1


def test_without_room_nothing_is_kept(ward: Ward) -> None:
    assert not ward.refuse(b"no data set", limit_bytes=0)

    assert ward.sizes() == []
    assert ward.stored() == 0


def test_the_number_of_objects_is_bounded_too(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.quarantine.MOST_OBJECTS", 3)

    for size in range(1, 6):
        ward.refuse(b"x" * size)

    assert ward.sizes() == [3, 4, 5]
    assert ward.stored() == 3


def test_many_threads_that_keep_the_same_content_keep_one(ward: Ward) -> None:
    new = [ward.written(b"no data set", name=f"from-{number}") for number in range(8)]
    begin = threading.Barrier(len(new))
    kept: list[bool] = []

    def keep(one: NewQuarantined) -> None:
        begin.wait()
        kept.append(quarantine.add(ward.database, ward.files, one, limit_bytes=ROOM))

    threads = [threading.Thread(target=keep, args=(one,)) for one in new]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(kept) == [False] * 7 + [True]
    assert ward.stored() == 1
    assert ward.is_clean()


def test_an_exported_object_is_the_file_as_kept_and_a_note_without_patient_data(ward: Ward, tmp_path: Path) -> None:
    ward.refuse(b"Doe^Jane, no data set")
    with ward.database.reading() as session:
        row = quarantine.get(session, 1)
        assert row is not None

        target, note = quarantine.export(ward.files, row, tmp_path / "out")

    assert target.read_bytes() == PREFIX + b"Doe^Jane, no data set"
    assert (target.name, note.name) == ("quarantine-1.dcm", "quarantine-1.json")
    told = json.loads(note.read_text())
    assert told["status"] == "0xC000"
    assert told["received_at"] == START.isoformat()
    assert "cannot be parsed" in told["reason"]
    assert "Doe" not in note.read_text()


def test_an_export_to_where_nothing_can_be_written_says_so(ward: Ward, tmp_path: Path) -> None:
    ward.refuse(b"no data set")
    (tmp_path / "file").write_text("in the way")

    with ward.database.reading() as session:
        row = quarantine.get(session, 1)
    assert row is not None

    with pytest.raises(StorageError, match="quarantined object 1 cannot be copied"):
        quarantine.export(ward.files, row, tmp_path / "file")


def test_a_removed_object_is_gone_with_its_file(ward: Ward) -> None:
    ward.refuse(b"first")
    ward.refuse(b"second")

    assert quarantine.remove(ward.database, ward.files, [1, 99]) == 1

    assert ward.sizes() == [6]
    assert ward.stored() == 1


def test_old_objects_are_dropped(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.quarantine._BATCH", 2)
    for number in range(5):
        ward.refuse(f"old {number}".encode())
    ward.clock.pass_s(3600)
    ward.refuse(b"young")

    assert quarantine.drop_older(ward.database, ward.files, ward.clock() - timedelta(hours=1)) == 5

    assert ward.sizes() == [5]
    assert ward.stored() == 1


def test_a_row_that_cannot_be_written_leaves_the_others(ward: Ward) -> None:
    ward.refuse(b"no data set")
    impossible = replace(ward.written(b"other"), received_at=None)  # type: ignore[arg-type]

    with pytest.raises(StorageError):
        quarantine.add(ward.database, ward.files, impossible, limit_bytes=ROOM)

    assert ward.sizes() == [11]
