"""Every kind of discrepancy is found when it is there, and none when it is not."""

import fcntl
import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from storage import quarantine
from storage.database import Database
from storage.discrepancies import REMEDIES, Discrepancy, Kind
from storage.errors import StorageError
from storage.files import FileStore
from storage.instances import InstanceRecorder
from storage.new_quarantined import NewQuarantined
from storage.orphans import Why, mend
from storage.schema import CommitmentReportRow, CommitmentRow, InstanceRow, PurgedInstanceRow
from storage.stored_files import look, remove_unchanged
from storage.verify import Depth, discrepancies, verify
from tests.storage.conftest import Clock
from tests.storage.kept import PREFIX, Node, make_old, tamper


@pytest.fixture
def node(database: Database, files: FileStore, recorder: InstanceRecorder, clock: Clock) -> Node:
    return Node(database, files, recorder, clock)


def kinds(found: list[Discrepancy]) -> list[Kind]:
    return [one.kind for one in found]


def look_closely(node: Node) -> list[Discrepancy]:
    return verify(node.database, node.files, read_contents=True)


def test_an_empty_node_is_clean(node: Node) -> None:
    assert look_closely(node) == []


def test_a_node_with_cases_in_every_state_is_clean(node: Node) -> None:
    node.done("done")
    node.receive("done")  # a second revision collects
    node.receive("failed")
    node.report("failed", "pacs", failed_reason="three attempts failed")
    node.receive("reported")
    node.report("reported", "pacs", "archive")
    node.receive("collecting")
    node.receive("held")
    node.hold("held")
    node.receive_aside("archive")
    second = node.receive_new(uid=node.instances()[0].sop_instance_uid, content="other bytes")
    make_old(node.files)

    assert second.placement == "other_content"
    assert look_closely(node) == []


INSTANCE_FAULTS = {
    "in a case that does not exist": "UPDATE instance SET case_id = 999",
    "in no case": "UPDATE instance SET case_id = NULL",
    "new and in a case": "UPDATE instance SET placement = 'new'",
    "aside without a reason": "UPDATE instance SET placement = 'set_aside', case_id = NULL",
    "in an unknown state": "UPDATE instance SET placement = 'lost'",
}


@pytest.mark.parametrize("statement", INSTANCE_FAULTS.values(), ids=INSTANCE_FAULTS)
def test_an_instance_in_no_known_state_is_found(node: Node, statement: str) -> None:
    node.receive()
    tamper(node.database, statement)

    found = look_closely(node)

    assert Kind.INSTANCE_STATE in kinds(found)
    assert "instance 1 (UID 2.25.11001)" in [one.where for one in found]


def damage_missing(node: Node, file: str) -> None:
    node.files.path(file).unlink()


def damage_cut(node: Node, file: str) -> None:
    os.truncate(node.files.path(file), len(PREFIX) + 3)


def damage_empty(node: Node, file: str) -> None:
    os.truncate(node.files.path(file), 0)


def damage_flipped(node: Node, file: str) -> None:
    path = node.files.path(file)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def damage_folder(node: Node, file: str) -> None:
    node.files.path(file).unlink()
    node.files.path(file).mkdir()


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (damage_missing, Kind.FILE_MISSING),
        (damage_cut, Kind.FILE_SIZE),
        (damage_empty, Kind.FILE_SIZE),
        (damage_flipped, Kind.FILE_CONTENT),
        (damage_folder, Kind.FILE_UNREADABLE),
    ],
)
def test_a_damaged_image_is_found(node: Node, damage: Callable[[Node, str], None], kind: Kind) -> None:
    node.receive()
    row = node.receive()
    damage(node, row.file)

    found = look_closely(node)

    assert [(one.kind, one.row) for one in found] == [(kind, row.id)]


@pytest.mark.parametrize(
    ("damage", "kind"),
    [(damage_missing, Kind.FILE_MISSING), (damage_empty, Kind.FILE_SIZE), (damage_flipped, Kind.FILE_CONTENT)],
)
def test_a_damaged_report_is_found(node: Node, damage: Callable[[Node, str], None], kind: Kind) -> None:
    node.done()
    (report,) = [file for file in node.stored() if file.startswith("reports/")]
    damage(node, report)

    assert kinds(look_closely(node)) == [kind]


def test_changed_bytes_of_the_same_size_are_found_only_when_contents_are_read(node: Node) -> None:
    damage_flipped(node, node.receive().file)

    assert verify(node.database, node.files, read_contents=False) == []
    assert kinds(look_closely(node)) == [Kind.FILE_CONTENT]


def test_a_path_out_of_the_store_is_not_followed(node: Node) -> None:
    node.receive()
    tamper(node.database, "UPDATE instance SET file = '../../etc/passwd'")

    assert Kind.FILE_UNREADABLE in kinds(look_closely(node))


CASE_FAULTS = {
    "unknown state": ("UPDATE \"case\" SET state = 'lost'", Kind.CASE_STATE),
    "no history": ("DELETE FROM case_event", Kind.CASE_HISTORY),
    "history ends elsewhere": ("DELETE FROM case_event WHERE to_state = 'done'", Kind.CASE_HISTORY),
    "a step is missing": ("DELETE FROM case_event WHERE to_state = 'running'", Kind.CASE_HISTORY),
    "a step that is none": ("UPDATE case_event SET event = 'held' WHERE to_state = 'done'", Kind.CASE_HISTORY),
    "an unknown step": ("UPDATE case_event SET event = 'magic' WHERE to_state = 'done'", Kind.CASE_HISTORY),
    "no result": ("DELETE FROM case_result", Kind.CASE_RESULTS),
    "a result of the future": ("UPDATE case_result SET revision = 7", Kind.CASE_RESULTS),
}


@pytest.mark.parametrize(("statement", "kind"), CASE_FAULTS.values(), ids=CASE_FAULTS)
def test_a_case_that_its_history_does_not_explain_is_found(node: Node, statement: str, kind: Kind) -> None:
    node.done()
    tamper(node.database, statement)

    found = look_closely(node)

    assert kinds(found) == [kind]
    assert found[0].where.startswith("case 1 revision 1")


def test_an_open_case_without_images_is_found(node: Node) -> None:
    row = node.receive()
    node.files.path(row.file).unlink()
    tamper(node.database, "DELETE FROM instance")

    assert kinds(look_closely(node)) == [Kind.CASE_EMPTY]


def test_a_running_case_without_a_lease_is_found(node: Node) -> None:
    node.receive()
    tamper(node.database, "UPDATE \"case\" SET state = 'running'")

    assert Kind.CASE_STATE in kinds(look_closely(node))


def test_work_that_nobody_takes_up_is_found_on_a_running_node_only(node: Node, clock: Clock) -> None:
    node.receive("other")
    node.report("other", "pacs")
    node.settle("sending")
    node.receive("stuck")
    node.claim("stuck")
    clock.pass_s(1000)

    running = list(discrepancies(node.database, node.files, Depth(stuck_after_s=300)))

    assert kinds(running) == [Kind.CASE_STUCK, Kind.DELIVERY_STUCK]
    assert look_closely(node) == []
    assert list(discrepancies(node.database, node.files, Depth(stuck_after_s=2000))) == []


DAY_S = 86_400.0


def look_at_running(node: Node) -> list[Discrepancy]:
    return list(discrepancies(node.database, node.files, Depth(stuck_after_s=10 * DAY_S)))


def test_an_instance_that_grouping_never_took_up_is_found_after_a_day(node: Node, clock: Clock) -> None:
    node.receive_new()
    clock.pass_s(DAY_S - 60)
    early = look_at_running(node)
    clock.pass_s(120)

    assert early == []
    assert kinds(look_at_running(node)) == [Kind.INSTANCE_STUCK]
    assert look_closely(node) == []


def test_a_second_content_that_nobody_examined_is_found_unless_its_case_runs(node: Node, clock: Clock) -> None:
    first = node.receive("free")
    second = node.receive_new(uid=first.sop_instance_uid, content="other bytes")
    busy = node.receive("busy")
    node.receive_new(uid=busy.sop_instance_uid, content="more other bytes")
    node.claim("busy")
    clock.pass_s(DAY_S + 60)

    found = look_at_running(node)

    assert [(one.kind, one.where) for one in found] == [
        (Kind.INSTANCE_STUCK, f"instance {second.id} (UID {second.sop_instance_uid})")
    ]


def test_a_storage_commitment_that_nobody_closed_is_found_a_day_after_it_was_due(node: Node, clock: Clock) -> None:
    with node.database.transaction() as session:
        times = {"asked_at": clock(), "answer_due_at": clock()}
        session.add(CommitmentRow(transaction_uid="2.25.8", destination="pacs", **times))
        answered = CommitmentRow(transaction_uid="2.25.9", destination="pacs", state="answered", **times)
        session.add(answered)
    clock.pass_s(DAY_S + 60)

    found = look_at_running(node)

    assert [(one.kind, one.row) for one in found] == [(Kind.COMMITMENT_STUCK, 1)]


def test_a_commitment_result_that_nobody_reported_is_found_a_day_after_it_was_due(node: Node, clock: Clock) -> None:
    with node.database.transaction() as session:
        for number, state in enumerate(("pending", "reported")):
            session.add(
                CommitmentReportRow(
                    transaction_uid=f"2.25.{number}",
                    calling_ae_title="SCANNER",
                    address="127.0.0.1",
                    instances=[],
                    state=state,
                    requested_at=clock(),
                    available_at=clock(),
                )
            )
    clock.pass_s(DAY_S + 60)

    found = look_at_running(node)

    assert [(one.kind, one.row) for one in found] == [(Kind.COMMITMENT_REPORT_STUCK, 1)]


def test_a_report_of_a_case_that_is_not_there_is_found(node: Node) -> None:
    node.done()
    tamper(node.database, "UPDATE report_object SET case_id = 99")

    assert Kind.REPORT_OBJECT in kinds(look_closely(node))


def test_a_report_of_a_revision_to_come_is_found(node: Node) -> None:
    node.done()
    tamper(node.database, "UPDATE report_object SET revision = 2")

    assert kinds(look_closely(node)) == [Kind.REPORT_OBJECT]


DELIVERY_FAULTS = {
    "unknown state": ("UPDATE delivery SET state = 'lost'", Kind.DELIVERY_STATE),
    "arrived at no time": ("UPDATE delivery SET sent_at = NULL", Kind.DELIVERY_STATE),
    "sending without a lease": ("UPDATE delivery SET state = 'sending'", Kind.DELIVERY_STATE),
    "of no report": ("UPDATE delivery SET report_object_id = 99", Kind.DELIVERY_WITHOUT_OBJECT),
    "of no instance": (
        "UPDATE delivery SET report_object_id = NULL, instance_id = 99",
        Kind.DELIVERY_WITHOUT_OBJECT,
    ),
    "of no case": ("UPDATE delivery SET case_id = 99", Kind.DELIVERY_WITHOUT_OBJECT),
}


@pytest.mark.parametrize(("statement", "kind"), DELIVERY_FAULTS.values(), ids=DELIVERY_FAULTS)
def test_a_delivery_that_cannot_be_is_found(node: Node, statement: str, kind: Kind) -> None:
    node.done()
    tamper(node.database, statement)

    assert kinds(look_closely(node)) == [kind]


def test_a_delivery_of_a_purged_report_is_found(node: Node, clock: Clock) -> None:
    node.receive()
    node.report("group", "pacs")
    tamper(node.database, "UPDATE report_object SET purged_at = '2026-11-02 09:00:00+00:00'")

    assert kinds(look_closely(node)) == [Kind.DELIVERY_WITHOUT_OBJECT]


def test_one_object_that_goes_twice_to_one_place_is_found(node: Node) -> None:
    node.done()
    tamper(
        node.database,
        "CREATE TABLE copy AS SELECT * FROM delivery",  # a table without the guard
        "DROP TABLE delivery",
        "ALTER TABLE copy RENAME TO delivery",
        "INSERT INTO delivery SELECT * FROM delivery",
    )

    assert Kind.DELIVERY_TWICE in kinds(look_closely(node))


def test_two_contents_that_both_count_are_found(node: Node) -> None:
    first = node.receive_new()
    node.receive_new(uid=first.sop_instance_uid, content="other bytes")
    tamper(
        node.database,
        "DROP INDEX uq_instance_one_that_counts",  # the guard against it
        "UPDATE instance SET placement = 'new', placement_reason = ''",
    )

    assert kinds(look_closely(node)) == [Kind.INSTANCE_TWICE]


def test_a_row_that_retention_removed_and_a_restored_database_brought_back_is_found(node: Node) -> None:
    row = node.receive()
    _purged(node, row, received_at_offset_s=0)

    assert kinds(look_closely(node)) == [Kind.INSTANCE_RESURRECTED]


def test_an_instance_that_was_sent_again_after_retention_is_new(node: Node) -> None:
    row = node.receive()
    _purged(node, row, received_at_offset_s=-86_400)

    assert look_closely(node) == []


def _purged(node: Node, row: InstanceRow, received_at_offset_s: float) -> None:
    with node.database.transaction() as session:
        session.add(
            PurgedInstanceRow(
                sop_instance_uid=row.sop_instance_uid,
                content_sha256=row.content_sha256,
                received_at=row.received_at + timedelta(seconds=received_at_offset_s),
                purged_at=node.clock(),
            )
        )


def test_files_that_no_row_names_are_found_when_they_are_old(node: Node) -> None:
    node.done()
    orphans = {
        node.files.write("instances", "never-acknowledged.dcm", [b"a"]),
        node.files.write("reports", "never-stored.dcm", [b"b"]),
        node.files.write("quarantine", "never-told.dcm", [b"c"]),
    }
    assert look_closely(node) == [], "a young file may get its row at this moment"
    make_old(node.files)

    found = look_closely(node)

    assert {one.where for one in found} == {f"file {orphan}" for orphan in orphans}
    assert set(kinds(found)) == {Kind.FILE_WITHOUT_ROW}


def test_mend_removes_old_files_without_a_row_and_nothing_else(node: Node) -> None:
    node.done()
    node.receive_aside("pacs")
    needed = node.stored()
    node.files.write("instances", "never-acknowledged.dcm", [b"a"])
    make_old(node.files)
    young = node.files.write("instances", "just-written.dcm", [b"b"])

    mended = mend(node.database, node.files)

    assert mended == {Why.ORPHAN: 1}
    assert node.stored() == {*needed, young}
    assert look_closely(node) == []


def test_the_file_of_a_purged_report_is_an_orphan(node: Node) -> None:
    node.done()
    make_old(node.files)
    tamper(node.database, "UPDATE report_object SET purged_at = '2026-11-02 09:00:00+00:00'")

    assert kinds(look_closely(node)) == [Kind.FILE_WITHOUT_ROW]


def test_the_temporary_file_of_a_dead_writer_is_found_and_mended_that_of_a_living_one_is_not(node: Node) -> None:
    node.receive()
    folder = node.files.root / "instances" / "00"
    dead, living = folder / "dead.part", folder / "living.part"
    dead.write_bytes(b"half")
    with living.open("wb") as file:
        file.write(b"half")
        fcntl.flock(file, fcntl.LOCK_EX)
        make_old(node.files)

        found = look_closely(node)
        mended = mend(node.database, node.files)

    assert [(one.kind, one.where) for one in found] == [(Kind.TEMPORARY_FILE, "file instances/00/dead.part")]
    assert mended == {Why.TEMPORARY: 1}
    assert living.exists()
    assert not dead.exists()


@pytest.mark.parametrize("has_row", [True, False])
def test_an_unfinished_removal_is_undone_where_the_file_is_needed(
    node: Node, monkeypatch: pytest.MonkeyPatch, has_row: bool
) -> None:
    row = node.receive()
    path = node.files.path(row.file)
    path.rename(path.with_name(f"{path.name}.{'0' * 32}.leaving"))
    if not has_row:
        tamper(node.database, "DELETE FROM instance", "DELETE FROM case_event", 'DELETE FROM "case"')
    make_old(node.files)
    later = time.time() + 7200
    monkeypatch.setattr("storage.stored_files.time.time", lambda: later)

    mended = mend(node.database, node.files)

    assert mended == {Why.LEAVING: 1}
    assert path.exists() is has_row
    assert look_closely(node) == []


def test_a_file_that_was_written_again_is_not_removed(node: Node) -> None:
    row = node.receive()
    seen = look(node.files, row.file)
    assert seen is not None
    content = node.files.path(row.file).read_bytes()
    node.files.write("instances", node.files.path(row.file).name, [content])  # a sender sends it again

    removed = remove_unchanged(node.files, seen)

    assert not removed
    assert look_closely(node) == []


def test_a_file_that_is_written_while_it_is_removed_again_and_again_is_there_in_the_end(node: Node) -> None:
    row = node.receive()
    name, content = node.files.path(row.file).name, node.files.path(row.file).read_bytes()
    old = look(node.files, row.file)
    assert old is not None
    ended = threading.Event()

    def remove() -> None:
        while not ended.is_set():
            remove_unchanged(node.files, old)

    node.files.write("instances", name, [content])
    thread = threading.Thread(target=remove)
    thread.start()
    for _ in range(200):
        node.files.write("instances", name, [content])
    ended.set()
    thread.join()

    assert look_closely(node) == []


def test_a_quarantined_object_without_its_file_is_found(node: Node) -> None:
    content = b"no data set"
    file = node.files.write("quarantine", "refused.dcm", [PREFIX, content])
    new = NewQuarantined(
        file=file,
        content_sha256=sha256(content).hexdigest(),
        byte_count=len(content),
        calling_ae_title="SCANNER",
        sop_class_uid="",
        sop_instance_uid="",
        transfer_syntax_uid="1.2.840.10008.1.2",
        status=0xC000,
        reason="it cannot be parsed",
        received_at=node.clock(),
    )
    quarantine.add(node.database, node.files, new, limit_bytes=1000)
    assert look_closely(node) == []
    node.files.path(file).unlink()

    found = look_closely(node)

    assert [(one.kind, one.where) for one in found] == [(Kind.FILE_MISSING, "quarantined object 1")]


def test_what_is_gone_at_the_second_look_is_not_told(node: Node) -> None:
    """A row that retention takes between two reads is no fault."""
    row = node.receive_aside()
    path = node.files.path(row.file)
    path.unlink()

    class Vanishing(FileStore):
        def path(self, relative: str) -> Path:
            tamper(node.database, "DELETE FROM instance")
            return super().path(relative)

    found = verify(node.database, Vanishing(node.files.root), read_contents=False)

    assert found == []


def test_verify_can_be_broken_off_between_two_pages(node: Node) -> None:
    node.receive()

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        list(discrepancies(node.database, node.files, Depth(), each_page=stop))


def test_a_folder_that_cannot_be_read_is_an_error_and_not_clean(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.receive()

    def broken(_folder: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("storage.stored_files.os.scandir", broken)

    with pytest.raises(StorageError, match="mend the disk or the rights"):
        look_closely(node)


def test_no_patient_data_is_told(node: Node) -> None:
    node.receive()
    tamper(node.database, "UPDATE instance SET case_id = NULL, patient_name = 'Doe^Jane', patient_id = 'P-4711'")

    told = " ".join(f"{one.where} {one.what} {one.remedy}" for one in look_closely(node))

    assert told
    assert "Doe" not in told
    assert "4711" not in told


def test_every_kind_has_a_remedy() -> None:
    assert set(REMEDIES) == set(Kind)
