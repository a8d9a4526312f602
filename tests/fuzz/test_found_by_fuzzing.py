"""Each fault that the fuzzers found, with the smallest input that shows it. Rules in README.md."""

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from storage.database import upgrade
from tests.node.network.peers import ReceivingNode, receiving_node, wait_until
from tests.torture.scanner import CONTEXT_ID, association_request

ABORT, ASSOCIATE_AC, ASSOCIATE_RJ = 0x07, 0x02, 0x03
ECHO_REQUEST = 0x0030
NO_DATA_SET = 0x0101
VERIFICATION = b"1.2.840.10008.1.1\0"
TIMEOUT_S = 10.0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ReceivingNode]:
    url = f"sqlite:///{tmp_path / 'unused.db'}"
    upgrade(url)
    with receiving_node(tmp_path, url) as node:
        yield node


def command_pdu(elements: dict[int, bytes]) -> bytes:
    """One P-DATA-TF PDU with one command set, its last fragment."""
    content = b"".join(struct.pack("<HHL", 0, number, len(value)) + value for number, value in elements.items())
    command = struct.pack("<HHLL", 0, 0, 4, len(content)) + content
    pdv = struct.pack(">LBB", len(command) + 2, CONTEXT_ID, 0x03) + command
    return struct.pack(">BBL", 0x04, 0, len(pdv)) + pdv


def number(value: int) -> bytes:
    return struct.pack("<H", value)


def an_echo(**changes: bytes | None) -> dict[int, bytes]:
    elements = {
        "affected_class": (0x0002, VERIFICATION),
        "field": (0x0100, number(ECHO_REQUEST)),
        "message": (0x0110, number(1)),
        "data_set": (0x0800, number(NO_DATA_SET)),
    }
    changed = {name: (tag, changes.get(name, value)) for name, (tag, value) in elements.items()}
    return {tag: value for tag, value in changed.values() if value is not None}


def answer_to(node: ReceivingNode, request: bytes, rest: bytes) -> tuple[list[int], list[str]]:
    """The types of the PDUs that the receiver sends until it ends the connection, and the events that it logs."""
    with structlog.testing.capture_logs() as logs:
        with socket.create_connection(("127.0.0.1", node.port), TIMEOUT_S) as peer:
            peer.sendall(request)
            received = peer.recv(1 << 16)
            if received and received[0] == ASSOCIATE_AC:
                peer.sendall(rest)
            while more := peer.recv(1 << 16):
                received += more
        ended = ("association_aborted", "connection_fault", "association_refused", "peer_broke_the_protocol")
        wait_until(lambda: any(one["event"].startswith(ended) for one in logs), what="the end of the association")
    types, at = [], 0
    while at < len(received):
        types.append(received[at])
        at += 6 + struct.unpack_from(">L", received, at + 2)[0]
    return types, [one["event"] for one in logs]


@pytest.mark.parametrize(
    "elements",
    [
        pytest.param(an_echo(field=None), id="without a command field"),
        pytest.param(an_echo(data_set=None), id="without a data set type"),
        pytest.param(an_echo(field=number(0x0041)), id="with a command that does not exist"),
        pytest.param(an_echo(field=number(1) + number(2)), id="with two command fields in one"),
        pytest.param(an_echo(field=b"../../../../tmp/x"), id="with a text for a command field"),
        pytest.param(an_echo(data_set=b"../../../../tmp/x"), id="with a text for a data set type"),
    ],
)
def test_a_command_set_that_cannot_be_understood_aborts_the_association_and_is_no_fault_of_ours(
    node: ReceivingNode, elements: dict[int, bytes]
) -> None:
    types, events = answer_to(node, association_request("SPINENODE"), command_pdu(elements))

    assert "connection_fault" not in events
    assert types == [ASSOCIATE_AC, ABORT]


@pytest.mark.parametrize("context_id", [0, 2])
def test_a_request_with_an_even_presentation_context_ends_the_connection_and_is_no_fault_of_ours(
    node: ReceivingNode, context_id: int
) -> None:
    request = association_request("SPINENODE")
    item = request.index(b"\x20\x00", 74 + 4)  # the presentation context item, PS3.8 9.3.2.2

    types, events = answer_to(node, request[: item + 4] + bytes([context_id]) + request[item + 5 :], b"")

    assert "connection_fault" not in events
    assert types in ([ABORT], [ASSOCIATE_RJ])


def test_a_request_for_a_context_without_abstract_syntax_ends_the_connection_and_is_no_fault_of_ours(
    node: ReceivingNode,
) -> None:
    request = association_request("SPINENODE")
    outer = request.index(b"\x20\x00", 74 + 4)  # the presentation context item and its length, PS3.8 9.3.2.2
    inner = request.index(b"\x30\x00", outer)  # its abstract syntax
    size = 4 + struct.unpack_from(">H", request, inner + 2)[0]
    (outer_length,) = struct.unpack_from(">H", request, outer + 2)
    without = request[: outer + 2] + struct.pack(">H", outer_length - size) + request[outer + 4 : inner]
    without += request[inner + size :]
    without = without[:2] + struct.pack(">L", len(without) - 6) + without[6:]

    types, events = answer_to(node, without, b"")

    assert "connection_fault" not in events
    assert types in ([ABORT], [ASSOCIATE_RJ])
