"""TLS by the BCP 195 profile: who is let in, who is not and why the log says so, and certificates that change."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from structlog.testing import capture_logs

from config.settings import CallerSettings, TlsClientSettings, TlsServerSettings
from node.admission import Admission, Refusal, Request
from node.commitment.peer import RequestingEntity
from node.dicom_stack import prepare_dicom_stack
from node.errors import NodeError
from node.metrics import Metrics
from node.storage_contexts import VERIFICATION
from node.tls import ReloadingContext, certificate_name, client_context, handshake_fault, server_context
from tests.node.network.objects import mr_file
from tests.node.network.peers import (
    DEADLINE_S,
    LOOPBACK,
    NODE,
    SCANNER,
    ReceivingNode,
    data_set_of,
    receiving_node,
    request_association,
    wait_until,
)
from tests.node.receiving.certificates import Authority, Certificate, openssl

SCANNER_NAME = "scanner.hospital.example"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder / "ours")


@pytest.fixture(scope="module")
def foreign(folder: Path) -> Authority:
    return Authority(folder / "foreign", name="Foreign CA")


@pytest.fixture(scope="module")
def own(authority: Authority) -> Certificate:
    return authority.sign("node.hospital.example")


@pytest.fixture(scope="module")
def scanner(authority: Authority) -> Certificate:
    return authority.sign(SCANNER_NAME)


@pytest.fixture
def node(tmp_path: Path, node_database_url: str, authority: Authority, own: Certificate) -> Iterator[ReceivingNode]:
    with receiving_node(tmp_path, node_database_url, tls=tls(own, authority)) as running:
        yield running


def tls(own: Certificate, authority: Authority, **changes: Any) -> TlsServerSettings:
    return TlsServerSettings(
        port=0, certificate=own.certificate, private_key=own.private_key, trusted=authority.trusted, **changes
    )


def tls_port(node: ReceivingNode) -> int:
    port = node.receiver.tls_port
    assert port is not None
    return port


def dcmtk(
    tool: str, port: int, certificate: Certificate | None, trusted: Path, *files: Path
) -> subprocess.CompletedProcess[str]:
    own: list[str | Path] = (
        ["+tla"] if certificate is None else ["+tls", certificate.private_key, certificate.certificate]
    )
    titles = ["-aet", SCANNER, "-aec", NODE]
    return subprocess.run(
        [tool, *own, "+cf", trusted, *titles, LOOPBACK, str(port), *files],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def s_client(port: int, *options: str | Path) -> str:
    """What openssl's client writes about the connection that it tries."""
    run = subprocess.run(
        ["openssl", "s_client", "-connect", f"{LOOPBACK}:{port}", *map(str, options)],
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return run.stdout + run.stderr


def identified(certificate: Certificate) -> list[str | Path]:
    return ["-cert", certificate.certificate, "-key", certificate.private_key]


@contextmanager
def the_failed_handshake(reason: str) -> Iterator[None]:
    """Asserts that one line of the log, and nothing secret in it, names this reason."""

    def reasons() -> list[object]:
        return [line["reason"] for line in logs if line["event"] == "tls_handshake_failed"]

    with capture_logs() as logs:
        yield
        wait_until(reasons, what="the line about the handshake")
    assert reasons()[0] == reason
    assert "PRIVATE KEY" not in str(logs)


def test_a_scanner_with_its_certificate_stores_over_tls(
    node: ReceivingNode, scanner: Certificate, authority: Authority, tmp_path: Path
) -> None:
    image = mr_file(tmp_path)

    sent = dcmtk("storescu", tls_port(node), scanner, authority.trusted, image)

    assert sent.returncode == 0, sent.stderr
    (row,) = node.rows()
    assert node.kept_data_set(row) == data_set_of(image)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_the_versions_of_the_profile_are_spoken(
    node: ReceivingNode, scanner: Certificate, authority: Authority, version: str
) -> None:
    said = s_client(tls_port(node), version, "-CAfile", authority.trusted, *identified(scanner))

    assert "Verify return code: 0 (ok)" in said
    assert "GCM" in said


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"), "no shared protocol version"),
        (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"), "no shared cipher suite"),
        (("-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"), "no shared cipher suite"),
    ],
    ids=["TLS 1.1", "CBC", "not in the list"],
)
def test_older_versions_and_weaker_suites_are_refused_by_name(
    node: ReceivingNode, scanner: Certificate, options: tuple[str, ...], reason: str
) -> None:
    with the_failed_handshake(reason):
        s_client(tls_port(node), *options, *identified(scanner))


def test_a_peer_without_certificate_is_refused_by_name(node: ReceivingNode, authority: Authority) -> None:
    with the_failed_handshake("the peer showed no certificate"):
        echo = dcmtk("echoscu", tls_port(node), None, authority.trusted)

    assert echo.returncode != 0


def test_an_expired_certificate_is_refused_by_name(node: ReceivingNode, authority: Authority) -> None:
    expired = authority.sign(SCANNER_NAME, days=-1)

    with the_failed_handshake("the peer's certificate has expired"):
        echo = dcmtk("echoscu", tls_port(node), expired, authority.trusted)

    assert echo.returncode != 0


def test_a_certificate_of_a_foreign_authority_is_refused_by_name(
    node: ReceivingNode, authority: Authority, foreign: Authority
) -> None:
    with the_failed_handshake("the peer's certificate is of an unknown CA"):
        echo = dcmtk("echoscu", tls_port(node), foreign.sign(SCANNER_NAME), authority.trusted)

    assert echo.returncode != 0


def test_a_peer_that_does_not_trust_us_is_told_apart(
    node: ReceivingNode, scanner: Certificate, foreign: Authority
) -> None:
    with the_failed_handshake("the peer does not trust our certificate"):
        echo = dcmtk("echoscu", tls_port(node), scanner, foreign.trusted)

    assert echo.returncode != 0


def test_a_plain_peer_at_the_tls_port_is_refused_by_name(node: ReceivingNode) -> None:
    with the_failed_handshake("the peer does not speak TLS"):
        echo = subprocess.run(["echoscu", LOOPBACK, str(tls_port(node))], capture_output=True, timeout=60, check=False)

    assert echo.returncode != 0


def test_handshakes_that_fail_again_and_again_fill_no_log(
    tmp_path: Path, node_database_url: str, own: Certificate, authority: Authority
) -> None:
    with receiving_node(tmp_path, node_database_url, tls=tls(own, authority)) as node, capture_logs() as logs:
        for _ in range(3):
            with socket.create_connection((LOOPBACK, tls_port(node)), timeout=DEADLINE_S) as peer:
                peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
                with suppress(ConnectionResetError):
                    while peer.recv(1000):
                        pass
        failed = node.receiver.metrics
        wait_until(
            lambda: failed.value("failed_handshakes", reason="the peer does not speak TLS") == 3, what="three failures"
        )

    assert [line["event"] for line in logs].count("tls_handshake_failed") == 1


def test_silent_tls_peers_keep_nobody_out_and_are_closed_in_time(
    tmp_path: Path, node_database_url: str, own: Certificate, scanner: Certificate, authority: Authority
) -> None:
    settings = {"tls": tls(own, authority), "acse_timeout_s": 2.0}
    with receiving_node(tmp_path, node_database_url, **settings) as node:
        silent = [socket.create_connection((LOOPBACK, tls_port(node)), timeout=DEADLINE_S) for _ in range(20)]
        for peer in silent[10:]:
            peer.sendall(b"\x16\x03\x01\x02\x00\x01")  # the head of a client hello, and no more

        echo = dcmtk("echoscu", tls_port(node), scanner, authority.trusted)

        assert echo.returncode == 0, echo.stderr
        for peer in silent:
            with peer:
                assert _is_closed(peer)


def _is_closed(peer: socket.socket) -> bool:
    try:
        while peer.recv(100):  # an alert may come first
            pass
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize("client_certificate", ["optional", "none trusted"])
def test_a_site_may_let_peers_without_certificate_in(
    tmp_path: Path, node_database_url: str, own: Certificate, authority: Authority, client_certificate: str
) -> None:
    settings = tls(own, authority, client_certificate="optional")
    if client_certificate == "none trusted":
        settings = settings.model_copy(update={"trusted": None})
    with receiving_node(tmp_path, node_database_url, tls=settings) as node:
        echo = dcmtk("echoscu", tls_port(node), None, authority.trusted)

    assert echo.returncode == 0, echo.stderr


@pytest.mark.parametrize("name_in_settings", ["CN", "fingerprint"])
def test_a_caller_bound_to_its_certificate_is_let_in_with_it_alone(
    tmp_path: Path,
    node_database_url: str,
    own: Certificate,
    scanner: Certificate,
    authority: Authority,
    name_in_settings: str,
) -> None:
    name = SCANNER_NAME.upper() if name_in_settings == "CN" else scanner.fingerprint
    callers = (CallerSettings(ae_title=SCANNER, addresses=("127.0.0.1",), certificates=(name,)),)
    other = authority.sign("workstation.hospital.example")
    with (
        receiving_node(tmp_path, node_database_url, callers=callers, tls=tls(own, authority)) as node,
        capture_logs() as logs,
    ):
        with_its_own = dcmtk("echoscu", tls_port(node), scanner, authority.trusted)
        with_anothers = dcmtk("echoscu", tls_port(node), other, authority.trusted)
        without_tls = request_association(node.port)

    assert with_its_own.returncode == 0, with_its_own.stderr
    assert with_anothers.returncode != 0
    assert without_tls.is_rejected
    refused = [line["reason"] for line in logs if line["event"] == "association_refused"]
    assert refused == [Refusal.CERTIFICATE_NOT_ALLOWED.reason] * 2


def test_a_caller_may_come_by_any_of_its_tables() -> None:
    plain = CallerSettings(ae_title=SCANNER, addresses=("10.0.0.1",))
    bound = CallerSettings(ae_title=SCANNER, addresses=("10.0.0.0/24",), certificates=("dns.example",))
    admission = Admission(NODE, [plain, bound])

    def refusal(address: str, names: frozenset[str] | None) -> Refusal | None:
        request = Request(calling_ae_title=SCANNER, called_ae_title=NODE, address=address, certificate_names=names)
        return admission.refusal(request)

    assert refusal("10.0.0.1", None) is None
    assert refusal("10.0.0.2", frozenset({"dns.example"})) is None
    assert refusal("10.0.0.2", frozenset()) is Refusal.CERTIFICATE_NOT_ALLOWED
    assert refusal("10.0.0.2", None) is Refusal.CERTIFICATE_NOT_ALLOWED


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("PACS.Example ", "pacs.example"),
        (":".join(["AB"] * 32), "ab" * 32),
        ("sha256:" + "ab" * 32, "ab" * 32),
        ("ab" * 31, "ab" * 31),
    ],
)
def test_a_name_in_the_settings_is_compared_however_it_is_written(written: str, compared: str) -> None:
    assert certificate_name(written) == compared


def _replace(target: Certificate, by: Certificate) -> None:
    """As a renewal does it: each file at once, one after the other."""
    for old, new in ((target.private_key, by.private_key), (target.certificate, by.certificate)):
        copy = old.with_suffix(".renewed")
        copy.write_bytes(new.read_bytes())
        copy.replace(old)


@pytest.fixture
def renewable(tmp_path: Path, own: Certificate) -> Certificate:
    mine = Certificate(tmp_path / "node.pem", tmp_path / "node.key")
    _replace(mine, own)
    return mine


def test_a_renewed_certificate_is_shown_to_new_peers_and_open_associations_go_on(
    tmp_path: Path, node_database_url: str, renewable: Certificate, scanner: Certificate, authority: Authority
) -> None:
    with receiving_node(tmp_path, node_database_url, tls=tls(renewable, authority)) as node:
        client = client_context(
            TlsClientSettings(
                trusted=authority.trusted, certificate=scanner.certificate, private_key=scanner.private_key
            )
        )
        association = _association_over_tls(tls_port(node), client)
        assert association.is_established
        renewed = authority.sign("renewed.hospital.example")

        _replace(renewable, renewed)

        said = s_client(tls_port(node), "-CAfile", authority.trusted, *identified(scanner))
        assert "renewed.hospital.example" in said
        assert association.send_c_echo().Status == 0x0000
        association.release()


def _association_over_tls(port: int, context: ssl.SSLContext) -> Association:
    prepare_dicom_stack()
    entity = RequestingEntity(ae_title=SCANNER)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = DEADLINE_S
    return entity.associate(
        LOOPBACK, port, contexts=[build_context(VERIFICATION)], ae_title=NODE, tls_args=(context, LOOPBACK)
    )


def test_a_broken_renewal_keeps_the_old_certificate_and_is_told_once(
    renewable: Certificate, authority: Authority, foreign: Authority
) -> None:
    metrics = Metrics()
    context = ReloadingContext(tls(renewable, authority), metrics)
    before = context()
    good = renewable.certificate.read_bytes()
    with capture_logs() as logs:
        renewable.certificate.write_text("-----BEGIN NOTHING-----")

        assert [context(), context()] == [before, before]
        renewable.certificate.unlink()
        assert context() is before
        renewable.certificate.write_bytes(good)
        assert context() is not before

    events = [line["event"] for line in logs]
    assert events == ["certificates_not_reloaded", "certificates_not_reloaded", "certificates_reloaded"]
    assert metrics.value("certificate_reloads", outcome="failed") == 2


def test_files_that_do_not_change_are_not_read_again(renewable: Certificate, authority: Authority) -> None:
    context = ReloadingContext(tls(renewable, authority), Metrics())

    assert context() is context()


def _without(settings: TlsServerSettings, tmp_path: Path) -> TlsServerSettings:
    return settings.model_copy(update={"certificate": tmp_path / "absent.pem"})


def _with_password(settings: TlsServerSettings, tmp_path: Path) -> TlsServerSettings:
    locked = tmp_path / "locked.key"
    openssl("pkey", "-in", settings.private_key, "-aes256", "-passout", "pass:hunter2", "-out", locked)
    return settings.model_copy(update={"private_key": locked})


def _with_anothers_key(settings: TlsServerSettings, tmp_path: Path) -> TlsServerSettings:
    return settings.model_copy(update={"private_key": Authority(tmp_path / "other").own.private_key})


def _trusting_nothing(settings: TlsServerSettings, tmp_path: Path) -> TlsServerSettings:
    (tmp_path / "empty.pem").write_text("")
    return settings.model_copy(update={"trusted": tmp_path / "empty.pem"})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_without, "absent.pem"),
        (_with_password, "has a password"),
        (_with_anothers_key, "MISMATCH"),
        (_trusting_nothing, "empty.pem"),
    ],
)
def test_files_that_cannot_be_used_are_named_with_what_to_do(
    tmp_path: Path,
    own: Certificate,
    authority: Authority,
    change: Callable[[TlsServerSettings, Path], TlsServerSettings],
    named: str,
) -> None:
    with pytest.raises(NodeError, match=named) as caught:
        server_context(change(tls(own, authority), tmp_path))

    assert "receiver.tls" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_as_a_client_we_believe_only_the_name_and_authority_that_are_set(
    own: Certificate, authority: Authority, foreign: Authority
) -> None:
    def fault(trusted: Path, name: str) -> str:
        client = client_context(TlsClientSettings(trusted=trusted))
        server = server_context(tls(own, authority, client_certificate="optional"))
        ends = socket.socketpair()
        with ends[0], ends[1]:
            return _handshake(client, server, ends, name)

    assert fault(authority.trusted, "node.hospital.example") == ""
    assert fault(authority.trusted, "other.example") == "the peer's certificate has another name"
    assert fault(foreign.trusted, "node.hospital.example") == "the peer's certificate is of an unknown CA"


def _handshake(
    client: ssl.SSLContext, server: ssl.SSLContext, ends: tuple[socket.socket, socket.socket], name: str
) -> str:
    """The client's fault, or nothing."""

    def serve() -> None:
        with suppress(OSError):  # the client's refusal
            server.wrap_socket(ends[1], server_side=True).close()

    serving = threading.Thread(target=serve)
    serving.start()
    try:
        client.wrap_socket(ends[0], server_hostname=name).close()
    except ssl.SSLError as error:
        return handshake_fault(error)
    finally:
        ends[0].close()
        serving.join(DEADLINE_S)
    return ""


@pytest.mark.parametrize("option", [ssl.OP_NO_RENEGOTIATION, ssl.OP_NO_COMPRESSION])
def test_neither_side_renegotiates_or_compresses(own: Certificate, authority: Authority, option: ssl.Options) -> None:
    # OpenSSL 3 refuses a client's renegotiation by itself: what older ones are told is seen in the options alone
    server = server_context(tls(own, authority))
    client = client_context(TlsClientSettings(trusted=authority.trusted))

    assert server.options & option
    assert client.options & option
