"""Objects that come in pieces: kept whole, told by the same head, refused ones put aside where the site wants it."""

import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, EnhancedMRImageStorage
from structlog.testing import capture_logs

from config.settings import ReceiverSettings
from node.errors import CANNOT_UNDERSTAND, CannotUnderstand, DataSetMismatch, OutOfResources
from node.instance_sink import AnnouncedObject, InstanceSink
from node.part10 import read_file_meta
from storage.errors import StorageError
from storage.files import FileStore, FileWriter
from storage.new_instance import NewInstance, Outcome
from storage.new_quarantined import NewQuarantined
from tests.node.network.objects import EXPLICIT, MR, encoded, mr_image
from tests.node.network.peers import RECEIVED_AT, data_set_of


class Memory:
    """Records rows in a list."""

    def __init__(self) -> None:
        self.rows: list[NewInstance] = []
        self.refused: list[NewQuarantined] = []
        self.fault: Exception | None = None

    def record(self, new: NewInstance) -> Outcome:
        self.rows.append(new)
        return Outcome.NEW

    def quarantined(self, refused: NewQuarantined) -> None:
        if self.fault is not None:
            raise self.fault
        self.refused.append(refused)


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def files(tmp_path: Path) -> Iterator[FileStore]:
    store = FileStore(tmp_path / "files")
    yield store
    assert not list(store.root.rglob("*.part"))


@pytest.fixture
def sink(files: FileStore, memory: Memory) -> Callable[..., InstanceSink]:
    def make(**changes: Any) -> InstanceSink:
        return InstanceSink(
            files,
            memory,
            clock=lambda: RECEIVED_AT,
            settings=ReceiverSettings(**{"minimum_free_bytes": 0} | changes),
            quarantined=memory.quarantined,
        )

    return make


def announced(sop_instance_uid: str = "2.25.10001", **changes: str) -> AnnouncedObject:
    defaults = {"sop_class_uid": MR, "transfer_syntax_uid": EXPLICIT, "calling_ae_title": "SCANNER"}
    return AnnouncedObject(sop_instance_uid=sop_instance_uid, **defaults | changes)


def send(sink: InstanceSink, data_set: bytes, what: AnnouncedObject, piece: int = 100) -> Outcome:
    stream = sink.open(what)
    try:
        for at in range(0, len(data_set), piece):
            stream.write([memoryview(data_set)[at : at + piece]])
        return stream.finish()
    finally:
        stream.discard()


def with_private(image: Any, byte_count: int) -> bytes:
    image.add_new(0x00091001, "LO", "X")
    image.add_new(0x00091010, "OB", bytes(byte_count))
    return encoded(image)


@pytest.mark.parametrize("byte_count", [0, 100, 65_000, 70_000, 5_000_000])
def test_a_streamed_object_is_kept_whole_whatever_lies_before_its_identity(
    sink: Callable[..., InstanceSink], files: FileStore, memory: Memory, byte_count: int
) -> None:
    data_set = with_private(mr_image(1), byte_count)

    outcome = send(sink(), data_set, announced(), piece=4096)

    (row,) = memory.rows
    assert outcome is Outcome.NEW
    assert data_set_of(files.path(row.file)) == data_set
    assert (row.content_sha256, row.byte_count) == (sha256(data_set).hexdigest(), len(data_set))
    assert row.study_instance_uid == "2.25.2000"
    assert row.position_mm == (1.0, -10.5, 20.0)


@pytest.mark.parametrize("syntax", [str(DeflatedExplicitVRLittleEndian), EXPLICIT])
def test_what_the_scan_cannot_decide_is_read_by_pydicom_from_the_file(
    sink: Callable[..., InstanceSink], memory: Memory, syntax: str
) -> None:
    image = mr_image(1, SOPClassUID=EnhancedMRImageStorage, ImagePositionPatient=None)
    image.PerFrameFunctionalGroupsSequence = [mr_image()]
    image.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence = [mr_image(7)]

    send(
        sink(),
        encoded(image, syntax),
        announced(sop_class_uid=str(EnhancedMRImageStorage), transfer_syntax_uid=syntax),
    )

    assert memory.rows[0].position_mm == (7.0, -10.5, 20.0)


def test_an_object_longer_than_allowed_is_refused_while_it_comes(sink: Callable[..., InstanceSink]) -> None:
    stream = sink(maximum_instance_bytes=1_000_000).open(announced())
    stream.write([bytes(1_000_000)])

    with pytest.raises(OutOfResources, match="maximum_instance_bytes"):
        stream.write([b"x"])
    stream.discard()


def test_a_disk_that_fills_while_a_large_object_comes_is_noticed(
    sink: Callable[..., InstanceSink], files: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = sink(minimum_free_bytes=1000).open(announced())
    monkeypatch.setattr(FileStore, "free_bytes", lambda _self: 999)

    stream.write([bytes(1 << 20)])

    with pytest.raises(OutOfResources, match="minimum_free_bytes"):
        stream.write([bytes(1 << 20)] * 40)
    stream.discard()


@pytest.mark.parametrize("syntax", [str(DeflatedExplicitVRLittleEndian), EXPLICIT])
def test_a_disk_that_cannot_be_read_back_is_not_the_senders_fault(
    sink: Callable[..., InstanceSink], memory: Memory, monkeypatch: pytest.MonkeyPatch, syntax: str
) -> None:
    image = mr_image(1)
    image.add_new(0x00091001, "LO", "X")
    image.add_new(0x00091010, "OB", bytes(70_000))
    stream = sink().open(announced(transfer_syntax_uid=syntax))
    stream.write([encoded(image, syntax)])
    unreadable = os.open("/proc/self/mem", os.O_RDONLY)  # at the addresses of a data set: input/output error

    with monkeypatch.context() as patch:
        patch.setattr(FileWriter, "descriptor", unreadable)
        with pytest.raises(StorageError, match="read back"):
            stream.finish()

    stream.discard()
    os.close(unreadable)
    assert memory.refused == []


@pytest.mark.parametrize("byte_count", [1 << 20, 17 << 20])
def test_of_a_large_object_no_more_is_read_back_than_its_head_needs(
    sink: Callable[..., InstanceSink], memory: Memory, monkeypatch: pytest.MonkeyPatch, byte_count: int
) -> None:
    asked: list[int] = []
    pread = os.pread

    def counting(file: int, count: int, at: int) -> bytes:
        asked.append(count)
        return pread(file, count, at)

    monkeypatch.setattr(os, "pread", counting)

    send(sink(), with_private(mr_image(1), byte_count) + bytes(8 << 20), announced(), piece=1 << 20)

    assert memory.rows[0].position_mm == (1.0, -10.5, 20.0)
    assert asked == [1 << 20, 1 << 24]


def test_a_refused_object_is_put_aside_with_its_reason(
    sink: Callable[..., InstanceSink], files: FileStore, memory: Memory
) -> None:
    data_set = encoded(mr_image(1, StudyInstanceUID=""))

    with pytest.raises(CannotUnderstand):
        send(sink(), data_set, announced("../../x"))

    (refused,) = memory.refused
    assert refused.file.startswith("quarantine/")
    assert files.path(refused.file).read_bytes().endswith(data_set)
    assert refused.content_sha256 == sha256(data_set).hexdigest()
    assert (refused.sop_class_uid, refused.sop_instance_uid) == (MR, "")
    assert refused.status == CANNOT_UNDERSTAND
    assert "Study Instance UID" in refused.reason
    assert memory.rows == []


@pytest.mark.parametrize("settings", [{"quarantine_bytes": 0}, {"quarantine_bytes": 10}])
def test_without_room_in_the_quarantine_a_refused_object_leaves_nothing(
    sink: Callable[..., InstanceSink], files: FileStore, memory: Memory, settings: dict[str, int]
) -> None:
    with pytest.raises(DataSetMismatch):
        send(sink(**settings), encoded(mr_image(1)), announced("2.25.999"))

    assert memory.refused == []
    assert not list(files.root.rglob("*.dcm"))


def test_a_quarantine_that_fails_changes_nothing_of_the_answer(
    sink: Callable[..., InstanceSink], memory: Memory
) -> None:
    memory.fault = StorageError("the database is gone")

    with capture_logs() as logs, pytest.raises(DataSetMismatch):
        send(sink(), encoded(mr_image(1)), announced("2.25.999"))

    assert [line["event"] for line in logs] == ["refused_instance_not_quarantined"]


def test_a_kept_file_names_the_object_that_was_announced(
    sink: Callable[..., InstanceSink], files: FileStore, memory: Memory
) -> None:
    send(sink(), encoded(mr_image(1)), announced())

    meta = read_file_meta(files.path(memory.rows[0].file))
    assert (meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid) == (MR, "2.25.10001", EXPLICIT)
