"""From the port to the association: who waits, who gives way, who is told no, and what it costs the node."""

import errno
import resource
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from config.settings import ReceiverSettings
from node.admission import Refusal
from node.metrics import Metrics
from node.receiving.acceptor import Acceptor, Destination, Listener, listen
from node.receiving.disk_room import DiskRoom
from node.receiving.incoming import IncomingConnection
from node.receiving.places import PlaceTable
from node.receiving.seldom_line import SeldomLine
from storage.errors import StorageError
from storage.files import FileStore
from tests.node.network.peers import (
    DEADLINE_S,
    LOOPBACK,
    NODE,
    SCANNER,
    receiving_node,
    request_association,
    wait_until,
)

REQUEST = b"\x01"  # the first byte of an association request, or of anything


@dataclass
class Taker:
    """Where connections go in these tests."""

    taken: list[IncomingConnection] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    is_free: bool = True

    def take(self, connection: IncomingConnection) -> bool:
        if self.is_free:
            self.taken.append(connection)
        return self.is_free


@dataclass
class Door:
    """A running acceptor on a free port."""

    acceptor: Acceptor
    port: int
    taker: Taker
    places: PlaceTable
    metrics: Metrics

    def connect(self) -> socket.socket:
        return socket.create_connection((LOOPBACK, self.port), timeout=DEADLINE_S)

    def connected(self, count: int) -> None:
        wait_until(lambda: self.metrics.value("connections", port="plain") == count, what=f"{count} connections")


@contextmanager
def open_door(*, silence_s: float = DEADLINE_S, **settings: int) -> Iterator[Door]:
    metrics, taker = Metrics(), Taker()
    places = place_table(metrics=metrics, **settings)
    listener = listen(LOOPBACK, 0, is_tls=False)
    acceptor = Acceptor(
        [listener], Destination(taker.take, taker.ended.append), places=places, silence_s=silence_s, metrics=metrics
    )
    acceptor.start()
    try:
        yield Door(acceptor, listener.port, taker, places, metrics)
    finally:
        acceptor.stop()
        for connection in taker.taken:
            connection.socket.close()


def place_table(*, free_bytes: int = 1 << 40, metrics: Metrics | None = None, **settings: int) -> PlaceTable:
    metrics = metrics or Metrics()
    room = DiskRoom(lambda: free_bytes, 1, metrics=metrics)
    return PlaceTable(ReceiverSettings(**settings), room=room, metrics=metrics)  # type: ignore[arg-type]


def is_closed(peer: socket.socket) -> bool:
    try:
        return peer.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_connection_is_handed_over_when_its_first_bytes_come_and_not_before() -> None:
    with open_door() as door, door.connect() as silent, door.connect() as speaking:
        door.connected(2)

        speaking.sendall(REQUEST)

        wait_until(lambda: door.taker.taken, what="the hand-over")
        (taken,) = door.taker.taken
        assert taken.socket.getpeername() == speaking.getsockname()
        assert taken.address == LOOPBACK
        assert taken.socket.recv(10) == REQUEST
        assert silent.getsockname() != taken.socket.getpeername()


def test_health_checks_are_counted_and_cost_one_debug_line() -> None:
    with open_door() as door, capture_logs() as logs:
        for _ in range(50):
            door.connect().close()
        wait_until(lambda: door.metrics.value("health_checks") == 50, what="the count")

    assert not door.taker.taken
    assert door.places.pending == 0
    assert [(line["event"], line["log_level"]) for line in logs] == [("health_check", "debug")]


def test_a_connection_that_says_nothing_is_closed_in_time() -> None:
    with open_door(silence_s=0.1) as door, door.connect() as peer:
        assert is_closed(peer)

        wait_until(lambda: door.metrics.value("silent_connections") == 1, what="the count")
        assert door.places.pending == 0


def test_the_oldest_connection_without_an_association_gives_way() -> None:
    with open_door(maximum_pending_connections=2) as door, ExitStack() as peers:
        first, second = (peers.enter_context(door.connect()) for _ in range(2))
        door.connected(2)

        peers.enter_context(door.connect())

        assert is_closed(first)
        assert door.metrics.value("evicted_connections") == 1
        second.sendall(REQUEST)
        wait_until(lambda: door.taker.taken, what="the second one goes on")


def test_a_pending_connection_that_was_handed_over_already_gives_way_too() -> None:
    with open_door(maximum_pending_connections=1) as door, door.connect() as first:
        first.sendall(REQUEST)
        wait_until(lambda: door.taker.taken, what="the hand-over")

        with door.connect():
            wait_until(lambda: door.taker.ended == [door.taker.taken[0].number], what="the order to end it")


def test_a_connection_with_an_association_never_gives_way() -> None:
    places = place_table(maximum_pending_connections=1)
    assert places.arrive(1, LOOPBACK) is None
    assert places.take(1) is None

    assert places.arrive(2, LOOPBACK) is None
    assert places.arrive(3, LOOPBACK) == 2
    assert (places.associations, places.pending) == (1, 1)


def test_a_flood_from_one_address_pushes_out_no_other_peers_connection() -> None:
    places = place_table(maximum_pending_connections=3)
    places.arrive(1, "10.0.0.7")
    flood = [places.arrive(number, "10.0.0.66") for number in range(2, 6)]

    another = places.arrive(6, "10.0.0.8")

    assert flood == [None, None, 2, 3]
    assert another == 4
    assert places.pending == 3
    assert places.take(1) is None


def test_of_addresses_with_as_many_connections_the_oldest_one_gives_way() -> None:
    places = place_table(maximum_pending_connections=2)
    places.arrive(1, "10.0.0.7")
    places.arrive(2, "10.0.0.8")

    assert places.arrive(3, "10.0.0.9") == 1


def test_a_connection_waits_until_a_process_can_take_it() -> None:
    with open_door() as door, door.connect() as peer:
        door.taker.is_free = False
        peer.sendall(REQUEST)
        door.connected(1)

        door.taker.is_free = True
        door.acceptor.wake()

        wait_until(lambda: door.taker.taken, what="the hand-over")


def test_a_stopped_acceptor_has_closed_its_port_and_what_waited() -> None:
    with open_door() as door:
        peer = door.connect()
        door.connected(1)

        door.acceptor.stop()

        with peer:
            assert is_closed(peer)
        with pytest.raises(ConnectionRefusedError):
            door.connect()
        assert door.places.pending == 0


class _NoDescriptors:
    """A port whose accept finds no free file descriptor; a peer waits at it."""

    def __init__(self) -> None:
        self.calls = 0
        self._end, self._peer = socket.socketpair()
        self._peer.send(b"x")

    def fileno(self) -> int:
        return self._end.fileno()

    def accept(self) -> None:
        self.calls += 1
        raise OSError(errno.EMFILE, "Too many open files")

    def close(self) -> None:
        self._end.close()
        self._peer.close()


def test_without_a_file_descriptor_accepting_pauses_instead_of_spinning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.receiving.acceptor._PAUSE_S", 0.05)
    metrics, port = Metrics(), _NoDescriptors()
    acceptor = Acceptor(
        [Listener(port, is_tls=False)],  # type: ignore[arg-type]
        Destination(lambda _: True, lambda _: None),
        places=place_table(),
        silence_s=DEADLINE_S,
        metrics=metrics,
    )
    with capture_logs() as logs:
        acceptor.start()
        wait_until(lambda: metrics.value("accept_pauses") >= 3, what="three pauses")
        acceptor.stop()

    assert port.calls == metrics.value("accept_pauses")
    assert [line["event"] for line in logs] == ["accept_paused"]


def test_more_associations_from_one_address_than_allowed_are_refused_and_others_are_not() -> None:
    metrics = Metrics()
    places = place_table(metrics=metrics, maximum_associations=3, maximum_associations_per_address=2)
    for number, address in enumerate(("10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3")):
        places.arrive(number, address)

    answers = [places.take(number) for number in range(5)]

    full = Refusal.LOCAL_LIMIT_EXCEEDED
    assert answers == [None, None, full, None, full]
    assert metrics.value("refused_associations", reason="maximum_associations_per_address") == 1
    assert metrics.value("refused_associations", reason="maximum_associations") == 1
    places.leave(0)
    assert places.take(2) is None


@pytest.mark.parametrize("limit", ["maximum_associations_per_address", "maximum_associations"])
def test_a_peer_beyond_the_limit_is_told_so_and_gets_in_when_another_leaves(
    tmp_path: Path, node_database_url: str, limit: str
) -> None:
    with receiving_node(tmp_path, node_database_url, **{limit: 2}) as node:
        held = [request_association(node.port) for _ in range(2)]

        third = request_association(node.port)

        assert third.is_rejected
        answer = third.acceptor.primitive
        assert answer is not None
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
        held[0].release()
        wait_until(lambda: request_association(node.port).is_established, what="a place")
        held[1].release()


def test_strangers_take_no_places(tmp_path: Path, node_database_url: str) -> None:
    with receiving_node(tmp_path, node_database_url, maximum_associations=1) as node:
        assert request_association(node.port, calling="STRANGER").is_rejected

        association = request_association(node.port)

        assert association.is_established
        association.release()


def test_a_thousand_half_open_connections_keep_no_peer_out_and_take_little_memory(
    tmp_path: Path, node_database_url: str
) -> None:
    with receiving_node(tmp_path, node_database_url) as node, ExitStack() as peers:
        assert echo(node.port)  # what is loaded on first use
        before = _resident_bytes()

        for number in range(1000):
            peer = peers.enter_context(socket.create_connection((LOOPBACK, node.port), timeout=DEADLINE_S))
            if number % 10 == 0:  # some stop within their request instead
                peer.sendall(b"\x01\x00\x00\x00\x01\x00")
        answered = echo(node.port)

        assert answered
        assert node.receiver.metrics.value("pending_connections") <= 256
        assert _resident_bytes() - before < 40 << 20


def test_memory_is_flat_under_health_checks(tmp_path: Path, node_database_url: str) -> None:
    with receiving_node(tmp_path, node_database_url) as node:
        checked = 0
        before = 0
        for checks in (200, 2000):
            before = _resident_bytes()
            for _ in range(checks):
                socket.create_connection((LOOPBACK, node.port), timeout=DEADLINE_S).close()
            checked += checks
            wait_until(lambda: node.receiver.metrics.value("health_checks") == checked, what="all seen")  # noqa: B023

        assert _resident_bytes() - before < 4 << 20
        assert node.receiver.metrics.value("pending_connections") == 0


def test_a_nearly_full_disk_refuses_associations_for_the_moment_and_says_so_once() -> None:
    now, free = [0.0], [10]
    metrics = Metrics()
    room = DiskRoom(lambda: free[0], 5, metrics=metrics, clock=lambda: now[0])
    places = PlaceTable(ReceiverSettings(), room=room, metrics=metrics)
    places.arrive(1, LOOPBACK)

    with capture_logs() as logs:
        free[0] = 4
        answers = [places.take(1)]
        now[0] = 2.0
        answers += [places.take(1)]
        free[0], now[0] = 10, 4.0
        answers += [places.take(1)]

    full = Refusal.TEMPORARY_CONGESTION
    assert answers == [full, full, None]
    assert [line["event"] for line in logs] == ["disk_nearly_full", "disk_has_room_again"]
    assert metrics.value("refused_associations", reason="disk nearly full") == 2


def test_the_disk_is_asked_once_a_second_at_most() -> None:
    asked, now = [0], [0.0]

    def free_bytes() -> int:
        asked[0] += 1
        return 10

    room = DiskRoom(free_bytes, 5, metrics=Metrics(), clock=lambda: now[0])
    for now[0] in (0.0, 0.3, 0.9, 1.1, 1.2):
        assert room.is_there()

    assert asked == [2]


def test_a_disk_that_does_not_answer_has_no_room() -> None:
    def fail() -> int:
        raise StorageError("input/output error")

    assert not DiskRoom(fail, 0, metrics=Metrics()).is_there()


def test_a_disk_that_hangs_has_no_room_and_holds_nobody_up() -> None:
    answers, asked, now = threading.Event(), [0], [0.0]

    def hang() -> int:
        asked[0] += 1
        assert answers.wait(DEADLINE_S)
        return 10

    room = DiskRoom(hang, 5, metrics=Metrics(), clock=lambda: now[0], patience_s=0.01)
    with capture_logs() as logs:
        for now[0] in (0.0, 0.5, 2.0, 30.0):
            assert not room.is_there()
    answers.set()

    assert asked == [1]
    assert [line["event"] for line in logs] == ["disk_hangs"]
    wait_until(room.is_there, what="room again")


def test_a_peer_of_a_node_with_a_full_disk_is_asked_to_come_again(tmp_path: Path, node_database_url: str) -> None:
    class Disk(FileStore):
        free = 0

        def free_bytes(self) -> int:
            return self.free

    disk = Disk(tmp_path / "files")
    with receiving_node(tmp_path, node_database_url, files=disk, minimum_free_bytes=1000) as node:
        refused = request_association(node.port)

        assert refused.is_rejected
        answer = refused.acceptor.primitive
        assert answer is not None
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 1)
        disk.free = 1 << 40
        wait_until(lambda: request_association(node.port).is_established, what="an association")


def test_a_line_that_is_held_back_is_counted_until_the_next() -> None:
    now = [0.0]
    lines = SeldomLine(lambda: now[0])

    said = []
    for now[0] in (0.0, 1.0, 2.0, 61.0):
        said.append(lines.held_back("health_check", LOOPBACK))

    assert said == [0, None, None, 2]


def echo(port: int) -> bool:
    """By a peer in a process of its own: this one has more open files than pynetdicom's select takes."""
    command = ["echoscu", "-aet", SCANNER, "-aec", NODE, LOOPBACK, str(port)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
