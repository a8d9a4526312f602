"""Settings of what comes in: who may send, where the node listens, and the limits of a peer."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.values import Address, AETitle, Host, Network, Part, Port, Timeout


class TlsServerSettings(Part):
    """A second port with TLS by the BCP 195 profile (PS3.15 B.12). Files are PEM, read again when they change."""

    port: Annotated[int, Field(ge=0, le=65535)] = 2762  # PS3.8 9.1.1: dicom-tls
    certificate: Path = Field(description="the node's certificate, and the chain above it")
    private_key: Path
    trusted: Path | None = Field(
        default=None, description="certificates of those who sign the callers'; none: no check"
    )
    client_certificate: Literal["required", "optional"] = "required"

    @model_validator(mode="after")
    def _required_certificates_can_be_checked(self) -> Self:
        if self.client_certificate == "required" and self.trusted is None:
            raise ValueError('client_certificate "required" needs trusted: whose certificates are believed')
        return self


class TlsClientSettings(Part):
    """TLS towards one destination, by the BCP 195 profile (PS3.15 B.12). Files are PEM."""

    trusted: Path = Field(description="certificates of those who sign the destination's")
    certificate: Path | None = Field(default=None, description="our own, where the destination asks for one")
    private_key: Path | None = None
    server_name: Host | None = Field(default=None, description="name in its certificate; none: the host's")

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> Self:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key belong together: give both, or neither")
        return self


class CallerSettings(Part):
    """One peer that may open an association to the node."""

    ae_title: AETitle
    addresses: tuple[Network, ...] = Field(min_length=1, description="addresses or networks, e.g. 10.1.2.0/24")
    certificates: tuple[str, ...] = Field(
        default=(), description="names (CN, DNS) or sha256 fingerprints, one of which it must show; none: any trusted"
    )
    report_host: Host | None = Field(
        default=None, description="where storage commitment results go when its association has ended"
    )
    report_port: Port | None = None
    report_tls: TlsClientSettings | None = Field(default=None, description="TLS towards report_host")

    @model_validator(mode="after")
    def _report_address_is_whole(self) -> Self:
        if (self.report_host is None) != (self.report_port is None):
            raise ValueError("report_host and report_port belong together: give both, or neither")
        return self


class ReceiverSettings(Part):
    """The node's own DICOM address and its limits."""

    ae_title: AETitle = "SPINENODE"
    bind_address: Address = "0.0.0.0"  # noqa: S104 - a receiver must be reached from the hospital's network
    port: Annotated[int, Field(ge=0, le=65535)] = 11112  # 0: any free port (tests, demo)
    plain: bool = Field(default=True, description="false: only the TLS port listens")
    tls: TlsServerSettings | None = None
    processes: Annotated[int, Field(ge=1, le=32)] = 2
    maximum_pdu_bytes: Annotated[int, Field(ge=4096, le=1_048_576)] = 131_072
    maximum_associations: Annotated[int, Field(ge=1)] = 64
    maximum_associations_per_address: Annotated[int, Field(ge=1)] = 32
    maximum_pending_connections: Annotated[int, Field(ge=1)] = Field(
        default=256,
        description="connected, but without an association yet; the oldest of the address with the most gives way",
    )
    maximum_instance_bytes: Annotated[int, Field(ge=1_000_000)] = 4_000_000_000
    maximum_nesting: Annotated[int, Field(ge=1, le=100)] = Field(default=32, description="depth of sequences")
    uids: Literal["strict", "lenient"] = Field(
        default="strict", description="lenient: leading zeros in a component are taken, against PS3.5 9.1"
    )
    network_timeout_s: Timeout = Field(default=60.0, description="silence between two PDUs, and within one")
    minimum_bytes_per_s: Annotated[int, Field(ge=1)] = Field(
        default=1024, description="a PDU that trickles in more slowly than this ends its association"
    )
    dimse_timeout_s: Timeout = 30.0
    acse_timeout_s: Timeout = Field(default=30.0, description="from connection to a whole association request")
    minimum_free_bytes: Annotated[int, Field(ge=0)] = 1_000_000_000
    quarantine_bytes: Annotated[int, Field(ge=0)] = Field(
        default=1_000_000_000, description="room for refused objects, kept to look into; 0: none is kept"
    )

    @model_validator(mode="after")
    def _listens_somewhere(self) -> Self:
        if not self.plain and self.tls is None:
            raise ValueError("plain is false and there is no tls table: the node would listen nowhere")
        return self
