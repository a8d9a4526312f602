"""Peers that break off, stall, trickle, or say what is no DICOM: they cost nobody else anything."""

import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from node.errors import CANNOT_UNDERSTAND, OUT_OF_RESOURCES, SUCCESS
from node.receiver import Receiver
from node.receiving.incoming import IncomingConnection
from node.receiving.pdu import COMMAND, LAST, LONGEST_ASSOCIATION_PDU, PDU_HEADER, PduType
from tests.node.network.objects import encoded, mr_image
from tests.node.network.peers import (
    DEADLINE_S,
    LOOPBACK,
    NODE,
    SCANNER,
    ReceivingNode,
    receiving_node,
    request_association,
    wait_until,
)
from tests.node.receiving.raw_peer import (
    MR_CONTEXT,
    RELEASE_RQ,
    Pdv,
    associated,
    association_request,
    connected,
    pdu,
    store_command,
    store_message,
)

ROOT = Path(__file__).parents[3]
IMAGE = encoded(mr_image(1))
# generous: an interpreter's own ups and downs; the objects sent are twenty times as large
ROOM_MB = 40


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, migrated_database: Path) -> Iterator[ReceivingNode]:
    folder = tmp_path_factory.mktemp("broken")
    database = folder / "node.db"
    database.write_bytes(migrated_database.read_bytes())
    limits = {"network_timeout_s": 1.0, "acse_timeout_s": 1.5, "minimum_bytes_per_s": 100_000}
    with receiving_node(folder, f"sqlite:///{database}", maximum_pdu_bytes=16384, **limits) as running:
        yield running


def answer_to(node: ReceivingNode, stream: bytes) -> int | None:
    """The type of the PDU that answers this over an association, None for a closed connection."""
    with associated(node.port) as peer:
        peer.send(stream)
        got = peer.read_pdu()
    return None if got is None else got[0]


def serves_others(node: ReceivingNode) -> bool:
    """As soon as those that broke off have left their places."""
    asked = [request_association(node.port)]

    def is_taken() -> bool:
        if not asked[-1].is_established:
            asked.append(request_association(node.port))
        return asked[-1].is_established

    wait_until(is_taken, what="a place for another association")
    status = asked[-1].send_c_echo()
    asked[-1].release()
    return bool(status.Status == SUCCESS)


def has_no_part(node: ReceivingNode) -> bool:
    return not list(node.files.root.rglob("*.part"))


def test_a_peer_that_breaks_off_at_any_byte_leaves_nothing(node: ReceivingNode) -> None:
    stream = association_request() + store_message("2.25.10001", IMAGE) + RELEASE_RQ
    whole = len(stream) - len(RELEASE_RQ)

    for length in [*range(0, whole, 13), *range(whole - 20, whole)]:
        with connected(node.port) as peer:
            peer.send(stream[:length])

    wait_until(lambda: has_no_part(node), what="the end of all temporary files")
    assert node.rows() == []
    assert serves_others(node)


def test_a_peer_that_resets_the_connection_within_an_object_leaves_nothing(node: ReceivingNode) -> None:
    for length in (100, 500, len(IMAGE) - 1):
        with associated(node.port) as peer:
            peer.send(store_message("2.25.10001", IMAGE)[: 200 + length])
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    wait_until(lambda: has_no_part(node), what="the end of all temporary files")
    assert serves_others(node)


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        PDU_HEADER.pack(PduType.P_DATA_TF, 1000)[:3],
        PDU_HEADER.pack(PduType.P_DATA_TF, 1000),
        PDU_HEADER.pack(PduType.P_DATA_TF, 1000) + b"\0\0\3",
        pdu(Pdv(MR_CONTEXT, COMMAND | LAST, store_command("2.25.10001"))),
        store_message("2.25.10001", IMAGE)[:-1],
        RELEASE_RQ[:-1],
    ],
    ids=[
        "between PDUs",
        "in a PDU header",
        "behind a PDU header",
        "in a PDV header",
        "behind a command",
        "in a data set",
        "in a release",
    ],
)
def test_a_silent_peer_is_aborted_when_its_time_is_over(node: ReceivingNode, beginning: bytes) -> None:
    with capture_logs() as logs:
        ended_by = answer_to(node, beginning)

    assert ended_by == PduType.ABORT
    (line,) = [line for line in logs if line["event"] == "peer_too_slow"]
    assert line["reason"] == "silence"


def test_a_peer_that_trickles_is_aborted_although_it_is_never_silent(node: ReceivingNode) -> None:
    with capture_logs() as logs, associated(node.port) as peer:
        peer.send(pdu(Pdv(MR_CONTEXT, COMMAND | LAST, store_command("2.25.10001"))))
        ended_by = trickle(peer.socket, pdu(Pdv(MR_CONTEXT, 0, b"x")))

    assert ended_by[0] == PduType.ABORT
    (line,) = [line for line in logs if line["event"] == "peer_too_slow"]
    assert line["reason"] == "trickling"
    wait_until(lambda: has_no_part(node), what="the end of the temporary file")


def trickle(peer: socket.socket, piece: bytes) -> bytes:
    """Send a piece again and again, each as soon as the node has had a moment to read the last; then what it says."""
    peer.settimeout(0.05)
    while True:
        try:
            peer.sendall(piece)
            return peer.recv(100)
        except TimeoutError:
            continue


def test_an_association_request_that_trickles_in_is_cut_off(node: ReceivingNode) -> None:
    with connected(node.port) as peer:
        peer.send(association_request()[:20])

        ended_by = trickle(peer.socket, b"\0")

    assert ended_by == b""
    assert node.receiver.metrics.value("silent_connections") > 0


def test_a_pdu_longer_than_negotiated_is_not_read(node: ReceivingNode) -> None:
    before = node.receiver.metrics.value("oversized_pdus")

    with capture_logs() as logs:
        ended_by = answer_to(node, PDU_HEADER.pack(PduType.P_DATA_TF, 16385))

    assert ended_by == PduType.ABORT
    assert "pdu_too_long" in [line["event"] for line in logs]
    assert node.receiver.metrics.value("oversized_pdus") == before + 1


@pytest.mark.parametrize(
    "stream",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        pdu(Pdv(99, COMMAND | LAST, store_command("2.25.1"))),
        association_request(),
        PDU_HEADER.pack(PduType.RELEASE_RP, 4) + bytes(4),
        PDU_HEADER.pack(PduType.RELEASE_RQ, 1 << 20),
    ],
    ids=["HTTP", "unknown context", "a second request", "an answer to nothing", "an endless release"],
)
def test_what_breaks_the_protocol_is_aborted(node: ReceivingNode, stream: bytes) -> None:
    assert answer_to(node, stream) == PduType.ABORT


@pytest.mark.parametrize("length", [300_000_000, 0xFFFFFFFF, LONGEST_ASSOCIATION_PDU + 1])
def test_an_association_request_of_any_length_is_refused_before_it_is_read(node: ReceivingNode, length: int) -> None:
    with connected(node.port) as peer:
        peer.send(PDU_HEADER.pack(PduType.ASSOCIATE_RQ, length))

        answer = peer.read_pdu()

    assert answer is not None
    assert answer[0] == PduType.ABORT


def test_an_object_longer_than_allowed_is_answered_and_the_association_goes_on(
    tmp_path: Path, node_database_url: str
) -> None:
    with (
        receiving_node(tmp_path, node_database_url, maximum_instance_bytes=1_000_000) as node,
        associated(node.port) as peer,
    ):
        peer.send(pdu(Pdv(MR_CONTEXT, COMMAND | LAST, store_command("2.25.10001"))))
        for _ in range(20):
            peer.send(pdu(Pdv(MR_CONTEXT, 0, bytes(100_000))))
        peer.send(pdu(Pdv(MR_CONTEXT, LAST, b"")) + store_message("2.25.10001", IMAGE))

        assert peer.statuses(2) == [OUT_OF_RESOURCES, SUCCESS]
        assert has_no_part(node)


@pytest.mark.parametrize(("depth", "status"), [(5, SUCCESS), (6, CANNOT_UNDERSTAND)])
def test_sequences_are_read_as_deep_as_the_setting_allows(
    tmp_path: Path, node_database_url: str, depth: int, status: int
) -> None:
    begin = b"\x09\x00\x10\x10SQ\0\0\xff\xff\xff\xff" + bytes.fromhex("feff00e0ffffffff")
    end = bytes.fromhex("feff0de000000000feffdde000000000")
    image = encoded(mr_image(1))
    at = image.index(b"\x10\x00\x10\x00PN")
    nested = image[:at] + begin * depth + end * depth + image[at:]

    with receiving_node(tmp_path, node_database_url, maximum_nesting=5) as node, associated(node.port) as peer:
        peer.send(store_message("2.25.10001", nested))

        assert peer.statuses(1) == [status]


@pytest.mark.parametrize(("uids", "status"), [("strict", CANNOT_UNDERSTAND), ("lenient", SUCCESS)])
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")
def test_leading_zeros_in_a_uid_are_taken_only_where_the_site_says_so(
    tmp_path: Path, node_database_url: str, uids: str, status: int
) -> None:
    with receiving_node(tmp_path, node_database_url, uids=uids) as node, associated(node.port) as peer:
        peer.send(store_message("1.2.003", encoded(mr_image(SOPInstanceUID="1.2.003"))))

        assert peer.statuses(1) == [status]


@contextmanager
def node_process(folder: Path, database: Path) -> Iterator[tuple[int, int]]:
    """A receiver in a process of its own: its port and PID."""
    command = [sys.executable, "-m", "tests.node.receiving.lone_receiver", folder, f"sqlite:///{database}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process.pid
        finally:
            process.kill()


def peak_memory_mb(pid: int) -> float:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def test_memory_stays_flat_under_a_large_object_and_a_large_request(tmp_path: Path, migrated_database: Path) -> None:
    database = tmp_path / "node.db"
    database.write_bytes(migrated_database.read_bytes())
    large = encoded(mr_image(2))[:-512]  # the pixels go on for long
    large = large[:-4] + (300_000_000).to_bytes(4, "little")
    with node_process(tmp_path, database) as (port, pid):
        with associated(port) as peer:
            peer.send(store_message("2.25.10001", IMAGE))
            assert peer.statuses(1) == [SUCCESS]
        before = peak_memory_mb(pid)

        with connected(port) as peer:
            peer.send(PDU_HEADER.pack(PduType.ASSOCIATE_RQ, 300_000_000))
            peer.read_pdu()
        with associated(port) as peer:
            peer.send(pdu(Pdv(MR_CONTEXT, COMMAND | LAST, store_command("2.25.10002"))))
            peer.send(pdu(Pdv(MR_CONTEXT, 0, large)))
            piece = pdu(Pdv(MR_CONTEXT, 0, bytes(100_000)))
            for _ in range(3000):
                peer.send(piece)
            peer.send(pdu(Pdv(MR_CONTEXT, LAST, b"")))
            assert peer.statuses(1) == [SUCCESS]

        assert peak_memory_mb(pid) - before < ROOM_MB


def test_unfinished_requests_of_as_many_peers_as_may_wait_take_little_memory(
    tmp_path: Path, migrated_database: Path
) -> None:
    database = tmp_path / "node.db"
    database.write_bytes(migrated_database.read_bytes())
    titles = struct.pack(">HH16s16s32x", 1, 0, NODE.encode().ljust(16), SCANNER.encode().ljust(16))
    almost_whole = (titles + bytes(LONGEST_ASSOCIATION_PDU))[: LONGEST_ASSOCIATION_PDU - 1]
    with node_process(tmp_path, database) as (port, pid), ExitStack() as stack:
        with associated(port):
            before = peak_memory_mb(pid)

        peers = [stack.enter_context(connected(port)) for _ in range(256)]
        for peer in peers:
            peer.send(PDU_HEADER.pack(PduType.ASSOCIATE_RQ, LONGEST_ASSOCIATION_PDU) + almost_whole)
        for peer in peers:  # its answer shows that the node has read the rest before
            peer.send(b"\0")
        assert all(peer.read_pdu() is not None for peer in peers)

        # two buffers of each while one takes the place of the other, and its thread
        assert peak_memory_mb(pid) - before < 2 * 256 * LONGEST_ASSOCIATION_PDU / 2**20 + ROOM_MB


def test_what_was_only_announced_takes_no_memory(tmp_path: Path, migrated_database: Path) -> None:
    database = tmp_path / "node.db"
    database.write_bytes(migrated_database.read_bytes())
    with node_process(tmp_path, database) as (port, pid), ExitStack() as stack:
        with associated(port):
            before = peak_memory_mb(pid)

        for _ in range(200):
            peer = stack.enter_context(connected(port))
            peer.send(PDU_HEADER.pack(PduType.ASSOCIATE_RQ, LONGEST_ASSOCIATION_PDU) + association_request()[6:])
        wait_until(lambda: thread_count(pid) > 200, what="a thread for each peer")

        assert peak_memory_mb(pid) - before < ROOM_MB


def thread_count(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


REPEATED = {
    "pdu_too_long": PDU_HEADER.pack(PduType.ASSOCIATE_RQ, 300_000_000),
    "peer_broke_the_protocol": b"GET / HTTP/1.1\r\n\r\n",
    "association_refused": association_request(calling="STRANGER"),
}


@pytest.mark.parametrize("event", REPEATED)
def test_who_is_refused_again_and_again_fills_no_log(
    tmp_path: Path, node_database_url: str, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    def ask() -> None:
        with connected(node.port) as peer:
            peer.send(REPEATED[event])
            assert peer.end() != []

    with receiving_node(tmp_path, node_database_url) as node, capture_logs() as logs:
        now = [0.0]
        monkeypatch.setattr(node.receiver._server.lines, "_clock", lambda: now[0])  # type: ignore[union-attr]
        for now[0] in (0.0, 1.0, 59.0, 60.0, 61.0):
            ask()

    assert [line["not_logged_before"] for line in logs if line["event"] == event] == [0, 2]


def test_a_peer_that_is_refused_for_another_reason_is_told_of_at_once(tmp_path: Path, node_database_url: str) -> None:
    wrong_called = association_request().replace(NODE.encode(), b"OTHERNODE", 1)

    with receiving_node(tmp_path, node_database_url) as node, capture_logs() as logs:
        for request in (REPEATED["association_refused"], wrong_called):
            with connected(node.port) as peer:
                peer.send(request)
                assert peer.end() == [PduType.ASSOCIATE_RJ]

    assert len({line["reason"] for line in logs if line["event"] == "association_refused"}) == 2


def test_the_time_that_a_connection_waited_before_it_was_served_counts(tmp_path: Path, node_database_url: str) -> None:
    with receiving_node(tmp_path, node_database_url, acse_timeout_s=60) as node:
        assert isinstance(node.receiver, Receiver)
        server = node.receiver._server
        assert server is not None
        ended = threading.Event()
        with socket.create_server((LOOPBACK, 0)) as listening, connected(listening.getsockname()[1]) as peer:
            long_ago = time.monotonic() - 61
            served = IncomingConnection(listening.accept()[0], LOOPBACK, is_tls=False, number=7, accepted_at=long_ago)

            server.serve(served, on_associated=lambda: None, on_end=ended.set)

            assert ended.wait(DEADLINE_S)
            peer.end()
