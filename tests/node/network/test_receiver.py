"""The receiver's promises: what is acknowledged is kept unchanged; what is refused says why and hurts nobody."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pydicom
from pydicom.uid import RLELossless
from pynetdicom.association import Association

from node.commitment.peer import RequestingEntity
from node.part10 import IMPLEMENTATION_CLASS_UID
from storage.schema import Placement
from tests.node.network.objects import EXPLICIT, MR, PATIENT_NAME, dicom_file, encoded, mr_file, mr_image
from tests.node.network.peers import (
    NODE,
    RECEIVED_AT,
    SCANNER,
    ReceivingNode,
    data_set_of,
    request_association,
    send_files,
)


def test_an_acknowledged_instance_is_on_disk_unchanged_and_has_its_row(node: ReceivingNode, tmp_path: Path) -> None:
    image = mr_file(tmp_path)

    statuses = send_files(node.port, [image])

    assert statuses == [0x0000]
    (row,) = node.rows()
    assert node.kept_data_set(row) == data_set_of(image)
    assert row.sop_instance_uid == "2.25.10001"
    assert row.patient_name == PATIENT_NAME
    assert row.position_mm == [1.0, -10.5, 20.0]
    assert row.orientation == [0, 1, 0, 0, 0, -1]
    assert row.calling_ae_title == SCANNER
    assert row.received_at == RECEIVED_AT
    assert row.byte_count == len(data_set_of(image))


def test_a_kept_file_says_what_it_holds_and_who_sent_it(node: ReceivingNode, tmp_path: Path) -> None:
    send_files(node.port, [mr_file(tmp_path)])

    kept = pydicom.dcmread(node.files.path(node.rows()[0].file))

    assert kept.file_meta.MediaStorageSOPClassUID == MR
    assert kept.file_meta.MediaStorageSOPInstanceUID == "2.25.10001"
    assert kept.file_meta.TransferSyntaxUID == EXPLICIT
    assert kept.file_meta.SourceApplicationEntityTitle == SCANNER
    assert kept.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert kept.PatientName == PATIENT_NAME


def test_the_same_instance_sent_twice_is_acknowledged_twice_and_kept_once(node: ReceivingNode, tmp_path: Path) -> None:
    image = mr_file(tmp_path)

    statuses = send_files(node.port, [image, image])

    assert statuses == [0x0000, 0x0000]
    assert len(node.rows()) == 1


def test_another_content_under_a_known_uid_is_acknowledged_and_kept_apart(node: ReceivingNode, tmp_path: Path) -> None:
    first = mr_file(tmp_path, 1)
    other = dicom_file(
        tmp_path / "other.dcm", encoded(mr_image(1, StudyDate="20260103")), sop_instance_uid="2.25.10001"
    )

    statuses = send_files(node.port, [first, other])

    assert statuses == [0x0000, 0x0000]
    one, two = node.rows()
    assert two.placement == Placement.OTHER_CONTENT.value
    assert [node.kept_data_set(one), node.kept_data_set(two)] == [data_set_of(first), data_set_of(other)]


def test_instances_of_many_associations_are_all_kept(node: ReceivingNode, tmp_path: Path) -> None:
    batches = [[mr_file(tmp_path, 100 * sender + image) for image in range(10)] for sender in range(6)]

    with ThreadPoolExecutor(len(batches)) as senders:
        statuses = list(senders.map(lambda batch: send_files(node.port, batch), batches))

    assert statuses == [[0x0000] * 10] * 6
    sent = {pydicom.dcmread(path).SOPInstanceUID: data_set_of(path) for batch in batches for path in batch}
    assert {row.sop_instance_uid: node.kept_data_set(row) for row in node.rows()} == sent


def test_a_verification_request_of_a_known_caller_succeeds(node: ReceivingNode) -> None:
    association = request_association(node.port)

    status = association.send_c_echo()

    association.release()
    assert status.Status == 0x0000


def test_jpeg_extended_is_refused_at_negotiation_because_nothing_decodes_it(node: ReceivingNode) -> None:
    association = request_association(node.port, [(MR, "1.2.840.10008.1.2.4.51"), (MR, str(RLELossless))])

    accepted = _accepted(association)

    association.release()
    assert (MR, str(RLELossless)) in accepted
    assert (MR, "1.2.840.10008.1.2.4.51") not in accepted


def test_of_several_offered_encodings_a_native_one_is_taken(node: ReceivingNode) -> None:
    entity = RequestingEntity(ae_title=SCANNER)
    entity.add_requested_context(MR, [str(RLELossless), "1.2.840.10008.1.2", EXPLICIT])
    association = entity.associate("127.0.0.1", node.port, ae_title=NODE)

    accepted = _accepted(association)

    association.release()
    assert accepted == {(MR, EXPLICIT)}


def _accepted(association: Association) -> set[tuple[str, str]]:
    return {
        (str(context.abstract_syntax), str(context.transfer_syntax[0])) for context in association.accepted_contexts
    }
