"""The bytes that arrive are the bytes of the file, whatever limits the peer sets and however it answers."""

import os
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom import AE, evt
from pynetdicom.events import Event

from node.errors import InputRejected, PeerUnavailable
from node.sending.association import Peer, open_association
from node.sending.store_path import AnswerMissing, StoreAnswer, send_object
from node.store_scu import StoreOutcome, store
from tests.node.network.objects import EXPLICIT, MR, mr_file, mr_image
from tests.node.network.peers import LOOPBACK, data_set_of, wait_until
from tests.node.sending.scripted_peer import (
    CONTEXT_ID,
    UID,
    Arrived,
    association,
    doing,
    object_of,
    pdu_of,
    receive_request,
    response,
)
from tests.postgresql import free_port
from tests.system.orthanc import build_loopback_shim

REPETITIONS = 3000


def exchange(path: Path, content: bytes, *, maximum_pdu_bytes: int, offset: int = 0) -> Arrived:
    """Send one object to a peer with this limit and give what it read."""
    read: list[Arrived] = []

    def take(peer: socket.socket) -> None:
        read.append(receive_request(peer))
        peer.sendall(response(int(read[0].command.MessageID)))

    with association(maximum_pdu_bytes=maximum_pdu_bytes) as (ours, peer), doing(lambda: take(peer)):
        answer = send_object(ours, CONTEXT_ID, object_of(path, content, offset=offset))
    assert answer == StoreAnswer(status=0)
    return read[0]


@given(
    maximum_pdu_bytes=st.one_of(st.integers(8, 300), st.integers(4096, 200_000), st.just(0)),
    size=st.integers(1, 60_000),
    offset=st.integers(0, 500),
)
@settings(max_examples=150, deadline=None)
def test_any_data_set_arrives_byte_for_byte_in_any_pdu_size(maximum_pdu_bytes: int, size: int, offset: int) -> None:
    size = min(size, 200 * max(maximum_pdu_bytes, 100) if maximum_pdu_bytes else size)
    content = random.Random(size).randbytes(size)  # noqa: S311 - test data
    with tempfile.TemporaryDirectory() as folder:
        arrived = exchange(Path(folder) / "object", content, maximum_pdu_bytes=maximum_pdu_bytes, offset=offset)

    assert arrived.data_set == content
    assert arrived.longest_pdu <= (maximum_pdu_bytes or 131_072)


@pytest.mark.parametrize("maximum_pdu_bytes", [*range(8, 72), 4096, 16_384, 131_072])
def test_every_fragment_but_the_last_is_even_and_as_long_as_the_peer_allows(
    tmp_path: Path, maximum_pdu_bytes: int
) -> None:
    size = (maximum_pdu_bytes - 6) & ~1
    lengths = {size - 1, size, size + 1, 2 * size} - {0}

    for length in lengths:
        content = bytes(length)
        arrived = exchange(tmp_path / "object", content, maximum_pdu_bytes=maximum_pdu_bytes)

        of_data_set = arrived.fragments[len(content) // -size :]
        assert sum(of_data_set) == len(content)
        assert set(of_data_set[:-1]) <= {size}


def test_a_data_set_of_many_megabytes_is_sent_in_parts(tmp_path: Path) -> None:
    content = random.Random(5).randbytes(5_000_001)  # noqa: S311 - test data

    assert exchange(tmp_path / "object", content, maximum_pdu_bytes=16_384).data_set == content


def test_the_command_names_the_object(tmp_path: Path) -> None:
    command = exchange(tmp_path / "object", b"12", maximum_pdu_bytes=0).command

    assert (command.CommandField, command.AffectedSOPClassUID, command.AffectedSOPInstanceUID) == (0x0001, MR, UID)
    assert command.CommandDataSetType != 0x0101
    assert command.CommandGroupLength == len(command_bytes(command))


def command_bytes(command: object) -> bytes:
    from pynetdicom.dsutils import encode

    content = encode(command, True, True)  # type: ignore[arg-type]
    assert content is not None
    return content[12:]  # the group length itself does not count


@pytest.mark.parametrize(("status", "comment"), [(0x0000, ""), (0xB006, "elements left out"), (0xA700, "disk full")])
def test_status_and_comment_of_the_peer_are_returned(tmp_path: Path, status: int, comment: str) -> None:
    with association() as (ours, peer), doing(lambda: answer_with(peer, response(1, status=status, comment=comment))):
        answer = send_object(ours, CONTEXT_ID, object_of(tmp_path / "object", b"12"))

    assert answer == StoreAnswer(status=status, comment=comment)


def answer_with(peer: socket.socket, content: bytes) -> None:
    receive_request(peer)
    peer.sendall(content)


def test_a_response_in_many_fragments_is_one_response(tmp_path: Path) -> None:
    whole = response(1)[12:]
    pieces = [
        pdu_of(whole[at : at + 7], control=0x01 if at + 7 < len(whole) else 0x03) for at in range(0, len(whole), 7)
    ]

    with association() as (ours, peer), doing(lambda: answer_with(peer, b"".join(pieces))):
        answer = send_object(ours, CONTEXT_ID, object_of(tmp_path / "object", b"12"))

    assert answer.status == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00", "aborted"),
        (b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00", "released"),
        (b"\x04\x00\xff\xff\xff\xff", "4294967295 bytes"),
        (b"\x99\x00\x00\x00\x00\x00", "0x99"),
        (pdu_of(b"12", control=0x02), "data set"),
        (b"\x04\x00\x00\x00\x00\x06\x00\x00\xff\xff\x01\x03", "wrong length"),
        (b"\x04\x00\x00\x00\x00\x03\x00\x00\x00", "broken PDV"),
        (pdu_of(b"\x00\x00\x00\x09\xff\xff\xff\xff", control=0x03), "broken command set"),
        (response(2), "something else"),
        (response(1, CommandField=0x8030), "something else"),
        (pdu_of(bytes(70_000), control=0x01), "does not end"),
        (b"", "closed"),
    ],
)
def test_whatever_else_a_peer_sends_is_no_answer_and_ends_the_association(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    def misbehave(peer: socket.socket) -> None:
        answer_with(peer, content)
        peer.shutdown(socket.SHUT_WR)

    with association() as (ours, peer), doing(lambda: misbehave(peer)), pytest.raises(AnswerMissing, match=reason):
        send_object(ours, CONTEXT_ID, object_of(tmp_path / "object", b"12"))

    assert not ours.is_open


def test_a_peer_that_stops_reading_costs_one_timeout(tmp_path: Path) -> None:
    with association(timeout_s=0.3) as (ours, _), pytest.raises(AnswerMissing, match="stopped reading"):
        send_object(ours, CONTEXT_ID, object_of(tmp_path / "object", bytes(5_000_000)))


def test_a_peer_that_does_not_answer_costs_one_timeout(tmp_path: Path) -> None:
    with (
        association(timeout_s=0.3) as (ours, peer),
        doing(lambda: receive_request(peer)),
        pytest.raises(AnswerMissing, match="did not answer in time"),
    ):
        send_object(ours, CONTEXT_ID, object_of(tmp_path / "object", b"12"))


def test_what_cannot_be_sent_leaves_the_association_as_it_was(tmp_path: Path) -> None:
    with association() as (ours, peer):
        with pytest.raises(InputRejected, match="no data set"):
            send_object(ours, CONTEXT_ID, object_of(tmp_path / "empty", b""))

        with doing(lambda: answer_with(peer, response(2))):
            assert send_object(ours, CONTEXT_ID, object_of(tmp_path / "object", b"12")).status == 0


@pytest.mark.parametrize("maximum_pdu_bytes", [0, 4096, 16_382, 131_072])
def test_pynetdicom_receives_the_bytes_of_the_file(tmp_path: Path, maximum_pdu_bytes: int) -> None:
    received: list[bytes] = []

    def keep(event: Event) -> int:
        received.append(event.encoded_dataset(include_meta=False))
        return 0

    entity = AE(ae_title="ARCHIVE")
    entity.maximum_pdu_size = maximum_pdu_bytes
    entity.add_supported_context(MR, [EXPLICIT])
    server = entity.start_server((LOOPBACK, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    assert server is not None
    images = [mr_file(tmp_path, number, PixelData=bytes(512) * number) for number in (1, 7, 40, 333)]
    try:
        results = send(images, server.server_address[1])
    finally:
        entity.shutdown()

    assert results == [StoreOutcome.SENT] * len(images)
    assert received == [data_set_of(image) for image in images]


def send(images: list[Path], port: int) -> list[StoreOutcome]:
    address = {"host": LOOPBACK, "port": port, "called_ae_title": "ARCHIVE", "calling_ae_title": "SPINENODE"}
    return [one.outcome for one in store(images, timeout_s=10.0, **address)]  # type: ignore[arg-type]


@pytest.fixture(params=[4096, 16_384, 131_072])
def storescp(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """DCMTK's receiver with a limit of its own; it keeps data sets bit by bit."""
    if shutil.which("storescp") is None:
        pytest.skip("DCMTK is not installed (apt-get install dcmtk)")
    folder, port = tmp_path / "arrived", free_port()
    folder.mkdir()
    options = ["--bit-preserving", "-pdu", str(request.param), "-od", str(folder)]
    environment = {**os.environ, "LD_PRELOAD": str(build_loopback_shim(tmp_path)), "TCP_NODELAY": "1"}
    with subprocess.Popen(["storescp", *options, str(port)], env=environment) as process:
        wait_until(lambda: answers(port), what="storescp listens")
        yield port, folder
        process.terminate()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


@pytest.mark.system
def test_thousands_of_objects_over_one_association_are_answered_one_by_one(
    tmp_path: Path, storescp: tuple[int, Path]
) -> None:
    port, folder = storescp
    (tmp_path / "images").mkdir()
    images = [
        mr_file(tmp_path / "images", number, PixelData=bytes(range(256)) * (number % 90)) for number in range(500)
    ]
    sent = {mr_image(number).SOPInstanceUID: data_set_of(path) for number, path in enumerate(images)}

    for _ in range(REPETITIONS // len(images)):  # each answer has a deadline of its own
        assert set(send(images, port)) == {StoreOutcome.SENT}

    arrived = {path.name.removeprefix("MR."): data_set_of(path) for path in folder.iterdir()}
    assert arrived == sent


def test_a_peer_that_speaks_no_dicom_is_unavailable() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        peer = Peer(
            host=LOOPBACK,
            port=server.getsockname()[1],
            called_ae_title="A",
            calling_ae_title="B",
            timeout_s=2.0,
        )
        with doing(speak), pytest.raises(PeerUnavailable):
            open_association(peer, [(MR, EXPLICIT)])


def test_a_peer_that_says_nothing_costs_one_timeout() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        peer = Peer(host=LOOPBACK, port=port, called_ae_title="A", calling_ae_title="B", timeout_s=0.3)
        with pytest.raises(PeerUnavailable, match="did not answer in time"):
            open_association(peer, [(MR, EXPLICIT)])
