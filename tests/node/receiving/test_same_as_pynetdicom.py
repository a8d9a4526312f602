"""The same bytes sent to the node and to a server of pynetdicom's with the same sink: same statuses, same files.

But for one thing that is named in its test: the library takes an object over the context of another SOP Class.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import CTImageStorage, JPEG2000Lossless, RLELossless
from pynetdicom import AE, evt
from pynetdicom.events import Event

from config.settings import ReceiverSettings
from node.errors import CANNOT_UNDERSTAND, DATA_SET_MISMATCH, SUCCESS, NodeError, dimse_status
from node.instance_sink import AnnouncedObject, InstanceSink
from node.receiving.pdu import COMMAND, LAST
from node.storage_contexts import TRANSFER_SYNTAXES, supported_contexts
from storage.database import Database
from storage.files import FileStore
from storage.instances import InstanceRecorder
from tests.node.network.objects import EXPLICIT, MR, encoded, mr_image
from tests.node.network.peers import LOOPBACK, NODE, RECEIVED_AT, ReceivingNode, receiving_node
from tests.node.receiving.raw_peer import (
    ECHO_CONTEXT,
    MR_CONTEXT,
    RELEASE_RQ,
    Contexts,
    Pdv,
    associated,
    cancel_command,
    command_elements,
    echo_command,
    fragments,
    pdu,
    store_command,
    store_message,
)

CONTEXTS: Contexts = {
    MR_CONTEXT: (MR, EXPLICIT),
    ECHO_CONTEXT: ("1.2.840.10008.1.1", EXPLICIT),
    5: (MR, "1.2.840.10008.1.2"),
    7: (MR, "1.2.840.10008.1.2.2"),
    9: (MR, "1.2.840.10008.1.2.1.99"),
    11: (MR, str(RLELossless)),
}


@dataclass(frozen=True)
class BothWays:
    node: ReceivingNode
    reference_port: int
    reference: Database
    reference_files: FileStore


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, migrated_database: Path) -> Iterator[BothWays]:
    folder = tmp_path_factory.mktemp("both")
    urls = [f"sqlite:///{shutil.copy(migrated_database, folder / name)}" for name in ("node.db", "reference.db")]
    reference, files = Database(urls[1]), FileStore(folder / "reference")
    sink = InstanceSink(
        files,
        InstanceRecorder(reference),
        clock=lambda: RECEIVED_AT,
        settings=ReceiverSettings(minimum_free_bytes=0),
    )
    entity = AE(ae_title=NODE)
    entity.supported_contexts = supported_contexts()
    server = entity.start_server((LOOPBACK, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, _store, [sink])])
    assert server is not None
    with receiving_node(folder, urls[0]) as node:
        yield BothWays(node, server.server_address[1], reference, files)
    entity.shutdown()
    reference.dispose()


def _store(event: Event, sink: InstanceSink) -> int:
    request: Any = event.request
    announced = AnnouncedObject(
        sop_class_uid=str(request.AffectedSOPClassUID),
        sop_instance_uid=str(request.AffectedSOPInstanceUID),
        transfer_syntax_uid=str(event.context.transfer_syntax),
        calling_ae_title="SCANNER",
    )
    try:
        sink.take(announced, request.DataSet.getvalue())
    except NodeError as error:
        return dimse_status(error)
    return SUCCESS


@dataclass(frozen=True)
class Sent:
    """One message, and how many answers it gets."""

    pdus: bytes
    answers: int


Answer = dict[int, bytes]


def answers_to(port: int, sent: Sequence[Sent], contexts: Contexts = CONTEXTS) -> list[Answer]:
    """The command sets of all responses, and a last word that the association was released."""
    got = []
    with associated(port, contexts) as peer:
        for message in sent:
            peer.send(message.pdus)
            got += [peer.read_response() for _ in range(message.answers)]
        peer.send(RELEASE_RQ)
        assert peer.end() == [0x06]
    return got


def essence(answer: Answer) -> Answer:
    """Without the group length and the comment, in which our words may differ from the library's."""
    return {element: value for element, value in answer.items() if element not in (0x0000, 0x0902)}


def kept(files: FileStore) -> dict[str, str]:
    """Hashes of all kept files by name."""
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in files.root.rglob("*.dcm")}


def in_pdus(context_id: int, command: bytes, data_set: bytes | None, cuts: Any, together: bool) -> bytes:
    pdvs = []
    for kind, content, places in ((COMMAND, command, cuts[0]), (0, data_set, cuts[1])):
        if content is not None:
            parts = fragments(content, places)
            pdvs += [Pdv(context_id, kind, part) for part in parts[:-1]] + [Pdv(context_id, kind | LAST, parts[-1])]
    return pdu(*pdvs) if together else b"".join(map(pdu, pdvs))


@st.composite
def sendings(draw: st.DrawFn) -> Sent:
    cuts = draw(st.tuples(st.lists(st.integers(0, 150), max_size=3), st.lists(st.integers(0, 1500), max_size=5)))
    together = draw(st.booleans())
    kind = draw(st.sampled_from(["store", "store", "store", "mismatch", "broken", "echo", "cancel"]))
    number = draw(st.integers(1, 10**6))
    if kind in ("echo", "cancel"):
        command = echo_command() if kind == "echo" else cancel_command(1)
        return Sent(in_pdus(ECHO_CONTEXT, command, None, cuts, together), int(kind == "echo"))
    context_id = draw(st.sampled_from([one for one in CONTEXTS if one != ECHO_CONTEXT]))
    syntax = CONTEXTS[context_id][1]
    data_set = encoded(mr_image(number), EXPLICIT if context_id == 11 else syntax)
    if kind == "broken":
        data_set = data_set[: draw(st.integers(0, 100))]
    announced = f"2.25.1000{number}" if kind != "mismatch" else "2.25.5"
    command = store_command(announced, message_id=draw(st.integers(0, 0xFFFF)))
    return Sent(in_pdus(context_id, command, data_set, cuts, together), 1)


@given(st.lists(sendings(), min_size=1, max_size=5))
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_any_messages_get_the_same_answers_and_leave_the_same_files(both: BothWays, sent: list[Sent]) -> None:
    ours = answers_to(both.node.port, sent)
    theirs = answers_to(both.reference_port, sent)

    assert [essence(answer) for answer in ours] == [essence(answer) for answer in theirs]
    assert kept(both.node.files) == kept(both.reference_files)


def test_each_transfer_syntax_is_kept_as_it_came(both: BothWays) -> None:
    contexts = {2 * number + 1: (MR, str(syntax)) for number, syntax in enumerate(TRANSFER_SYNTAXES)}
    data_sets = {}
    with associated(both.node.port, contexts) as peer:
        for context_id, (_, syntax) in contexts.items():
            instance = f"2.25.31{context_id}"
            native = syntax if syntax in (str(one) for one in TRANSFER_SYNTAXES[:4]) else EXPLICIT
            data_sets[instance] = encoded(mr_image(SOPInstanceUID=instance), native)
            peer.send(pdu(Pdv(context_id, COMMAND | LAST, store_command(instance))))
            peer.send(pdu(Pdv(context_id, LAST, data_sets[instance])))
            assert peer.statuses(1) == [SUCCESS]

    assert {uid: both.node.kept_data_set(both.node.row(uid)) for uid in data_sets} == data_sets
    assert both.node.row("2.25.3111").transfer_syntax_uid == str(JPEG2000Lossless)


def test_messages_in_one_pdu_are_all_answered(both: BothWays) -> None:
    images = [encoded(mr_image(number)) for number in (71, 72)]
    pdvs = []
    for number, image in zip((71, 72), images, strict=True):
        pdvs += [Pdv(MR_CONTEXT, COMMAND | LAST, store_command(f"2.25.1000{number}")), Pdv(MR_CONTEXT, LAST, image)]

    with associated(both.node.port) as peer:
        peer.send(pdu(*pdvs, Pdv(ECHO_CONTEXT, COMMAND | LAST, echo_command(9))))
        answers = [peer.read_response() for _ in range(3)]

    assert [answer[0x0100] for answer in answers] == [b"\x01\x80", b"\x01\x80", b"\x30\x80"]
    assert both.node.kept_data_set(both.node.row("2.25.100072")) == images[1]


@pytest.mark.parametrize("uid", ["../../x", "", "1.2.3/../../../../etc/passwd", "1.2.840." + "9" * 80, "\xff\xfe"])
def test_a_uid_that_is_none_is_refused_and_never_becomes_a_path(both: BothWays, uid: str) -> None:
    before = {path for path in both.node.files.root.parent.rglob("*") if path.suffix == ".dcm"}

    with associated(both.node.port) as peer:
        peer.send(pdu(Pdv(MR_CONTEXT, COMMAND | LAST, store_command(uid))))
        peer.send(pdu(Pdv(MR_CONTEXT, LAST, encoded(mr_image(4)))))
        peer.send(pdu(Pdv(MR_CONTEXT, COMMAND | LAST, store_command("2.25.5"))))
        peer.send(pdu(Pdv(MR_CONTEXT, LAST, encoded(mr_image(4)))))
        statuses = peer.statuses(2)

    assert statuses == [CANNOT_UNDERSTAND, DATA_SET_MISMATCH]
    assert {path for path in both.node.files.root.parent.rglob("*") if path.suffix == ".dcm"} == before


def test_the_answer_echoes_what_the_request_said(both: BothWays) -> None:
    with associated(both.node.port) as peer:
        peer.send(pdu(Pdv(MR_CONTEXT, COMMAND | LAST, store_command("2.25.10004", message_id=65535))))
        peer.send(pdu(Pdv(MR_CONTEXT, LAST, encoded(mr_image(4)))))
        answer = peer.read_response()

    sent = command_elements(store_command("2.25.10004"))
    assert (answer[0x0002], answer[0x1000], answer[0x0120]) == (sent[0x0002], sent[0x1000], b"\xff\xff")


def test_an_object_over_the_presentation_context_of_another_class_is_refused_where_pynetdicom_takes_it(
    both: BothWays,
) -> None:
    contexts = {1: (str(CTImageStorage), EXPLICIT), 3: (MR, EXPLICIT)}
    message = Sent(store_message("2.25.100081", encoded(mr_image(81))), 1)

    (ours,), (theirs,) = (answers_to(port, [message], contexts) for port in (both.node.port, both.reference_port))

    assert int.from_bytes(ours[0x0900], "little") == DATA_SET_MISMATCH
    assert int.from_bytes(theirs[0x0900], "little") == SUCCESS
    assert not list(both.node.files.root.rglob("*2.25.100081*"))
