"""What a request costs before its peer is admitted: little memory, few items, and for a stranger next to nothing."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom._uid_dict import UID_dictionary
from pynetdicom.pdu_items import PresentationContextItemRQ, TransferSyntaxSubItem
from structlog.testing import capture_logs

from node.receiving.association_request import MOST_ITEMS, check_items, titles, without_items
from node.receiving.pdu import LONGEST_ASSOCIATION_PDU, PDU_HEADER, InvalidPdu, PduType
from tests.node.network.objects import EXPLICIT, MR
from tests.node.network.peers import NODE, SCANNER, ReceivingNode, receiving_node
from tests.node.receiving.raw_peer import association_request, connected

CALLING_NOT_RECOGNIZED = b"\0\1\1\3"  # PS3.8 9.3.4
TRANSFER_SYNTAXES = [uid for uid, what in UID_dictionary.items() if what[1] == "Transfer Syntax"]
SOP_CLASSES = [uid for uid, what in UID_dictionary.items() if what[1] == "SOP Class"]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, migrated_database: Path) -> Iterator[ReceivingNode]:
    folder = tmp_path_factory.mktemp("requests")
    database = folder / "node.db"
    database.write_bytes(migrated_database.read_bytes())
    with receiving_node(folder, f"sqlite:///{database}") as running:
        yield running


def item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def context(number: int, sop_class_uid: str, transfer_syntaxes: list[str]) -> bytes:
    proposed = b"".join(item(0x40, uid.encode()) for uid in transfer_syntaxes)
    return item(0x20, bytes([number, 0, 0, 0]) + item(0x30, sop_class_uid.encode()) + proposed)


def request(*contexts: bytes, calling: str = SCANNER, called: str = NODE) -> bytes:
    fixed = struct.pack(">HH16s16s32x", 1, 0, called.encode().ljust(16), calling.encode().ljust(16))
    user = item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3"))
    content = fixed + item(0x10, b"1.2.840.10008.3.1.1.1") + b"".join(contexts) + user
    return PDU_HEADER.pack(PduType.ASSOCIATE_RQ, len(content)) + content


def answer_to(node: ReceivingNode, stream: bytes) -> tuple[int, bytes]:
    with connected(node.port) as peer:
        peer.send(stream)
        answer = peer.read_pdu()
    assert answer is not None
    return answer


def test_the_titles_are_found_in_a_request_as_the_library_writes_it() -> None:
    found = titles(memoryview(association_request(calling="SOMEBODY")))

    assert (found.calling.strip(), found.called.strip()) == ("SOMEBODY", NODE)
    assert without_items(memoryview(association_request())) == request()[:2] + b"\0\0\0\x44" + request()[6:74]


def test_the_largest_request_of_an_honest_peer_is_accepted(node: ReceivingNode) -> None:
    longest = sorted(SOP_CLASSES, key=len)[-127:]
    everything = [context(2 * number + 1, uid, TRANSFER_SYNTAXES) for number, uid in enumerate(longest)]
    stream = request(*everything, context(255, MR, TRANSFER_SYNTAXES))
    assert len(stream) > 200_000

    assert answer_to(node, stream)[0] == PduType.ASSOCIATE_AC


def test_a_stranger_is_refused_by_its_titles_although_the_rest_of_its_request_never_comes(node: ReceivingNode) -> None:
    whole = request(context(1, MR, [EXPLICIT] * 2000), calling="STRANGER")

    assert answer_to(node, whole[:74]) == (PduType.ASSOCIATE_RJ, CALLING_NOT_RECOGNIZED)


def test_what_a_stranger_lists_is_not_decoded(node: ReceivingNode, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = counted(monkeypatch, PresentationContextItemRQ)

    answer = answer_to(node, request(*(context(number, MR, [EXPLICIT]) for number in (1, 3, 5)), calling="STRANGER"))

    assert answer == (PduType.ASSOCIATE_RJ, CALLING_NOT_RECOGNIZED)
    assert decoded == []


def counted(monkeypatch: pytest.MonkeyPatch, kind: type) -> list[int]:
    """Grows with each item of this kind that the library decodes."""
    decoded: list[int] = []
    decode = kind.decode  # type: ignore[attr-defined]

    def count(self: object, encoded: bytes) -> None:
        decoded.append(len(encoded))
        decode(self, encoded)

    monkeypatch.setattr(kind, "decode", count)
    return decoded


@pytest.mark.parametrize("where", ["in one context", "in many contexts", "in the user information", "side by side"])
def test_a_request_of_thousands_of_items_is_aborted_before_any_of_them_is_decoded(
    node: ReceivingNode, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    decoded = counted(monkeypatch, TransferSyntaxSubItem)
    streams = {
        "in one context": request(context(1, MR, ["1.2"] * (MOST_ITEMS + 1))),
        "in many contexts": request(*(context(1, MR, ["1"] * 100) for _ in range(MOST_ITEMS // 100))),
        "in the user information": request(item(0x50, item(0x55, b"x") * MOST_ITEMS)),
        "side by side": request(item(0x10, b"1.2") * (MOST_ITEMS + 1)),
    }

    with capture_logs() as logs:
        answer = answer_to(node, streams[where])

    assert answer[0] == PduType.ABORT
    assert decoded == []
    assert all("more than" in line["reason"] for line in logs if line["event"] == "peer_broke_the_protocol")


def test_items_are_counted_up_to_the_bound_whatever_their_lengths_say() -> None:
    check_items(memoryview(request(context(1, MR, ["1.2"] * (MOST_ITEMS - 6)))))
    check_items(memoryview(request(b"\x20\0\xff\xff", b"\x50\0\xff\xff", b"\x20\0\0\0", b"\x30")))

    with pytest.raises(InvalidPdu, match=str(MOST_ITEMS)):
        check_items(memoryview(request(context(1, MR, ["1.2"] * MOST_ITEMS))))


def test_a_longer_request_than_any_honest_one_is_not_read(node: ReceivingNode) -> None:
    answer = answer_to(node, PDU_HEADER.pack(PduType.ASSOCIATE_RQ, LONGEST_ASSOCIATION_PDU + 1))

    assert answer[0] == PduType.ABORT
