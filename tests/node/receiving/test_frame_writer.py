"""Answers to a receiver process: however long one is, no other waits for it and nobody is hung up on for it."""

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from node.commitment.parsing import CommitmentRequest, OwedResult
from node.receiving.channel import ChannelClient, Frames, answer
from node.receiving.frame_writer import FrameWriter
from node.receiving.remote import RemoteServices, body_of
from tests.node.conftest import MR
from tests.node.network.peers import DEADLINE_S

INSTANCES = tuple((MR, f"2.25.{10**38 + number}") for number in range(20_000))
SMALL_BYTES = 4096

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """A socket pair whose buffers hold a small part of a long answer."""
    ours, its = socket.socketpair()
    with ours, its:
        yield ours, its


def narrow(end: socket.socket) -> None:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BYTES)


def test_a_result_of_twenty_thousand_instances_reaches_the_process_and_so_does_what_follows(ends: Ends) -> None:
    ours, its = ends
    supervisor, closed = Frames(ours), threading.Event()
    narrow(ours)
    process = ChannelClient(its, on_closed=closed.set)
    services = RemoteServices(process)
    owed = OwedResult(report_id=1, fence=1, attempt=1, committed=INSTANCES, failed=())

    def serve() -> None:
        while frames := supervisor.receive():
            for frame in frames:
                result = body_of(owed) if frame["call"] == "commitment_outcome" else "another answer"
                supervisor.send_at_once(answer(frame["id"], result))

    serving = threading.Thread(target=serve)
    serving.start()
    process.start()
    request = CommitmentRequest(
        calling_ae_title="SCANNER", address="127.0.0.1", transaction_uid="2.25.1", instances=INSTANCES
    )
    got = services.commitment_outcome(request)
    after = process.call("another", None)
    was_hung_up_on = closed.is_set()
    supervisor.hang_up()
    serving.join(DEADLINE_S)
    assert closed.wait(DEADLINE_S)

    assert got == owed
    assert after == "another answer"
    assert not was_hung_up_on


def test_writing_waits_for_no_reader_and_keeps_the_order(ends: Ends) -> None:
    ours, its = ends
    narrow(ours)
    writer = FrameWriter(ours)
    contents = [struct.pack(">I", number) * 10_000 for number in range(50)]

    are_taken = [writer.write(content) for content in contents]  # nobody reads yet
    arrived = its.recv(sum(map(len, contents)), socket.MSG_WAITALL)

    assert all(are_taken)
    assert arrived == b"".join(contents)


def test_an_end_that_leaves_too_much_unread_is_told_apart(ends: Ends) -> None:
    ours, _ = ends
    narrow(ours)
    writer = FrameWriter(ours, longest_backlog_bytes=100_000)

    are_taken = [writer.write(bytes(60_000)) for _ in range(4)]
    ours.shutdown(socket.SHUT_RDWR)

    assert are_taken[0]
    assert not are_taken[-1]


def test_an_end_that_is_gone_is_told(ends: Ends) -> None:
    ours, its = ends
    its.close()

    assert not FrameWriter(ours).write(b"hello")
