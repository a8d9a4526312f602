"""Storage commitment over the node's own associations: questions of peers, and results that archives bring."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import build_role
from pynetdicom.association import Association

from config.settings import ReceiverSettings
from node.commitment.parsing import (
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    RESOURCE_LIMITATION,
    CommitmentRequest,
    CommitmentResult,
)
from node.commitment.peer import RequestingEntity
from node.errors import SUCCESS
from node.receiver import Receiver
from node.receiving.pdu import COMMAND, LAST
from storage.database import Database
from storage.files import FileStore
from storage.instances import InstanceRecorder
from tests.node.network.objects import EXPLICIT, MR, encoded, mr_image
from tests.node.network.peers import DEADLINE_S, LOOPBACK, NODE, RECEIVED_AT, SCANNER, SCANNER_ALLOWED
from tests.node.receiving.pools import RememberedServices
from tests.node.receiving.raw_peer import Pdv, associated, command_set, pdu, short, store_message, uid


@pytest.fixture
def services() -> RememberedServices:
    return RememberedServices()


@pytest.fixture
def port(tmp_path: Path, node_database_url: str, services: RememberedServices) -> Iterator[int]:
    database = Database(node_database_url)
    receiver = Receiver(
        ReceiverSettings(ae_title=NODE, bind_address=LOOPBACK, port=0, minimum_free_bytes=0),
        SCANNER_ALLOWED,
        files=FileStore(tmp_path / "files"),
        recorder=InstanceRecorder(database),
        clock=lambda: RECEIVED_AT,
        services=services,
    )
    receiver.start()
    yield receiver.port
    receiver.stop(drain_s=0.0)
    database.dispose()


def associate(port: int, *, as_scp: bool) -> Association:
    entity = RequestingEntity(ae_title=SCANNER)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = DEADLINE_S
    entity.add_requested_context(PUSH_MODEL, EXPLICIT)
    roles = [build_role(PUSH_MODEL, scp_role=True)] if as_scp else []
    association = entity.associate(LOOPBACK, port, ae_title=NODE, ext_neg=roles)
    assert association.is_established
    return association


def information(**sequences: list[Dataset]) -> Dataset:
    dataset = Dataset()
    dataset.TransactionUID = "2.25.600"
    for keyword, items in sequences.items():
        setattr(dataset, keyword, items)
    return dataset


def reference(uid: str, failure: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = MR, uid
    if failure is not None:
        item.FailureReason = failure
    return item


def test_a_question_of_a_peer_is_kept_before_it_is_answered(port: int, services: RememberedServices) -> None:
    association = associate(port, as_scp=False)

    status, _ = association.send_n_action(
        information(ReferencedSOPSequence=[reference("2.25.1")]), 1, PUSH_MODEL, PUSH_MODEL_INSTANCE
    )

    association.release()
    assert status.Status == SUCCESS
    assert services.asked == [
        CommitmentRequest(
            calling_ae_title=SCANNER, address=LOOPBACK, transaction_uid="2.25.600", instances=((MR, "2.25.1"),)
        )
    ]


def test_an_archive_brings_its_result_over_an_association_of_its_own(port: int, services: RememberedServices) -> None:
    association = associate(port, as_scp=True)
    (context,) = association.accepted_contexts

    status, _ = association.send_n_event_report(
        information(ReferencedSOPSequence=[reference("2.25.1")], FailedSOPSequence=[reference("2.25.2", 0x0112)]),
        2,
        PUSH_MODEL,
        PUSH_MODEL_INSTANCE,
    )

    association.release()
    assert context.as_scp
    assert status.Status == SUCCESS
    assert services.asked == [
        CommitmentResult(
            calling_ae_title=SCANNER,
            transaction_uid="2.25.600",
            committed=((MR, "2.25.1"),),
            failed=((MR, "2.25.2", 0x0112),),
        )
    ]


def test_a_question_about_nothing_is_refused_and_not_kept(port: int, services: RememberedServices) -> None:
    association = associate(port, as_scp=False)

    status, _ = association.send_n_action(information(), 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)

    association.release()
    assert status.Status != SUCCESS
    assert services.asked == []


def test_a_question_of_more_items_than_are_allowed_is_refused_and_not_kept(
    port: int, services: RememberedServices
) -> None:
    action = {0x0003: uid(PUSH_MODEL), 0x0100: short(0x0130), 0x0110: short(1), 0x0800: short(1)}
    action |= {0x1001: uid(PUSH_MODEL_INSTANCE), 0x1008: short(1)}
    items = (b"\xfe\xff\x00\xe0" + bytes(4)) * 100_000
    sequence = b"\x08\x00\x99\x11SQ\0\0" + b"\xff" * 4 + items + b"\xfe\xff\xdd\xe0" + bytes(4)

    with associated(port, {1: (PUSH_MODEL, EXPLICIT)}) as peer:
        peer.send(pdu(Pdv(1, COMMAND | LAST, command_set(action))))
        for at in range(0, len(sequence), 10_000):
            kind = LAST if at + 10_000 >= len(sequence) else 0
            peer.send(pdu(Pdv(1, kind, sequence[at : at + 10_000])))
        statuses = peer.statuses(1)

    assert statuses == [RESOURCE_LIMITATION]
    assert services.asked == []


def test_a_refused_object_is_told_to_the_quarantine(port: int, services: RememberedServices) -> None:
    with associated(port) as peer:
        peer.send(store_message("2.25.10001", encoded(mr_image(2))))
        (status,) = peer.statuses(1)

    (refused,) = services.asked
    assert refused.status == status == 0xA900  # type: ignore[union-attr]
