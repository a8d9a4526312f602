"""The embedded archive: what it was sent is in its folder, once, and can be waited for."""

from pathlib import Path
from threading import Timer

import pytest

from node.embedded_archive import EmbeddedArchive
from node.errors import NodeError
from node.store_scu import StoreOutcome, store
from tests.node.network.objects import EXPLICIT, MR, mr_file
from tests.node.network.peers import DEADLINE_S, LOOPBACK, data_set_of, request_association


def send(archive: EmbeddedArchive, *files: Path) -> None:
    results = store(
        files,
        host=LOOPBACK,
        port=archive.port,
        called_ae_title=archive.ae_title,
        calling_ae_title="SPINENODE",
        timeout_s=DEADLINE_S,
    )
    assert {result.outcome for result in results} == {StoreOutcome.SENT}


def test_an_object_sent_twice_is_held_once(archive: EmbeddedArchive, tmp_path: Path) -> None:
    image = mr_file(tmp_path)

    send(archive, image)
    send(archive, image)

    ((sop_class_uid, path),) = archive.stored()
    assert sop_class_uid == MR
    assert data_set_of(path) == data_set_of(image)
    assert archive.received_count == 2
    assert archive.received() == [archive.stored()[0][0]] * 2


def test_waiting_ends_when_the_awaited_objects_are_there(archive: EmbeddedArchive, tmp_path: Path) -> None:
    images = [mr_file(tmp_path, number) for number in range(3)]
    later = Timer(0.1, send, (archive, *images))
    later.start()

    stored = archive.wait_for(lambda objects: len(objects) == 3, timeout_s=DEADLINE_S)

    later.join()
    assert [data_set_of(path) for _, path in stored] == [data_set_of(image) for image in images]


def test_waiting_in_vain_ends_with_what_came(archive: EmbeddedArchive) -> None:
    with pytest.raises(TimeoutError, match="holds 0 objects"):
        archive.wait_for(bool, timeout_s=0.05)


def test_it_answers_a_verification_request_on_loopback_only(archive: EmbeddedArchive) -> None:
    association = request_association(archive.port, [(MR, EXPLICIT)], called="ARCHIVE")

    status = association.send_c_echo()

    association.release()
    assert status.Status == 0x0000


def test_a_stopped_archive_has_no_port(archive: EmbeddedArchive) -> None:
    archive.stop()

    with pytest.raises(NodeError, match="start"):
        _ = archive.port
