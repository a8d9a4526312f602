"""The P-DATA path reads messages as pynetdicom does, for any fragmentation; hypothesis cuts them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import P_DATA

from node.receiving.command_set import StoreRequest, parse_store_request, store_response
from node.receiving.p_data import PDataPath
from node.receiving.pdu import COMMAND, LAST, PDU_HEADER, InvalidPdu, p_data
from tests.node.receiving.raw_peer import (
    ECHO_CONTEXT,
    MR_CONTEXT,
    Pdv,
    cancel_command,
    command_elements,
    echo_command,
    fragments,
    pdu,
    store_command,
)

OTHER_CONTEXT = 5
ACCEPTED = {MR_CONTEXT, ECHO_CONTEXT, OTHER_CONTEXT}
Heard = tuple[int, str, bytes]  # context, SOP Instance UID or name of the command, data set


@dataclass
class Ear:
    """Takes the messages of both ways, and writes down what it heard."""

    heard: list[Heard] = field(default_factory=list)
    stores: int = 0  # messages that went past pynetdicom
    request: tuple[int, StoreRequest] | None = None
    data_set: bytearray = field(default_factory=bytearray)
    dimse: DIMSEServiceProvider = field(default_factory=lambda: DIMSEServiceProvider(Mock(get_handlers=lambda _: [])))

    def begin(self, context_id: int, request: StoreRequest) -> None:
        self.request, self.data_set = (context_id, request), bytearray()

    def data(self, fragments: Sequence[memoryview]) -> None:
        for fragment in fragments:
            self.data_set += fragment

    def end(self) -> None:
        assert self.request is not None
        context_id, request = self.request
        self.stores += 1
        self.heard.append((context_id, request.sop_instance_uid, bytes(self.data_set)))

    def take(self, pdvs: Sequence[tuple[int, bytes]]) -> bool:
        primitive = P_DATA()
        primitive.presentation_data_value_list = [list(pdv) for pdv in pdvs]
        self.hear(primitive)
        return self.dimse.message is not None

    def hear(self, primitive: P_DATA) -> None:
        """pynetdicom's own path."""
        self.dimse.receive_primitive(primitive)
        while not self.dimse.msg_queue.empty():
            context_id, message = self.dimse.msg_queue.get()
            assert context_id is not None
            self.heard.append(_described(context_id, message))
        for number in list(self.dimse.cancel_req):
            self.heard.append((0, f"cancel {number}", b""))
            del self.dimse.cancel_req[number]


def _described(context_id: int, message: Any) -> Heard:
    if isinstance(message, C_STORE):
        assert message.DataSet is not None
        return context_id, str(message.AffectedSOPInstanceUID), message.DataSet.getvalue()
    return context_id, type(message).__name__, b""


def by_our_path(stream: bytes, read_sizes: Sequence[int] = (1 << 20,)) -> Ear:
    """What is heard of a stream of P-DATA-TF PDUs that arrives in reads of these sizes, over and over."""
    ear = Ear()
    path = PDataPath(is_accepted=ACCEPTED.__contains__, stores=ear, others=ear)
    unread, at, turn = bytearray(), 0, 0
    while at < len(stream) or len(unread) >= PDU_HEADER.size:
        size = read_sizes[turn % len(read_sizes)]
        unread += stream[at : at + size]
        at, turn = at + size, turn + 1
        while True:
            if not path.is_within_pdu:
                if len(unread) < PDU_HEADER.size:
                    break
                path.begin_pdu(PDU_HEADER.unpack_from(unread)[1])
                del unread[: PDU_HEADER.size]
            taken = path.consume(memoryview(bytes(unread)))
            path.flush()
            del unread[:taken]
            if not taken and path.is_within_pdu:
                break
    return ear


def by_pynetdicom(stream: bytes) -> Ear:
    ear, at = Ear(), 0
    while at < len(stream):
        end = at + PDU_HEADER.size + PDU_HEADER.unpack_from(stream, at)[1]
        decoded = P_DATA_TF()
        decoded.decode(stream[at:end])
        ear.hear(decoded.to_primitive())
        at = end
    return ear


def pdvs_of(context_id: int, command: bytes, data_set: bytes | None, cuts: Sequence[Sequence[int]]) -> list[Pdv]:
    """One message in PDVs, its command and data set cut at these places."""
    pdvs = []
    for kind, content, places in ((COMMAND, command, cuts[0]), (0, data_set, cuts[1])):
        if content is not None:
            parts = fragments(content, places)
            pdvs += [Pdv(context_id, kind, part) for part in parts[:-1]] + [Pdv(context_id, kind | LAST, parts[-1])]
    return pdvs


@st.composite
def messages(draw: st.DrawFn) -> list[Pdv]:
    cuts = draw(st.tuples(st.lists(st.integers(0, 200), max_size=4), st.lists(st.integers(0, 3000), max_size=6)))
    number = draw(st.integers(1, 99))
    kind = draw(st.sampled_from(["store", "store", "store", "echo", "cancel"]))
    if kind == "store":
        data_set = draw(st.binary(max_size=60)) * draw(st.integers(0, 50))
        context_id = draw(st.sampled_from([MR_CONTEXT, OTHER_CONTEXT]))
        return pdvs_of(context_id, store_command(f"2.25.{number}", message_id=number), data_set, cuts)
    command = echo_command(number) if kind == "echo" else cancel_command(number)
    return pdvs_of(ECHO_CONTEXT, command, None, cuts)


def in_pdus(message: Sequence[Pdv], sizes: Sequence[int]) -> bytes:
    """The PDVs of one message, so many to a PDU."""
    stream, at, turn = b"", 0, 0
    while at < len(message):
        count = sizes[turn % len(sizes)]
        stream += pdu(*message[at : at + count])
        at, turn = at + count, turn + 1
    return stream


sizes = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@given(st.lists(messages(), max_size=5), sizes, st.lists(st.integers(1, 5000), min_size=1, max_size=5))
@settings(max_examples=300, deadline=None)
def test_any_fragmentation_of_messages_is_heard_as_pynetdicom_hears_it(
    sent: list[list[Pdv]], pdvs_per_pdu: list[int], read_sizes: list[int]
) -> None:
    stream = b"".join(in_pdus(message, pdvs_per_pdu) for message in sent)

    ours, theirs = by_our_path(stream, read_sizes), by_pynetdicom(stream)

    assert ours.heard == theirs.heard
    assert ours.stores == sum(name.startswith("2.25.") for _, name, _ in theirs.heard)


@given(st.lists(messages(), min_size=2, max_size=4), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_several_messages_in_one_pdu_are_all_heard(sent: list[list[Pdv]], read_size: int) -> None:
    apart = b"".join(in_pdus(message, [1]) for message in sent)

    together = by_our_path(pdu(*(pdv for message in sent for pdv in message)), [read_size])

    assert together.heard == by_pynetdicom(apart).heard


def test_a_data_set_before_its_command_is_left_to_pynetdicom() -> None:
    stream = pdu(Pdv(MR_CONTEXT, 0, b"data")) + pdu(Pdv(MR_CONTEXT, COMMAND | LAST, store_command("2.25.1")))
    stream += pdu(Pdv(MR_CONTEXT, LAST, b" and more"))

    ours = by_our_path(stream)

    assert ours.stores == 0
    assert ours.heard == by_pynetdicom(stream).heard


def test_a_request_without_data_set_is_answered_as_an_empty_one() -> None:
    command = store_command("2.25.1").replace(
        b"\x00\x00\x00\x08\x02\x00\x00\x00\x01\x00", b"\x00\x00\x00\x08\x02\x00\x00\x00\x01\x01"
    )

    ours = by_our_path(pdu(Pdv(MR_CONTEXT, COMMAND | LAST, command)))

    assert ours.heard == [(MR_CONTEXT, "2.25.1", b"")]


COMMAND_PDV = Pdv(MR_CONTEXT, COMMAND | LAST, store_command("2.25.1"))


@pytest.mark.parametrize(
    "stream",
    [
        pdu(Pdv(7, COMMAND | LAST, store_command("2.25.1"))),
        pdu(COMMAND_PDV) + pdu(Pdv(OTHER_CONTEXT, LAST, b"data")),
        pdu(COMMAND_PDV) + pdu(COMMAND_PDV),
        PDU_HEADER.pack(4, 6) + b"\x00\x00\x00\x03\x01\x03",
        PDU_HEADER.pack(4, 6) + b"\x00\x00\x00\x01\x01\x03",
        PDU_HEADER.pack(4, 6) + b"\xff\xff\xff\xff\x01\x03",
        PDU_HEADER.pack(4, 5) + b"\x00\x00\x00\x02\x01\x03",
        b"".join(pdu(Pdv(MR_CONTEXT, COMMAND, bytes(60_000))) for _ in range(2)),
        b"".join(pdu(Pdv(MR_CONTEXT, 0, bytes(1 << 20))) for _ in range(17)),
        pdu(*[Pdv(MR_CONTEXT, COMMAND, b"")] * 1000),
    ],
    ids=[
        "context not accepted",
        "context changes within a message",
        "command within a data set",
        "PDV longer than its PDU",
        "PDV without context",
        "PDV of 4 GB",
        "PDU ends within a header",
        "command set without end",
        "data without command, without end",
        "fragments of nothing, without end",
    ],
)
def test_a_broken_stream_is_refused(stream: bytes) -> None:
    with pytest.raises(InvalidPdu):
        by_our_path(stream, [1 << 16])


@pytest.mark.parametrize(
    "command",
    [
        echo_command(),
        cancel_command(1),
        b"",
        store_command("2.25.1")[:40],
        b"\x08\x00" + store_command("2.25.1")[2:],
        b"\xff" * 50,
    ],
)
def test_what_is_no_certain_store_request_is_not_ours(command: bytes) -> None:
    assert parse_store_request(command) is None


@given(st.binary(max_size=120))
@settings(max_examples=300, deadline=None)
def test_whatever_bytes_a_command_set_has_there_is_a_request_or_none(content: bytes) -> None:
    request = parse_store_request(content)

    assert request is None or isinstance(request, StoreRequest)


def test_a_response_names_what_it_answers() -> None:
    request = parse_store_request(store_command("2.25.77", message_id=513))
    assert request is not None

    response = command_elements(store_response(request, 0xC000, "a reason " * 20))

    assert response[0x0100] == b"\x01\x80"
    assert response[0x0120] == b"\x01\x02"
    assert response[0x0900] == b"\x00\xc0"
    assert response[0x1000] == b"2.25.77\0"
    assert len(response[0x0902]) == 64


@pytest.mark.parametrize("maximum", [0, 7, 64, 16384])
def test_a_command_set_is_sent_in_pdus_that_the_peer_takes(maximum: int) -> None:
    content = store_command("2.25.1")

    pdus = list(p_data(content, context_id=MR_CONTEXT, kind=COMMAND, maximum_pdu_bytes=maximum))

    assert all(len(one) - PDU_HEADER.size <= (maximum or 1 << 20) for one in pdus)
    assert by_our_path(b"".join(pdus) + pdu(Pdv(MR_CONTEXT, LAST, b"x"))).heard == [(MR_CONTEXT, "2.25.1", b"x")]
