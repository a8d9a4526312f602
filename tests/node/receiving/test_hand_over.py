"""Between the supervisor and a receiver process: sockets, calls and answers cross whole, in order, and never hang."""

import os
import resource
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from node.admission import Refusal
from node.commitment.parsing import CommitmentRefused, CommitmentRequest, CommitmentResult
from node.errors import InputRejected
from node.receiving.channel import ChannelClient, ChannelClosed, Frames, answer
from node.receiving.hand_over import (
    EndConnection,
    LostConnection,
    Ping,
    StopReceiving,
    order_sockets,
    receive_order,
    send_order,
)
from node.receiving.incoming import IncomingConnection
from node.receiving.remote import RemotePlaces, RemoteRecorder, RemoteServices, new_instance, service_argument
from storage.errors import StorageError, StorageFull
from storage.new_instance import NewInstance, Outcome
from storage.new_quarantined import NewQuarantined
from tests.node.network.peers import DEADLINE_S

NOW = datetime(2026, 11, 2, 8, 0, 1, 250, tzinfo=UTC)
NEW = NewInstance(
    sop_instance_uid="2.25.1",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
    series_instance_uid="2.25.2",
    study_instance_uid="2.25.3",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    content_sha256="ab" * 32,
    byte_count=512,
    file="instances/00/x.dcm",
    calling_ae_title="SCANNER",
    received_at=NOW,
    patient_name="M\udcfcller^Erika",  # a byte that its character set does not have
    orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    position_mm=None,
)


def test_a_connection_crosses_with_its_socket_and_what_was_sent_already() -> None:
    ours, theirs = order_sockets()
    served, peer = socket.socketpair()
    with ours, theirs, peer:
        peer.sendall(b"request")
        with served:
            assert send_order(ours, IncomingConnection(served, "10.0.0.7", is_tls=True, number=5, accepted_at=1234.5))

        order = receive_order(theirs)

        assert isinstance(order, IncomingConnection)
        with order.socket:
            assert (order.address, order.is_tls, order.number, order.accepted_at) == ("10.0.0.7", True, 5, 1234.5)
            assert order.socket.recv(100) == b"request"
            order.socket.sendall(b"answer")
            assert peer.recv(100) == b"answer"


def test_a_connection_that_finds_no_free_descriptor_is_told_and_its_peer_sees_the_end() -> None:
    ours, theirs = order_sockets()
    served, peer = socket.socketpair()
    with ours, theirs, peer:
        with served:
            assert send_order(ours, IncomingConnection(served, "10.0.0.7", is_tls=False, number=5))
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = os.dup(peer.fileno())
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
        try:
            order = receive_order(theirs)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

        assert order == LostConnection(5)
        assert peer.recv(10) == b""


def test_orders_are_received_in_the_order_they_were_given() -> None:
    ours, theirs = order_sockets()
    with ours, theirs:
        orders = [EndConnection(4), Ping(), StopReceiving(2.5), EndConnection(1)]
        for order in orders:
            assert send_order(ours, order)

        assert [receive_order(theirs) for _ in orders] == orders


def test_a_process_that_does_not_read_its_orders_does_not_stop_the_supervisor() -> None:
    ours, theirs = order_sockets()
    with ours, theirs:
        sent = 0
        while send_order(ours, EndConnection(sent)):
            sent += 1
            assert sent < 1_000_000

        assert sent > 100


def test_the_end_of_the_supervisor_is_an_order_too() -> None:
    ours, theirs = order_sockets()
    with theirs:
        ours.close()

        assert receive_order(theirs) is None


class Supervisor:
    """Answers calls by a function, each in the order that the test wants."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.results: dict[str, Any] = {}
        self.bodies: list[Any] = []

    def run(self) -> None:
        while frames := self.frames.receive():
            for frame in frames:
                self.bodies.append(frame["body"])
                if "id" in frame:
                    self.frames.send_at_once(answer(frame["id"], self.results.get(frame["call"])))


@contextmanager
def channel() -> Iterator[tuple[ChannelClient, Supervisor]]:
    ours, theirs = socket.socketpair()
    supervisor, closed = Supervisor(Frames(ours)), threading.Event()
    client = ChannelClient(theirs, on_closed=closed.set)
    client.start()
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    yield client, supervisor
    supervisor.frames.hang_up()
    thread.join(DEADLINE_S)
    assert closed.wait(DEADLINE_S)
    supervisor.frames.close()
    theirs.close()


def test_a_row_crosses_whole_and_its_outcome_comes_back() -> None:
    with channel() as (client, supervisor):
        supervisor.results["record"] = Outcome.OTHER_CONTENT

        outcome = RemoteRecorder(client).record(NEW)

        assert outcome is Outcome.OTHER_CONTENT
        assert new_instance(supervisor.bodies[0], NEW.received_at) == NEW


@pytest.mark.parametrize(
    ("raised", "expected", "text"),
    [
        (StorageFull("no space"), StorageFull, "no space"),
        (StorageError("gone"), StorageError, "gone"),
        (InputRejected("bad"), InputRejected, "bad"),
        (KeyError("a patient's name"), StorageError, "unexpected KeyError"),
    ],
)
def test_an_error_of_the_supervisor_is_raised_in_the_process(
    raised: Exception, expected: type[Exception], text: str
) -> None:
    with channel() as (client, supervisor):
        supervisor.results["record"] = raised

        with pytest.raises(expected, match=text) as caught:
            RemoteRecorder(client).record(NEW)

        assert type(caught.value) is expected
        assert "patient" not in str(caught.value)


def test_a_refused_commitment_keeps_its_status() -> None:
    request = CommitmentRequest(
        calling_ae_title="SCANNER", address="10.0.0.1", transaction_uid="2.25.9", instances=(("1.2", "2.25.1"),)
    )
    with channel() as (client, supervisor):
        supervisor.results["commitment_requested"] = CommitmentRefused("known", status=0x0131)

        with pytest.raises(CommitmentRefused) as caught:
            RemoteServices(client).commitment_requested(request)

        assert caught.value.dimse_status == 0x0131
        assert service_argument("commitment_requested", supervisor.bodies[0]) == request


def test_the_arguments_of_every_service_cross_whole() -> None:
    result = CommitmentResult(
        calling_ae_title="PACS",
        transaction_uid="2.25.9",
        committed=(("1.2", "2.25.1"),),
        failed=(("1.2", "2.25.2", 0x0112),),
    )
    refused = NewQuarantined(
        file="quarantine/00/x",
        content_sha256="cd" * 32,
        byte_count=3,
        calling_ae_title="SCANNER",
        sop_class_uid="",
        sop_instance_uid="",
        transfer_syntax_uid="1.2.840.10008.1.2",
        status=0xC000,
        reason="no UID",
        received_at=NOW,
    )
    with channel() as (client, supervisor):
        services = RemoteServices(client)
        services.commitment_result(result)
        services.quarantined(refused)

        assert service_argument("commitment_result", supervisor.bodies[0]) == result
        assert service_argument("quarantined", supervisor.bodies[1]) == refused


def test_a_place_or_its_refusal_comes_back() -> None:
    with channel() as (client, supervisor):
        places = RemotePlaces(client)
        assert places.take(3) is None

        supervisor.results["take_place"] = Refusal.LOCAL_LIMIT_EXCEEDED.name

        assert places.take(4) is Refusal.LOCAL_LIMIT_EXCEEDED
        assert supervisor.bodies == [3, 4]


def test_many_threads_get_each_its_own_answer() -> None:
    ours, theirs = socket.socketpair()
    frames = Frames(ours)
    client = ChannelClient(theirs, on_closed=lambda: None)
    client.start()
    with ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(client.call, "echo", number) for number in range(8)]
        asked: list[Any] = []
        while len(asked) < 8:
            asked += frames.receive()
        for frame in reversed(asked):
            frames.send(answer(frame["id"], frame["body"]))

        assert [call.result(DEADLINE_S) for call in calls] == list(range(8))
    frames.hang_up()
    ours.close()
    theirs.close()


def test_a_call_to_a_supervisor_that_dies_ends() -> None:
    ours, theirs = socket.socketpair()
    closed = threading.Event()
    client = ChannelClient(theirs, on_closed=closed.set)
    client.start()
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(RemoteRecorder(client).record, NEW)
        Frames(ours).receive()
        ours.close()

        with pytest.raises(ChannelClosed):
            call.result(DEADLINE_S)
    assert closed.wait(DEADLINE_S)
    with pytest.raises(ChannelClosed):
        client.call("echo", 1)
    theirs.close()


def test_a_process_that_does_not_read_its_answers_is_hung_up_on() -> None:
    ours, theirs = socket.socketpair()
    frames = Frames(ours)
    with ours, theirs:
        for number in range(100_000):
            frames.send_at_once(answer(number, "x" * 1000))

        received = 0
        while data := theirs.recv(1 << 20):
            received += len(data)

        assert received < 100_000 * 1000


def test_a_frame_in_pieces_is_one_frame() -> None:
    ours, theirs = socket.socketpair()
    sender, reader = Frames(ours), Frames(theirs)
    sender.send({"call": "a", "body": "x" * 1000})
    whole = theirs.recv(10_000)
    with ours, theirs, ThreadPoolExecutor(1) as threads:
        ours.sendall(whole[:7])
        frames = threads.submit(reader.receive)
        ours.sendall(whole[7:])

        assert frames.result(DEADLINE_S) == [{"call": "a", "body": "x" * 1000}]
