"""Power is cut while the node receives and runs: nothing acknowledged is lost, each case is answered once."""

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from sqlalchemy import select

from node.embedded_archive import EmbeddedArchive
from node.store_scu import StoreOutcome, store
from storage import cases
from storage.database import Database
from storage.schema import CaseState, InstanceRow
from tests.system.node_process import NodeProcess
from tests.system.orthanc import wait_until

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[EmbeddedArchive]:
    archive = EmbeddedArchive(tmp_path / "archive")
    archive.start()
    yield archive
    archive.stop()


@pytest.fixture
def running_node(
    node: Callable[..., NodeProcess], archive: EmbeddedArchive, database_url: str
) -> tuple[NodeProcess, str]:
    spinenode = node(destination=("ARCHIVE", archive.port), callers=("SCANNER",), database_url=database_url)
    spinenode.upgrade_database()
    spinenode.start()
    return spinenode, database_url


def send(files: list[Path], spinenode: NodeProcess, on_each: Callable[[int, int], None] | None = None) -> list[str]:
    """Send the files; return the SOP Instance UIDs that were acknowledged with Success."""
    results = store(
        files,
        host="127.0.0.1",
        port=spinenode.port,
        called_ae_title=spinenode.ae_title,
        calling_ae_title="SCANNER",
        timeout_s=10.0,
        progress=on_each,
    )
    return [r.sop_instance_uid for r in results if r.outcome is StoreOutcome.SENT]


def report_count(archive: EmbeddedArchive) -> int:
    """How many SRs the archive was sent; one that came twice under its own UID counts twice."""
    return archive.received().count(pydicom.uid.Comprehensive3DSRStorage)


def wait_until_a_case_runs(database_url: str) -> None:
    """Looks into the database: a case runs for a second or two, and a command takes as long to start."""
    database = Database(database_url)

    def runs() -> bool:
        with database.reading() as session:
            return bool(cases.in_state(session, CaseState.RUNNING))

    try:
        wait_until(runs, timeout_s=120, what="a case is running")
    finally:
        database.dispose()


@pytest.mark.parametrize("kill_after", [1, 7, 23])
def test_power_cut_while_receiving_loses_nothing_acknowledged(
    running_node: tuple[NodeProcess, str], archive: EmbeddedArchive, phantom_study: list[Path], kill_after: int
) -> None:
    spinenode, database_url = running_node

    def cut_power(done: int, _total: int) -> None:
        if done == kill_after:
            spinenode.kill_everything()

    acknowledged = send(phantom_study, spinenode, cut_power)
    assert len(acknowledged) >= kill_after
    spinenode.start()

    assert_kept_whole(spinenode, database_url, acknowledged)
    send(phantom_study, spinenode)
    spinenode.wait_for_case("done")
    assert report_count(archive) == spinenode.cases()[0]["revision"]


def assert_kept_whole(spinenode: NodeProcess, database_url: str, acknowledged: list[str]) -> None:
    """Each acknowledged instance has its row, and the row's file has the bytes that the row names."""
    database = Database(database_url)
    try:
        with database.transaction() as session:
            rows = {row.sop_instance_uid: row for row in session.scalars(select(InstanceRow))}
            contents = {uid: row.content_sha256 for uid, row in rows.items()}
            files = {uid: spinenode.data_dir / row.file for uid, row in rows.items()}
    finally:
        database.dispose()
    assert set(acknowledged) <= set(rows)
    for uid in acknowledged:
        with files[uid].open("rb") as file:
            pydicom.filereader.read_preamble(file, force=False)
            pydicom.filereader._read_file_meta_info(file)
            assert hashlib.sha256(file.read()).hexdigest() == contents[uid]


def test_power_cut_while_running_is_answered_once_after_restart(
    running_node: tuple[NodeProcess, str], archive: EmbeddedArchive, phantom_study: list[Path]
) -> None:
    spinenode, database_url = running_node
    send(phantom_study, spinenode)
    wait_until_a_case_runs(database_url)

    spinenode.kill_everything()
    spinenode.start()
    case = spinenode.wait_for_case("done")

    assert case["revision"] == 1
    assert report_count(archive) == 1


def test_a_worker_that_dies_is_replaced_and_its_case_is_answered(
    running_node: tuple[NodeProcess, str], archive: EmbeddedArchive, phantom_study: list[Path]
) -> None:
    spinenode, database_url = running_node
    send(phantom_study, spinenode)
    wait_until_a_case_runs(database_url)

    os.kill(spinenode.worker_pid(), signal.SIGKILL)
    case = spinenode.wait_for_case("done")

    assert case["revision"] == 1
    assert report_count(archive) == 1


def test_results_wait_for_a_pacs_that_is_away_and_arrive_when_it_is_back(
    node: Callable[..., NodeProcess], tmp_path: Path, phantom_study: list[Path]
) -> None:
    first = EmbeddedArchive(tmp_path / "archive")
    first.start()
    port = first.port
    first.stop()
    spinenode = node(destination=("ARCHIVE", port), callers=("SCANNER",))
    spinenode.start()
    send(phantom_study, spinenode)
    spinenode.wait_for_case("reported")
    wait_until(
        lambda: any(row["attempts"] > 0 for row in spinenode.command("outbox", "list")),
        timeout_s=30,
        what="a delivery was tried and failed",
    )

    back = EmbeddedArchive(tmp_path / "archive", port=port)
    back.start()
    try:
        spinenode.wait_for_case("done")
        assert report_count(back) == 1
    finally:
        back.stop()
