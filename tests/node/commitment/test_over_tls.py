"""Storage commitment and queries over TLS: the same as without, and nothing for a peer that is not who it should be."""

import shutil
import ssl
from pathlib import Path

import pytest
import structlog
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.events import Event

from config.settings import (
    CallerSettings,
    DestinationSettings,
    Settings,
    TlsClientSettings,
    TlsServerSettings,
)
from node.commitment.holdings import Wanted, holds
from node.commitment.report import CommitmentReporter
from node.errors import PeerUnavailable
from node.tls import server_context
from storage.files import FileStore
from tests.node.commitment.peers import (
    ARCHIVE,
    LOOPBACK,
    NODE,
    SYNTAXES,
    Outbox,
    ScriptedArchive,
    ask_node,
    listening_asker,
    memory_of,
    node_port,
    question_for,
    result_of,
    scripted_archive,
    send_report,
    settings_for,
)
from tests.node.commitment.web_archive import WebArchive, dicom_json
from tests.node.conftest import MR
from tests.node.receiving.certificates import Authority, Certificate
from tests.postgresql import free_port

pytestmark = [
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed"),
    # pynetdicom, here the peer, leaves a connection whose handshake failed to the garbage collector
    pytest.mark.filterwarnings("ignore:Exception ignored in. <(ssl|socket):pytest.PytestUnraisableExceptionWarning"),
]

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
WANTED = Wanted(
    sop_class_uid=MR, sop_instance_uid="2.25.10001", study_instance_uid="2.25.2000", series_instance_uid="2.25.3000"
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Certificate:
    return authority.sign("spinenode.test")


@pytest.fixture(scope="module")
def theirs(authority: Authority) -> ssl.SSLContext:
    """Of a peer that asks for a certificate."""
    its = authority.sign("peer.test")
    return server_context(
        TlsServerSettings(certificate=its.certificate, private_key=its.private_key, trusted=authority.trusted)
    )


@pytest.fixture
def tls(authority: Authority, ours: Certificate) -> TlsClientSettings:
    return TlsClientSettings(trusted=authority.trusted, certificate=ours.certificate, private_key=ours.private_key)


@pytest.fixture
def mistrustful(tmp_path: Path, ours: Certificate) -> TlsClientSettings:
    foreign = Authority(tmp_path / "foreign", "Foreign CA").trusted
    return TlsClientSettings(trusted=foreign, certificate=ours.certificate, private_key=ours.private_key)


def over(tls: TlsClientSettings, settings: Settings) -> Settings:
    (pacs,) = settings.destinations
    return settings.model_copy(update={"destinations": (pacs.model_copy(update={"tls": tls}),)})


def commits_all(archive: ScriptedArchive, event: Event) -> None:
    archive.statuses.append(send_report(event.assoc, result_of(archive.questions[-1])))


def test_an_archive_is_asked_and_answers_over_tls(
    outbox: Outbox, theirs: ssl.SSLContext, tls: TlsClientSettings
) -> None:
    outbox.sent(2)

    with scripted_archive(commits_all, tls=theirs) as archive:
        asked = outbox.asker(over(tls, settings_for(archive.port))).ask_once()

        assert archive.joined() == [0x0000]
    assert asked == 1
    assert outbox.states() == ["committed", "committed"]


def test_an_archive_of_a_foreign_authority_is_not_asked(
    outbox: Outbox, theirs: ssl.SSLContext, mistrustful: TlsClientSettings
) -> None:
    outbox.sent()

    with scripted_archive(commits_all, tls=theirs) as archive:
        asker = outbox.asker(over(mistrustful, settings_for(archive.port)))
        with pytest.raises(PeerUnavailable):
            asker.ask_once()

    assert archive.questions == []
    assert outbox.states() == ["sent"]


def reporter_for(outbox: Outbox, folder: Path, port: int, tls: TlsClientSettings) -> CommitmentReporter:
    """Of a node that was asked for storage commitment by SCANNER, who takes results at this port."""

    def settings(report_port: int) -> Settings:
        caller = CallerSettings(
            ae_title="SCANNER",
            addresses=("127.0.0.0/8",),
            report_host=LOOPBACK,
            report_port=report_port,
            report_tls=tls,
        )
        return settings_for(callers=(caller,))

    with node_port(memory_of(outbox.database, settings(free_port()))) as asked_at:
        assert ask_node(asked_at, question_for([(MR, "2.25.404")])) == 0x0000
    outbox.clock.pass_s(2)
    return CommitmentReporter(outbox.database, FileStore(folder), settings(port), owner="test")


def test_a_caller_gets_its_result_over_tls(
    outbox: Outbox, tmp_path: Path, theirs: ssl.SSLContext, tls: TlsClientSettings
) -> None:
    with listening_asker(tls=theirs) as asker:
        reported = reporter_for(outbox, tmp_path, asker.port, tls).report_once("SCANNER")

    assert reported == 1
    assert asker.told() == (set(), {"2.25.404": 0x0112})


def test_a_caller_of_a_foreign_authority_gets_no_result(
    outbox: Outbox, tmp_path: Path, theirs: ssl.SSLContext, mistrustful: TlsClientSettings
) -> None:
    with listening_asker(tls=theirs) as asker:
        reporter = reporter_for(outbox, tmp_path, asker.port, mistrustful)
        with pytest.raises(PeerUnavailable):
            reporter.report_once("SCANNER")

    assert asker.results == []


def test_an_archive_is_queried_over_tls(theirs: ssl.SSLContext, tls: TlsClientSettings) -> None:
    def finds(event: Event) -> object:
        found = Dataset()
        found.QueryRetrieveLevel = "IMAGE"
        found.SOPInstanceUID = event.identifier.SOPInstanceUID
        yield 0xFF00, found

    entity = AE(ae_title=ARCHIVE)
    entity.add_supported_context(FIND, SYNTAXES)
    server = entity.start_server((LOOPBACK, 0), block=False, ssl_context=theirs, evt_handlers=[(evt.EVT_C_FIND, finds)])
    assert server is not None
    archive = DestinationSettings(
        name="pacs", ae_title=ARCHIVE, host=LOOPBACK, port=server.server_address[1], timeout_s=5.0, tls=tls
    )
    try:
        answer = holds(archive, WANTED, calling_ae_title=NODE)
    finally:
        entity.shutdown()

    assert answer is True


def test_a_web_archive_is_queried_over_tls_with_our_certificate(theirs: ssl.SSLContext, tls: TlsClientSettings) -> None:
    with WebArchive(lambda _path, _parameters: (200, dicom_json(["2.25.10001"])), theirs) as archive:
        destination = archive.destination.model_copy(update={"tls": tls})

        answer = holds(destination, WANTED, calling_ae_title=NODE)

    assert answer is True


def test_a_web_archive_of_a_foreign_authority_gets_neither_query_nor_token(
    theirs: ssl.SSLContext, mistrustful: TlsClientSettings
) -> None:
    with (
        WebArchive(lambda _path, _parameters: (200, dicom_json(["2.25.10001"])), theirs) as archive,
        structlog.testing.capture_logs() as logs,
    ):
        destination = archive.destination.model_copy(update={"tls": mistrustful})

        answer = holds(destination, WANTED, calling_ae_title=NODE)

    assert answer is None
    assert archive.asked == []
    assert [entry["reason"] for entry in logs] == ["ConnectError"]
