"""Sending: one result per file that tells success, warning, refusal for now and refusal for good apart."""

import errno
import os
import socket
import threading
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import (
    CTImageStorage,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    RLELossless,
)
from pynetdicom.events import Event

from node.embedded_archive import EmbeddedArchive
from node.outgoing import OutgoingObject
from node.sending import batch
from node.sending.results import NoAnswer
from node.store_scu import (
    MAXIMUM_CONTEXTS,
    Peer,
    StoreOutcome,
    StoreResult,
    classify,
    plan_associations,
    store,
    store_each,
)
from tests.node.network.objects import (
    EXPLICIT,
    dicom_file,
    encoded,
    mr_file,
    mr_image,
    shared_files,
)
from tests.node.network.peers import LOOPBACK, data_set_of, peer_that
from tests.postgresql import free_port
from tests.real_data import needs_shared_data

TIMEOUT_S = 5.0


def send(files: list[Path], port: int, *, called: str = "ARCHIVE", timeout_s: float = TIMEOUT_S) -> list[StoreResult]:
    return store(
        files, host=LOOPBACK, port=port, called_ae_title=called, calling_ae_title="SPINENODE", timeout_s=timeout_s
    )


def test_files_arrive_byte_for_byte_and_each_has_its_result(archive: EmbeddedArchive, tmp_path: Path) -> None:
    images = [mr_file(tmp_path, number) for number in range(5)]
    seen: list[tuple[int, int]] = []

    results = store(
        images,
        host=LOOPBACK,
        port=archive.port,
        called_ae_title="ARCHIVE",
        calling_ae_title="SPINENODE",
        timeout_s=TIMEOUT_S,
        progress=lambda done, total: seen.append((done, total)),
    )

    assert [result.path for result in results] == images
    assert {(result.outcome, result.status, result.reason) for result in results} == {(StoreOutcome.SENT, 0, "")}
    assert [data_set_of(path) for _, path in archive.stored()] == [data_set_of(image) for image in images]
    assert seen == [(done, 5) for done in range(1, 6)]


@needs_shared_data
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_accepted_transfer_syntax_is_never_re_encoded(archive: EmbeddedArchive) -> None:
    images = [path for path in shared_files("neg-mr-nema-wg04-compressed") if path.stem.startswith("MR1")]

    results = send(images, archive.port)

    assert {result.outcome for result in results} == {StoreOutcome.SENT}
    sent = {pydicom.dcmread(path).SOPInstanceUID: data_set_of(path) for path in images}
    assert {pydicom.dcmread(path).SOPInstanceUID: data_set_of(path) for _, path in archive.stored()} == sent


@needs_shared_data
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_peer_that_takes_only_implicit_gets_the_same_pixels(tmp_path: Path) -> None:
    images = shared_files("mr-siemens-9-transfer-syntaxes")
    received: list[bytes] = []

    def keep(event: Event) -> int:
        received.append(event.encoded_dataset())
        return 0

    with peer_that(keep, syntaxes=(str(ImplicitVRLittleEndian),)) as port:
        results = send(images, port)

    assert {result.outcome for result in results} == {StoreOutcome.SENT}
    for image, content in zip(images, received, strict=True):
        (tmp_path / "received.dcm").write_bytes(content)
        arrived, original = pydicom.dcmread(tmp_path / "received.dcm"), pydicom.dcmread(image)
        assert arrived.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
        assert arrived.SOPInstanceUID == original.SOPInstanceUID
        assert (arrived.pixel_array == original.pixel_array).all()


@needs_shared_data
def test_what_cannot_be_decoded_for_the_peer_is_refused_with_the_reason() -> None:
    image = next(path for path in shared_files("neg-mr-nema-wg04-compressed") if path.stem == "MR1_JPLY")

    with peer_that(lambda event: 0) as port:
        (result,) = send([image], port)

    assert result.outcome is StoreOutcome.REFUSED
    assert "let the peer accept" in result.reason


def test_a_class_that_the_peer_does_not_take_is_refused_and_others_are_sent(tmp_path: Path) -> None:
    ct = dicom_file(
        tmp_path / "ct.dcm",
        encoded(mr_image(SOPClassUID=CTImageStorage)),
        sop_instance_uid="2.25.10001",
        sop_class_uid=str(CTImageStorage),
    )

    with peer_that(lambda event: 0) as port:
        refused, sent = send([ct, mr_file(tmp_path, 2)], port)
        (alone,) = send([ct], port)

    assert (sent.outcome, refused.outcome, alone.outcome) == (
        StoreOutcome.SENT,
        StoreOutcome.REFUSED,
        StoreOutcome.REFUSED_FOR_NOW,  # a peer that takes nothing at all may be about to be set up
    )
    assert "CT Image Storage" in refused.reason
    assert refused.status is None


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0x0000, StoreOutcome.SENT),
        (0xB000, StoreOutcome.SENT_WITH_WARNING),
        (0xB006, StoreOutcome.SENT_WITH_WARNING),
        (0xB007, StoreOutcome.SENT_WITH_WARNING),
        (0x0111, StoreOutcome.SENT_WITH_WARNING),
        (0xA700, StoreOutcome.REFUSED_FOR_NOW),
        (0xA7FF, StoreOutcome.REFUSED_FOR_NOW),
        (0x0110, StoreOutcome.REFUSED_FOR_NOW),
        (0x0124, StoreOutcome.REFUSED_FOR_NOW),
        (0xA900, StoreOutcome.REFUSED),
        (0xC000, StoreOutcome.REFUSED),
        (0xCFFF, StoreOutcome.REFUSED),
        (0x0122, StoreOutcome.REFUSED),
    ],
)
def test_each_status_has_its_outcome(tmp_path: Path, status: int, outcome: StoreOutcome) -> None:
    assert classify(status)[0] is outcome


@pytest.mark.parametrize("status", [0xB000, 0xA700, 0xC000])
def test_the_status_of_the_peer_is_in_the_result(tmp_path: Path, status: int) -> None:
    with peer_that(lambda event: status) as port:
        (result,) = send([mr_file(tmp_path)], port)

    assert result.status == status
    assert result.outcome is classify(status)[0]
    assert f"0x{status:04X}" in result.reason


def test_a_peer_that_is_not_there_refuses_all_for_now(tmp_path: Path) -> None:
    results = send([mr_file(tmp_path, 1), mr_file(tmp_path, 2)], free_port())

    assert [(result.outcome, result.status) for result in results] == [(StoreOutcome.REFUSED_FOR_NOW, None)] * 2
    assert "cannot be reached" in results[0].reason


def test_a_host_name_that_nobody_knows_is_a_refusal_for_now(tmp_path: Path) -> None:
    (result,) = store(
        [mr_file(tmp_path)],
        host="no-such-host.invalid",
        port=104,
        called_ae_title="ARCHIVE",
        calling_ae_title="SPINENODE",
        timeout_s=TIMEOUT_S,
    )

    assert result.outcome is StoreOutcome.REFUSED_FOR_NOW


def test_a_refused_association_is_told_with_its_reason(archive: EmbeddedArchive, tmp_path: Path) -> None:
    (result,) = send([mr_file(tmp_path)], archive.port, called="WRONG")

    assert result.outcome is StoreOutcome.REFUSED_FOR_NOW
    assert "Called AE title not recognised" in result.reason


def hang_up(event: Event) -> None:
    connection = event.assoc.dul.socket
    assert connection is not None
    assert connection.socket is not None
    connection.socket.shutdown(socket.SHUT_RDWR)


def test_an_object_at_which_the_peer_breaks_off_does_not_hurt_the_others(tmp_path: Path) -> None:
    def hang_up_at_the_second(event: Event) -> int:
        if event.request.AffectedSOPInstanceUID == "2.25.10002":  # type: ignore[union-attr]
            hang_up(event)
        return 0

    with peer_that(hang_up_at_the_second) as port:
        results = send([mr_file(tmp_path, number) for number in (1, 2, 3)], port)

    assert [result.outcome for result in results] == [
        StoreOutcome.SENT,
        StoreOutcome.REFUSED_FOR_NOW,
        StoreOutcome.SENT,
    ]


def test_a_peer_that_breaks_every_association_is_left_alone_after_three(tmp_path: Path) -> None:
    tries: list[str] = []

    def hang_up_always(event: Event) -> int:
        tries.append("")
        hang_up(event)
        return 0

    with peer_that(hang_up_always) as port:
        results = send([mr_file(tmp_path, number) for number in range(6)], port)

    assert len(tries) == 3
    assert {result.outcome for result in results} == {StoreOutcome.REFUSED_FOR_NOW}


@pytest.mark.filterwarnings(
    # pynetdicom, here the peer, leaves a connection that both sides abort to the garbage collector
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
def test_a_peer_that_never_answers_costs_one_timeout_for_all(tmp_path: Path) -> None:
    from threading import Event as Flag

    end = Flag()

    def wait(event: Event) -> int:
        end.wait(20)
        return 0

    with peer_that(wait) as port:
        results = send([mr_file(tmp_path, number) for number in range(4)], port, timeout_s=0.5)
        end.set()

    assert {result.outcome for result in results} == {StoreOutcome.REFUSED_FOR_NOW}
    assert "did not answer" in results[-1].reason


@pytest.mark.filterwarnings(
    # as above
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
def test_after_one_that_never_answers_the_next_object_is_not_tried(tmp_path: Path) -> None:
    arrived: list[str] = []
    end = threading.Event()

    def wait(event: Event) -> int:
        arrived.append(str(event.request.AffectedSOPInstanceUID))
        end.wait(10)
        return 0

    with peer_that(wait) as port:
        results = send([mr_file(tmp_path, number) for number in (1, 2)], port, timeout_s=0.5)
        end.set()

    assert arrived == [results[0].sop_instance_uid]
    assert "did not answer within 0.5 s" in results[1].reason


def test_a_file_that_cannot_be_read_for_our_own_reasons_is_not_refused(
    archive: EmbeddedArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path) -> OutgoingObject:
        if path.stem.endswith("1"):
            raise MemoryError
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    images = [mr_file(tmp_path, number) for number in (1, 2)]
    monkeypatch.setattr(batch, "read_outgoing", fails)

    results = send(images, archive.port)

    assert {(result.outcome, result.no_answer) for result in results} == {
        (StoreOutcome.REFUSED_FOR_NOW, NoAnswer.OWN_FAULT)
    }


def test_files_that_are_missing_or_no_dicom_are_refused_and_the_others_sent(
    archive: EmbeddedArchive, tmp_path: Path
) -> None:
    missing, text = tmp_path / "missing.dcm", tmp_path / "notes.txt"
    text.write_text("no image")

    results = send([missing, mr_file(tmp_path), text], archive.port)

    assert [result.outcome for result in results] == [StoreOutcome.REFUSED, StoreOutcome.SENT, StoreOutcome.REFUSED]


def test_closing_the_iterator_ends_the_association(archive: EmbeddedArchive, tmp_path: Path) -> None:
    peer = Peer(
        host=LOOPBACK, port=archive.port, called_ae_title="ARCHIVE", calling_ae_title="SPINENODE", timeout_s=TIMEOUT_S
    )
    results = store_each([mr_file(tmp_path, number) for number in range(3)], peer)
    next(results)

    results.close()

    assert len(archive.stored()) == 1


def outgoing(sop_class_uid: str, transfer_syntax_uid: str) -> OutgoingObject:
    return OutgoingObject(
        path=Path("unread"),
        sop_class_uid=sop_class_uid,
        sop_instance_uid="2.25.1",
        transfer_syntax_uid=transfer_syntax_uid,
        data_set_offset=0,
        byte_count=0,
        has_true_meta=True,
    )


def test_each_class_and_syntax_gets_one_context_of_its_own() -> None:
    objects = [outgoing(MRImageStorage, syntax) for syntax in (EXPLICIT, RLELossless, JPEG2000Lossless, EXPLICIT)]

    (plan,) = plan_associations(objects)

    assert set(plan.contexts) == {
        (MRImageStorage, syntax) for syntax in (EXPLICIT, ImplicitVRLittleEndian, RLELossless, JPEG2000Lossless)
    }
    assert plan.objects == objects


def test_more_contexts_than_an_association_holds_are_split() -> None:
    objects = [outgoing(f"1.2.3.{number}", RLELossless) for number in range(100)]

    plans = plan_associations(objects)

    assert len(plans) == 3
    assert all(len(plan.contexts) <= MAXIMUM_CONTEXTS for plan in plans)
    assert [made for plan in plans for made in plan.objects] == objects
