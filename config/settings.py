"""What a site can set: one TOML file, typed; environment variables override it.

Each part of the node receives its own small frozen class, never the whole. `load_settings` reads the file and
reports every fault at once.
"""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import (
    BaseSettings,
    SettingsConfigDict,
)

ENVIRONMENT_PREFIX = "SPINENODE_"
CONFIG_ENVIRONMENT_VARIABLE = "SPINENODE_CONFIG"
DEFAULT_CONFIG_PATH = Path("spinenode.toml")


class ConfigError(Exception):
    """The settings cannot be used. The message lists every fault: key, value read, what is allowed."""


def check_ae_title(value: str) -> str:
    """PS3.5 6.2, VR AE: 1 to 16 characters of the default repertoire, no backslash, no control character.

    Returns it without the spaces around it, which do not count. Raises ValueError.
    """
    stripped = value.strip(" ")
    if not stripped or len(stripped) > 16 or "\\" in stripped or not all(32 <= ord(c) < 127 for c in stripped):
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash")
    return stripped


def _check_network(value: str) -> str:
    ipaddress.ip_network(value, strict=False)
    return value


def _check_address(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        raise ValueError("an IP address of this machine is needed; 0.0.0.0 is every one, :: with IPv6 too") from None
    return value


def _check_host(value: str) -> str:
    try:
        value.encode("idna")  # what the resolver does first: parts of 1 to 63 characters between dots
    except UnicodeError:
        raise ValueError("no host can have this name: between two dots are 1 to 63 characters") from None
    if not value or any(character.isspace() for character in value):
        raise ValueError("a host name or an IP address is needed")
    return value


_LONGEST_S = 30 * 86_400.0  # nothing of the node waits longer; a typing error in a delay would never be noticed
_LONGEST_TIMEOUT_S = 86_400.0  # the system counts a socket's timeout in milliseconds of 32 bits: 24 days

AETitle = Annotated[str, AfterValidator(check_ae_title)]
Host = Annotated[str, AfterValidator(_check_host)]
Address = Annotated[str, AfterValidator(_check_address)]
Network = Annotated[str, AfterValidator(_check_network)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=_LONGEST_S, allow_inf_nan=False)]
Timeout = Annotated[float, Field(gt=0, le=_LONGEST_TIMEOUT_S, allow_inf_nan=False)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CallerSettings(Part):
    """One peer that may open an association to the node."""

    ae_title: AETitle
    addresses: tuple[Network, ...] = Field(min_length=1, description="addresses or networks, e.g. 10.1.2.0/24")


class ReceiverSettings(Part):
    """The node's own DICOM address and its limits."""

    ae_title: AETitle = "SPINENODE"
    bind_address: Address = "0.0.0.0"  # noqa: S104 - a receiver must be reached from the hospital's network
    port: Annotated[int, Field(ge=0, le=65535)] = 11112  # 0: any free port (tests, demo)
    maximum_pdu_bytes: Annotated[int, Field(ge=4096, le=1_048_576)] = 131_072
    maximum_associations: Annotated[int, Field(ge=1)] = 32
    network_timeout_s: Timeout = 60.0
    dimse_timeout_s: Timeout = 30.0
    acse_timeout_s: Timeout = 30.0
    minimum_free_bytes: Annotated[int, Field(ge=0)] = 1_000_000_000


class GroupingSettings(Part):
    """When instances belong to one case, and when the case is complete."""

    group_by: Literal["patient", "study"] = "patient"
    quiet_s: Seconds = Field(default=30.0, description="no new instance for so long: complete when no slice is missing")
    gap_wait_s: Seconds = Field(default=120.0, description="quiet time when slice positions show a gap")
    expected_instances: int | None = Field(
        default=None, ge=1, description="instances of a case that make it complete at once, where a site knows it"
    )


class WorkerSettings(Part):
    bundle: Path | None = Field(default=None, description="folder of the bundle; none: the demo bundle of the package")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(default=None, ge=1, description="threads of the networks on the CPU; none: all cores")
    lease_s: Seconds = 60.0
    maximum_attempts: Annotated[int, Field(ge=1)] = 3
    retry_base_s: Seconds = 5.0
    poll_s: Seconds = 0.5


class SenderSettings(Part):
    """Delays between attempts grow as base * 2^attempt up to the cap, with jitter.

    With the defaults an object waits about two days for its PACS, a weekend's outage, before it is a dead letter.
    """

    maximum_attempts: Annotated[int, Field(ge=1)] = 100
    retry_base_s: Seconds = 5.0
    retry_cap_s: Seconds = 3600.0
    lease_s: Seconds = 120.0
    poll_s: Seconds = 0.5


class StorageSettings(Part):
    data_dir: Path = Path("spinenode-data")
    database_url: SecretStr | None = Field(
        default=None, description="e.g. postgresql+psycopg://...; none: SQLite inside data_dir"
    )

    def url(self) -> str:
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.absolute() / 'spinenode.db'}"


class ReportSettings(Part):
    series_number_base: Annotated[int, Field(ge=1, le=99_000)] = 9000
    overlays: bool = True
    summary_picture: bool = True
    institution_note: str = Field(default="", max_length=200, description="one line of the site added to each report")


class DestinationSettings(Part):
    """A DICOM AE that takes report objects or forwarded originals."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
    ae_title: AETitle
    host: Host
    port: Port
    timeout_s: Timeout = 30.0


class RouteSettings(Part):
    """Which senders' images go to which pipeline and destinations. The first matching route is taken."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
    callers: tuple[AETitle, ...] = Field(default=("*",), min_length=1, description='calling AE titles, "*" for all')
    pipeline: Literal["wff", "none"] = "wff"
    results_to: tuple[str, ...] = ()
    forward_originals_to: tuple[str, ...] = ()

    def takes(self, calling_ae_title: str) -> bool:
        return "*" in self.callers or calling_ae_title in self.callers


class Settings(BaseSettings):
    """All settings of one node, frozen after start."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__"
    )

    receiver: ReceiverSettings = ReceiverSettings()
    callers: tuple[CallerSettings, ...] = ()
    destinations: tuple[DestinationSettings, ...] = ()
    routes: tuple[RouteSettings, ...] = ()
    grouping: GroupingSettings = GroupingSettings()
    worker: WorkerSettings = WorkerSettings()
    sender: SenderSettings = SenderSettings()
    storage: StorageSettings = StorageSettings()
    reports: ReportSettings = ReportSettings()

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if faults := [*self._misnamed(), *self._misordered()]:
            raise ValueError("; ".join(faults))
        return self

    def _misnamed(self) -> list[str]:
        faults = []
        for kind, names in (
            ("destination", [d.name for d in self.destinations]),
            ("route", [r.name for r in self.routes]),
        ):
            faults += [
                f"{kind} name {name!r} is used twice" for name in sorted({n for n in names if names.count(n) > 1})
            ]
        known = {d.name for d in self.destinations}
        for route in self.routes:
            for name in (*route.results_to, *route.forward_originals_to):
                if name not in known:
                    faults.append(f"route {route.name!r} names destination {name!r}; known: {sorted(known) or 'none'}")
        return faults

    def _misordered(self) -> list[str]:
        grouping, sender = self.grouping, self.sender
        faults = []
        if grouping.gap_wait_s < grouping.quiet_s:
            faults.append(
                f"grouping.gap_wait_s {grouping.gap_wait_s:g} is less than grouping.quiet_s {grouping.quiet_s:g}: "
                "a case with a gap waits at least as long as one without"
            )
        if sender.retry_cap_s < sender.retry_base_s:
            faults.append(
                f"sender.retry_cap_s {sender.retry_cap_s:g} is less than sender.retry_base_s {sender.retry_base_s:g}: "
                "the longest delay is at least the first one"
            )
        return faults

    def route_for(self, calling_ae_title: str) -> RouteSettings | None:
        return next((route for route in self.routes if route.takes(calling_ae_title)), None)

    def destination(self, name: str) -> DestinationSettings | None:
        return next((d for d in self.destinations if d.name == name), None)
