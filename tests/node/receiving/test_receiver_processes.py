"""Several processes behind one port: nothing acknowledged is lost when one dies, and none outlives its supervisor."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from pynetdicom.association import Association
from structlog.testing import capture_logs

from config.settings import TlsServerSettings
from node.errors import CANNOT_UNDERSTAND, SUCCESS, NodeError
from node.receiver import ReceiverPool
from node.receiving import receiver_child
from storage.database import Database
from storage.files import FileStore
from storage.instances import InstanceRecorder
from storage.new_quarantined import NewQuarantined
from tests.node.network.objects import EXPLICIT, MR, dicom_file, mr_file
from tests.node.network.peers import (
    DEADLINE_S,
    LOOPBACK,
    SCANNER,
    ReceivingNode,
    data_set_of,
    receiving_node,
    request_association,
    send_files,
    wait_until,
)
from tests.node.receiving.certificates import Authority
from tests.node.receiving.pools import RememberedServices, pool_settings, receiving_pool

ROOT = Path(__file__).parents[3]
BIG = 40_000_000  # pixel bytes that take a moment on the way


def pool_of(node: ReceivingNode) -> ReceiverPool:
    assert isinstance(node.receiver, ReceiverPool)
    return node.receiver


def test_what_processes_received_is_on_disk_unchanged_with_its_row(tmp_path: Path, database_url: str) -> None:
    images = [mr_file(tmp_path, number) for number in range(8)]
    with receiving_pool(tmp_path, database_url) as node, ThreadPoolExecutor(4) as threads:
        sent = [threads.submit(send_files, node.port, images[number::4]) for number in range(4)]

        assert [one.result(DEADLINE_S) for one in sent] == [[SUCCESS, SUCCESS]] * 4
        rows = {row.sop_instance_uid: row for row in node.rows()}
        assert len(rows) == 8
        for number, image in enumerate(images):
            assert node.kept_data_set(rows[f"2.25.1000{number}"]) == data_set_of(image)


def test_associations_are_shared_among_the_processes(tmp_path: Path, node_database_url: str) -> None:
    with receiving_pool(tmp_path, node_database_url, processes=3) as node:
        held = [request_association(node.port) for _ in range(9)]

        assert all(association.is_established for association in held)
        assert sorted(pool_of(node).loads) == [3, 3, 3]
        for association in held:
            association.release()
        wait_until(lambda: sorted(pool_of(node).loads) == [0, 0, 0], what="the ends are known")


def test_the_limit_of_associations_holds_for_all_processes_together(tmp_path: Path, node_database_url: str) -> None:
    with (
        receiving_pool(tmp_path, node_database_url, processes=2, maximum_associations=3) as node,
        ThreadPoolExecutor(8) as threads,
    ):
        asked = list(threads.map(lambda _: request_association(node.port), range(8)))

        answers = Counter("in" if one.is_established else "refused" for one in asked)
        assert answers == {"in": 3, "refused": 5}
        assert all(_refused_for_the_moment(one) for one in asked if not one.is_established)
        for association in asked:
            if association.is_established:
                association.release()


def _refused_for_the_moment(association: Association) -> bool:
    answer = association.acceptor.primitive
    return answer is not None and (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)


def test_what_processes_count_is_offered_by_the_supervisor(tmp_path: Path, node_database_url: str) -> None:
    with receiving_pool(tmp_path, node_database_url) as node:
        assert request_association(node.port, calling="STRANGER").is_rejected

        reason = "calling AE title not recognized"
        wait_until(
            lambda: pool_of(node).metrics.value("refused_peers", reason=reason) == 1, what="the count of the process"
        )
        assert pool_of(node).metrics.value("receiver_processes") == 2


def test_a_refused_object_is_told_to_the_supervisor(tmp_path: Path, node_database_url: str) -> None:
    services = RememberedServices()
    bad = dicom_file(tmp_path / "bad.dcm", b"no data set", sop_instance_uid="2.25.1")
    with receiving_pool(tmp_path, node_database_url, services=services) as node:
        assert send_files(node.port, [bad]) == [CANNOT_UNDERSTAND]

    (refused,) = services.asked
    assert isinstance(refused, NewQuarantined)
    assert refused.calling_ae_title == SCANNER


@pytest.fixture
def quick_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = replace(receiver_child.PROGRAM, first_restart_s=0.01)
    monkeypatch.setattr(receiver_child, "PROGRAM", quick)


@pytest.mark.usefixtures("quick_restart")
def test_a_process_killed_in_mid_transfer_loses_nothing_acknowledged_and_is_replaced(
    tmp_path: Path, node_database_url: str
) -> None:
    images = [mr_file(tmp_path, number, PixelData=bytes(2_000_000)) for number in range(30)]
    with (
        receiving_pool(tmp_path, node_database_url, processes=2) as node,
        ThreadPoolExecutor(3) as threads,
        capture_logs() as logs,
    ):
        pool, first = pool_of(node), pool_of(node).pids
        sending = [threads.submit(_acknowledged, node.port, images[number::3]) for number in range(3)]
        wait_until(lambda: len(node.rows()) >= 3, what="some are stored")

        os.kill(first[0], signal.SIGKILL)

        acknowledged = [uid for one in sending for uid in one.result(DEADLINE_S)]
        rows = {row.sop_instance_uid: row for row in node.rows()}
        assert set(acknowledged) <= rows.keys()
        assert len(acknowledged) < 30
        for uid in acknowledged:
            assert len(node.kept_data_set(rows[uid])) > 2_000_000
        wait_until(lambda: len(pool.ready_pids) == 2 and first[0] not in pool.pids, what="another process")
        wait_until(lambda: sorted(pool.loads) == [0, 0], what="the slots of its connections are free")
        assert send_files(node.port, images[:2]) == [SUCCESS, SUCCESS]
    died = [line for line in logs if line["event"] == "receiver_process_died"]
    assert [line["status"] for line in died] == [-signal.SIGKILL]
    assert pool.metrics.value("receiver_process_deaths") == 1


@pytest.mark.usefixtures("quick_restart")
def test_a_process_that_hangs_is_given_nothing_more_and_in_the_end_replaced(
    tmp_path: Path, node_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.receiver.PING_EVERY_S", 0.1)
    monkeypatch.setattr(receiver_child, "UNANSWERED_PINGS_OF_A_HUNG_PROCESS", 1_000_000)
    images = [mr_file(tmp_path, number) for number in range(4)]
    with receiving_pool(tmp_path, node_database_url, processes=2) as node, capture_logs() as logs:
        pool = pool_of(node)
        hung, living = pool.pids
        os.kill(hung, signal.SIGSTOP)
        wait_until(lambda: pool.ready_pids == [living], what="its silence is noticed")

        meanwhile = [send_files(node.port, [image]) for image in images]
        assert hung in pool.pids
        monkeypatch.setattr(receiver_child, "UNANSWERED_PINGS_OF_A_HUNG_PROCESS", 1)
        wait_until(lambda: len(pool.ready_pids) == 2 and hung not in pool.pids, what="another process")
        held = [request_association(node.port) for _ in range(2)]

        assert meanwhile == [[SUCCESS]] * 4
        assert sorted(pool.loads) == [1, 1]
        for association in held:
            association.release()
    told = [line for line in logs if line["event"] in ("receiver_process_hung", "receiver_process_died")]
    assert [(line["event"], line["pid"]) for line in told] == [
        ("receiver_process_hung", hung),
        ("receiver_process_died", hung),
    ]


def test_a_process_that_was_only_held_up_takes_connections_again(
    tmp_path: Path, node_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.receiver.PING_EVERY_S", 0.1)
    monkeypatch.setattr(receiver_child, "UNANSWERED_PINGS_OF_A_HUNG_PROCESS", 1_000_000)
    with receiving_pool(tmp_path, node_database_url, processes=1) as node:
        (only,) = pool_of(node).pids
        os.kill(only, signal.SIGSTOP)
        wait_until(lambda: pool_of(node).ready_pids == [], what="its silence is noticed")

        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(send_files, node.port, [mr_file(tmp_path)])
            os.kill(only, signal.SIGCONT)

            assert waiting.result(DEADLINE_S) == [SUCCESS]
        assert pool_of(node).pids == [only]


def test_launched_processes_get_ready_before_a_port_is_open(tmp_path: Path, node_database_url: str) -> None:
    database = Database(node_database_url)
    recorder = InstanceRecorder(database)
    files = FileStore(tmp_path / "data")
    settings = pool_settings(tmp_path)
    pool = ReceiverPool(settings, files=files, recorder=recorder, services=RememberedServices())
    try:
        pool.launch()
        pool.wait_until_ready(DEADLINE_S)
        with pytest.raises(NodeError, match="not started"):
            _ = pool.port
        ready = pool.ready_pids

        pool.start()

        assert len(ready) == settings.receiver.processes
        assert send_files(pool.port, [mr_file(tmp_path)]) == [SUCCESS]
    finally:
        pool.stop(drain_s=0.0)
        recorder.close()
        database.dispose()


def test_processes_that_never_get_ready_are_told_with_where_to_look(
    tmp_path: Path, node_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = replace(receiver_child.PROGRAM, command=(sys.executable, "-c", "raise SystemExit(3)"))
    monkeypatch.setattr(receiver_child, "PROGRAM", dies)
    database = Database(node_database_url)
    recorder = InstanceRecorder(database)
    files = FileStore(tmp_path / "data")
    pool = ReceiverPool(pool_settings(tmp_path), files=files, recorder=recorder, services=RememberedServices())
    pool.launch()
    try:
        with pytest.raises(NodeError, match="receiver_process_died"):
            pool.wait_until_ready(0.3)
    finally:
        pool.stop(drain_s=0.0)
        recorder.close()
        database.dispose()


def _acknowledged(port: int, images: list[Path]) -> list[str]:
    """The UIDs of those that got their answer; ends when the association does."""
    association = request_association(port, [(MR, EXPLICIT)])
    association.dimse_timeout = 5.0  # pynetdicom waits so long also when the connection is gone
    acknowledged = []
    for image in images:
        if not association.is_established:
            break
        answer = association.send_c_store(image)
        if "Status" in answer and answer.Status == SUCCESS:
            acknowledged.append(f"2.25.1000{image.stem.removeprefix('mr-')}")
    if association.is_established:
        association.release()
    return acknowledged


def test_processes_end_with_their_supervisor(tmp_path: Path, node_database_url: str) -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "tests.node.receiving.lonely_supervisor", str(tmp_path), node_database_url],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    with supervisor:
        assert supervisor.stdout is not None
        port, *pids = map(int, supervisor.stdout.readline().split())
        assert len(pids) == 2
        assert request_association(port).is_established

        supervisor.kill()

        wait_until(lambda: not any(map(_lives, pids)), what="the end of its processes")


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # without an init that collects them, the dead stay in the table


def test_a_stop_lets_an_association_end_what_it_does(tmp_path: Path, node_database_url: str) -> None:
    image = mr_file(tmp_path, PixelData=bytes(BIG))
    with receiving_pool(tmp_path, node_database_url) as node, ThreadPoolExecutor(2) as threads:
        association = request_association(node.port, [(MR, EXPLICIT)])
        sending = threads.submit(association.send_c_store, image)
        wait_until(lambda: any(node.files.root.rglob("*.part")) or sending.done(), what="bytes on the disk")

        stopping = threads.submit(pool_of(node).stop, DEADLINE_S)

        assert sending.result(DEADLINE_S).Status == SUCCESS
        association.release()
        stopping.result(DEADLINE_S)
        assert len(node.rows()) == 1


def test_a_stop_aborts_what_does_not_end(tmp_path: Path, node_database_url: str) -> None:
    with receiving_pool(tmp_path, node_database_url) as node, capture_logs() as logs:
        association = request_association(node.port)
        pids = pool_of(node).pids
        started = time.monotonic()

        pool_of(node).stop(drain_s=0.2)

        assert time.monotonic() - started < DEADLINE_S / 2
        wait_until(lambda: association.is_aborted, what="the abort")
        assert not any(map(_lives, pids))
    (stopped,) = [line for line in logs if line["event"] == "receiver_stopped"]
    assert stopped["aborted_associations"] == 1
    assert "receiver_process_died" not in [line["event"] for line in logs]


def test_signals_to_the_whole_group_are_left_to_the_supervisor(tmp_path: Path, node_database_url: str) -> None:
    with receiving_pool(tmp_path, node_database_url) as node:
        for pid in pool_of(node).pids:
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)

        assert send_files(node.port, [mr_file(tmp_path)]) == [SUCCESS]


def test_a_pending_connection_in_a_process_gives_way(tmp_path: Path, node_database_url: str) -> None:
    with (
        receiving_pool(tmp_path, node_database_url, maximum_pending_connections=1) as node,
        socket.create_connection((LOOPBACK, node.port), timeout=DEADLINE_S) as half,
    ):
        half.sendall(b"\x01\x00\x00\x00\x01\x00")  # the head of an association request, and no more
        wait_until(lambda: sum(pool_of(node).loads) == 1, what="the hand-over")

        assert request_association(node.port).is_established
        assert half.recv(100) in (b"", b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x00")  # perhaps an A-ABORT first


def test_tls_works_in_the_processes_too(tmp_path: Path, node_database_url: str) -> None:
    authority = Authority(tmp_path / "ca")
    own, scanner = authority.sign("node.example"), authority.sign("scanner.example")
    tls = TlsServerSettings(port=0, certificate=own.certificate, private_key=own.private_key, trusted=authority.trusted)
    with receiving_pool(tmp_path, node_database_url, tls=tls, plain=False) as node:
        port = node.receiver.tls_port
        command = ["storescu", "+tls", scanner.private_key, scanner.certificate, "+cf", authority.trusted]
        titles = ["-aet", SCANNER, "-aec", "SPINENODE", LOOPBACK, str(port)]
        sent = subprocess.run([*command, *titles, mr_file(tmp_path)], capture_output=True, timeout=60, check=False)

        assert sent.returncode == 0, sent.stderr
        assert len(node.rows()) == 1


def test_a_tls_file_that_cannot_be_used_stops_the_start(tmp_path: Path, node_database_url: str) -> None:
    tls = TlsServerSettings(
        certificate=tmp_path / "absent.pem", private_key=tmp_path / "absent.key", client_certificate="optional"
    )

    with pytest.raises(NodeError, match=r"absent\.pem"), receiving_pool(tmp_path, node_database_url, tls=tls):
        pass


def test_a_taken_tls_port_leaves_the_plain_one_free(tmp_path: Path, node_database_url: str) -> None:
    authority = Authority(tmp_path / "ca")
    own = authority.own
    with receiving_node(tmp_path, node_database_url) as other:
        tls = TlsServerSettings(
            port=other.port, certificate=own.certificate, private_key=own.private_key, client_certificate="optional"
        )
        threads = threading.active_count()

        with (
            pytest.raises(NodeError, match=r"receiver\.tls\.port"),
            receiving_pool(tmp_path, node_database_url, tls=tls),
        ):
            pass

        assert threading.active_count() == threads


def test_a_receiver_process_imports_neither_networks_nor_database() -> None:
    program = (
        "import sys, node.receiving.receiver_process, node.commands.serving, node.child_process\n"
        "print([name for name in ('torch', 'sqlalchemy', 'alembic') if name in sys.modules])"
    )

    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)

    assert run.stdout.strip() == "[]"


def test_a_receiver_process_cannot_be_started_by_hand() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "node.cli", "receiver"], capture_output=True, text=True, cwd=ROOT, check=False
    )

    assert run.returncode == 1
    assert "spinenode serve" in run.stderr
