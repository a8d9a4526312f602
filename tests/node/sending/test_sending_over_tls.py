"""Over TLS the same bytes arrive, and a destination that is not who it should be gets nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom import AE, evt
from pynetdicom.events import Event

from config.settings import DestinationSettings, TlsClientSettings, TlsServerSettings
from node.sending.results import NoAnswer, Shipment, StoreOutcome, StoreResult
from node.sending.ways import way_to
from node.tls import server_context
from tests.node.network.objects import EXPLICIT, MR, mr_file
from tests.node.network.peers import LOOPBACK, data_set_of
from tests.node.receiving.certificates import Authority, Certificate

pytestmark = [
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed"),
    # pynetdicom, here the peer, leaves a connection whose handshake failed to the garbage collector
    pytest.mark.filterwarnings("ignore:Exception ignored in. <(ssl|socket):pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Certificate:
    return authority.sign("spinenode.test")


@pytest.fixture
def received() -> list[bytes]:
    return []


@pytest.fixture
def port(authority: Authority, received: list[bytes]) -> Iterator[int]:
    """An archive that asks for a certificate."""
    its = authority.sign("archive.test")
    context = server_context(
        TlsServerSettings(certificate=its.certificate, private_key=its.private_key, trusted=authority.trusted)
    )

    def keep(event: Event) -> int:
        received.append(event.encoded_dataset(include_meta=False))
        return 0

    entity = AE(ae_title="ARCHIVE")
    entity.add_supported_context(MR, [EXPLICIT])
    server = entity.start_server(
        (LOOPBACK, 0), block=False, ssl_context=context, evt_handlers=[(evt.EVT_C_STORE, keep)]
    )
    assert server is not None
    yield server.server_address[1]
    entity.shutdown()


def send(files: list[Path], port: int, tls: TlsClientSettings) -> list[StoreResult]:
    destination = DestinationSettings(name="pacs", ae_title="ARCHIVE", host=LOOPBACK, port=port, timeout_s=5.0, tls=tls)
    carrier = way_to(destination, "SPINENODE")
    try:
        first = list(carrier.carry([Shipment(path=file) for file in files[:1]]))
        return first + list(carrier.carry([Shipment(path=file) for file in files[1:]]))
    finally:
        carrier.close()


def test_the_bytes_of_the_files_arrive(
    tmp_path: Path, authority: Authority, ours: Certificate, port: int, received: list[bytes]
) -> None:
    images = [mr_file(tmp_path, number, PixelData=bytes(512) * number) for number in (1, 500, 3)]
    tls = TlsClientSettings(trusted=authority.trusted, certificate=ours.certificate, private_key=ours.private_key)

    results = send(images, port, tls)

    assert [one.outcome for one in results] == [StoreOutcome.SENT] * 3
    assert received == [data_set_of(image) for image in images]


def test_a_destination_of_a_foreign_authority_gets_nothing(
    tmp_path: Path, ours: Certificate, port: int, received: list[bytes]
) -> None:
    foreign = Authority(tmp_path / "foreign", "Foreign CA").trusted
    tls = TlsClientSettings(trusted=foreign, certificate=ours.certificate, private_key=ours.private_key)

    (result,) = send([mr_file(tmp_path)], port, tls)

    assert (result.outcome, result.no_answer, received) == (StoreOutcome.REFUSED_FOR_NOW, NoAnswer.UNREACHED, [])
    assert "TLS failed" in result.reason


def test_a_destination_with_another_name_gets_nothing(
    tmp_path: Path, authority: Authority, port: int, received: list[bytes]
) -> None:
    tls = TlsClientSettings(trusted=authority.trusted, server_name="another.test")

    (result,) = send([mr_file(tmp_path)], port, tls)

    assert (result.no_answer, received) == (NoAnswer.UNREACHED, [])


def test_files_of_the_settings_that_cannot_be_used_are_told_and_the_objects_wait(tmp_path: Path) -> None:
    (result,) = send([mr_file(tmp_path)], 1, TlsClientSettings(trusted=tmp_path / "missing.pem"))

    assert (result.outcome, result.no_answer) == (StoreOutcome.REFUSED_FOR_NOW, NoAnswer.UNREACHED)
    assert "missing.pem" in result.reason
