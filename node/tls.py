"""TLS by the BCP 195 profile, for both directions; whose certificate a peer shows; why a handshake failed.

Source: PS3.15 B.12 (BCP 195, RFC 8996 and 9325): TLS 1.2 and 1.3; RFC 9325 4.2 names the cipher suites of TLS 1.2,
4.5 the length of keys; those of TLS 1.3 are all allowed (RFC 8446 B.4).
"""

import re
import ssl
import threading
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

from config.settings import TlsClientSettings, TlsServerSettings
from node.errors import NodeError
from node.metrics import Metrics

log = structlog.get_logger(__name__)

# OpenSSL's names of the four suites of RFC 9325 4.2, the stronger first; all have forward secrecy and AEAD.
_TLS_1_2_CIPHERS: Final = ":".join(
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
    )
)
# OpenSSL's level 2: no certificate with an RSA key under 2048 bits, an EC key under 224 bits or a SHA-1 signature
# (RFC 9325 4.5).
_SECURITY_LEVEL: Final = "@SECLEVEL=2"
_FINGERPRINT: Final = re.compile(r"(?:sha256:)?((?:[0-9a-f]{2}:?){31}[0-9a-f]{2})")


def server_context(settings: TlsServerSettings) -> ssl.SSLContext:
    """The TLS of the port that listens. Raises NodeError that names the file that cannot be used."""
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    _load_own(context, settings.certificate, settings.private_key, key="receiver.tls")
    if settings.trusted is not None:
        _load_trusted(context, settings.trusted, key="receiver.tls")
        required = settings.client_certificate == "required"
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context


def client_context(settings: TlsClientSettings) -> ssl.SSLContext:
    """The TLS towards one destination; its certificate and its name are checked. Raises NodeError as above."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    _load_trusted(context, settings.trusted, key="destinations.tls")
    if settings.certificate is not None and settings.private_key is not None:
        _load_own(context, settings.certificate, settings.private_key, key="destinations.tls")
    return context


class ReloadingContext:
    """The server's context, made again when one of its files has changed. Safe for many threads.

    A connection keeps the context it began with. When the changed files cannot be used (one of two is not there yet,
    say) the old context stays, and the fault is logged once until the files change again.
    """

    def __init__(self, settings: TlsServerSettings, metrics: Metrics) -> None:
        """Raises NodeError when the files cannot be used."""
        self._settings = settings
        self._metrics = metrics
        self._lock = threading.Lock()
        self._files = [settings.certificate, settings.private_key]
        if settings.trusted is not None:
            self._files.append(settings.trusted)
        self._seen = self._states()
        self._context = server_context(settings)

    def __call__(self) -> ssl.SSLContext:
        """For one new connection."""
        with self._lock:
            states = self._states()
            if states != self._seen:
                self._seen = states
                self._reload()
            return self._context

    def _reload(self) -> None:
        try:
            self._context = server_context(self._settings)
        except NodeError as error:
            self._metrics.count("certificate_reloads", outcome="failed")
            log.error(  # noqa: TRY400 - an expected fault: the message says all
                "certificates_not_reloaded", reason=str(error), effect="the old ones stay in use"
            )
        else:
            self._metrics.count("certificate_reloads", outcome="done")
            log.info("certificates_reloaded", files=[str(file) for file in self._files])

    def _states(self) -> list[tuple[int, ...] | None]:
        return [_state(file) for file in self._files]


def certificate_names(connection: ssl.SSLSocket | ssl.SSLObject) -> frozenset[str]:
    """What the peer's checked certificate may be called: CN, DNS names, SHA-256 fingerprint; none without one."""
    certificate = connection.getpeercert(binary_form=True)
    checked = connection.getpeercert()
    if not certificate or not checked:  # not asked for, or not checked: it proves nothing
        return frozenset()
    names = {sha256(certificate).hexdigest()}
    for relative_name in checked.get("subject", ()):
        names.update(_folded(str(pair[1])) for pair in relative_name if pair[0] == "commonName")
    names.update(_folded(str(pair[1])) for pair in checked.get("subjectAltName", ()) if pair[0] == "DNS")
    return frozenset(names)


def certificate_name(written: str) -> str:
    """A name or fingerprint as `certificate_names` has it, from the form that a person wrote into the settings."""
    folded = _folded(written)
    if (fingerprint := _FINGERPRINT.fullmatch(folded)) is not None:
        return fingerprint[1].replace(":", "")
    return folded


def handshake_fault(error: Exception) -> str:
    """Why a handshake failed, in a few fixed words for logs and metrics; nothing that the peer wrote is in them."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY_FAULTS.get(error.verify_code, "the peer's certificate is not valid")
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        return _PROTOCOL_FAULTS.get(reason, _PROTOCOL_FAULTS.get(reason.removeprefix("TLSV1_"), "protocol fault"))
    if isinstance(error, TimeoutError):
        return "silence"
    return "the peer closed the connection"


# Codes of X509_V_ERR_* in OpenSSL's x509_vfy.h
_VERIFY_FAULTS: Final = {
    2: "the peer's certificate is of an unknown CA",
    9: "the peer's certificate is not valid yet",
    10: "the peer's certificate has expired",
    18: "the peer's certificate is self-signed and not trusted",
    19: "the peer's certificate is of an unknown CA",
    20: "the peer's certificate is of an unknown CA",
    21: "the peer's certificate is of an unknown CA",
    23: "the peer's certificate is revoked",
    26: "the peer's certificate is not for this purpose",
    62: "the peer's certificate has another name",
    66: "the key of the peer's certificate is too short",
}
# Reasons of OpenSSL's sslerr.h; "ALERT" is what the peer told us.
_PROTOCOL_FAULTS: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer showed no certificate",
    "NO_SHARED_CIPHER": "no shared cipher suite",
    "UNSUPPORTED_PROTOCOL": "no shared protocol version",
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS",
    "HTTP_REQUEST": "the peer does not speak TLS",
    "HTTPS_PROXY_REQUEST": "the peer does not speak TLS",
    "PACKET_LENGTH_TOO_LONG": "the peer does not speak TLS",
    "UNEXPECTED_EOF_WHILE_READING": "the peer closed the connection",
    "ALERT_PROTOCOL_VERSION": "no shared protocol version",
    "ALERT_UNKNOWN_CA": "the peer does not trust our certificate",
    "ALERT_BAD_CERTIFICATE": "the peer does not take our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the peer does not take our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate has expired, says the peer",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the peer does not take our certificate",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "no shared cipher suite",
    "CERTIFICATE_VERIFY_FAILED": "the peer's certificate is not valid",
}


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{_TLS_1_2_CIPHERS}:{_SECURITY_LEVEL}")
    context.options |= (
        ssl.OP_NO_COMPRESSION  # RFC 9325 3.3
        | ssl.OP_NO_RENEGOTIATION  # RFC 9325 3.5
        | ssl.OP_CIPHER_SERVER_PREFERENCE
        # a sender that ends its side without a farewell is the rule, not an attack: PDUs carry their own length
        | ssl.OP_IGNORE_UNEXPECTED_EOF
    )
    return context


def _load_own(context: ssl.SSLContext, certificate: Path, private_key: Path, *, key: str) -> None:
    try:
        context.load_cert_chain(certificate, private_key, password=_no_password)
    except (OSError, ValueError) as error:
        raise NodeError(
            f"{key}: certificate {certificate} and private_key {private_key} cannot be used: {_fault(error)}; both are "
            "PEM files that this user may read, the key belongs to the certificate and has no password"
        ) from error


def _load_trusted(context: ssl.SSLContext, trusted: Path, *, key: str) -> None:
    try:
        context.load_verify_locations(trusted)
    except (OSError, ValueError) as error:
        raise NodeError(
            f"{key}: trusted {trusted} cannot be used: {_fault(error)}; a PEM file with certificates is needed"
        ) from error


def _no_password() -> str:
    """Called for an encrypted key; without it OpenSSL would ask at the terminal and wait."""
    raise ValueError("the private key has a password")


def _fault(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "no PEM content"
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)


def _state(file: Path) -> tuple[int, ...] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _folded(name: str) -> str:
    return name.strip().lower()
