"""Starting and stopping: what runs may end, what comes later is refused, nothing waits for ever."""

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from structlog.testing import capture_logs

from node.errors import SUCCESS, NodeError
from storage.files import FileStore, FileWriter
from tests.node.network.objects import EXPLICIT, MR, mr_file
from tests.node.network.peers import (
    DEADLINE_S,
    LOOPBACK,
    ReceivingNode,
    data_set_of,
    receiving_node,
    request_association,
    send_files,
    wait_until,
)


class _SlowStore(FileStore):
    """Writes when the test lets it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.writing = Event()
        self.may_write = Event()

    def begin(self, area: str, uid: str) -> FileWriter:
        self.writing.set()
        assert self.may_write.wait(DEADLINE_S)
        return super().begin(area, uid)


def test_an_object_under_way_is_kept_and_acknowledged_while_the_node_stops(
    tmp_path: Path, node_database_url: str
) -> None:
    files = _SlowStore(tmp_path / "files")
    image = mr_file(tmp_path)
    with receiving_node(tmp_path, node_database_url, files=files) as node, ThreadPoolExecutor(2) as threads:
        port = node.port
        statuses = threads.submit(send_files, port, [image])
        assert files.writing.wait(DEADLINE_S)

        stopped = threads.submit(node.receiver.stop, DEADLINE_S)
        wait_until(lambda: not accepts(port), what="the port closing")
        files.may_write.set()

        assert statuses.result(DEADLINE_S) == [SUCCESS]
        stopped.result(DEADLINE_S)
        assert node.kept_data_set(node.rows()[0]) == data_set_of(image)


def test_an_idle_association_is_aborted_when_the_drain_time_is_over(node: ReceivingNode) -> None:
    association = request_association(node.port, [(MR, EXPLICIT)])
    started = time.monotonic()

    node.receiver.stop(drain_s=0.2)

    assert time.monotonic() - started < DEADLINE_S / 2
    wait_until(lambda: association.is_aborted, what="the abort")


def test_a_stopped_receiver_has_no_port_and_can_be_started_again(node: ReceivingNode, tmp_path: Path) -> None:
    node.receiver.stop(drain_s=0.0)
    with pytest.raises(NodeError, match="start"):
        _ = node.port

    node.receiver.start()

    assert send_files(node.port, [mr_file(tmp_path)]) == [SUCCESS]


def test_a_port_in_use_is_told_with_what_to_do(node: ReceivingNode, tmp_path: Path, node_database_url: str) -> None:
    with pytest.raises(NodeError, match=r"receiver\.port"), receiving_node(tmp_path, node_database_url, port=node.port):
        pass


@pytest.mark.parametrize(
    "talk",
    [
        lambda peer: None,
        lambda peer: peer.sendall(b"GET / HTTP/1.1\r\n\r\n"),
        lambda peer: peer.sendall(b"\x01\x00\x00\x00\x01\x00" + b"\x00" * 100),
    ],
    ids=["connects and says nothing", "speaks HTTP", "stops within its request"],
)
def test_a_peer_that_speaks_no_dicom_does_not_keep_others_out(
    tmp_path: Path, node_database_url: str, talk: Callable[[socket.socket], None]
) -> None:
    with (
        receiving_node(
            tmp_path, node_database_url, maximum_associations=1, network_timeout_s=0.5, acse_timeout_s=0.5
        ) as node,
        socket.create_connection((LOOPBACK, node.port)) as peer,
    ):
        talk(peer)

        wait_until(lambda: request_association(node.port).is_established, what="an association for another peer")


@pytest.mark.parametrize("header", [b"\x01\x00\xff\xff\xff\xff", b"\x04\x00\x7f\xff\xff\xff"])
def test_a_pdu_that_claims_gigabytes_is_not_read(node: ReceivingNode, header: bytes) -> None:
    with capture_logs() as logs, socket.create_connection((LOOPBACK, node.port), timeout=DEADLINE_S) as peer:
        peer.sendall(header)

        wait_until(lambda: "pdu_too_long" in [line["event"] for line in logs], what="the refusal")

        assert request_association(node.port).is_established


def accepts(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False
