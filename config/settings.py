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


def _check_ae_title(value: str) -> str:
    """PS3.5 6.2, VR AE: 1 to 16 characters of the default repertoire, no backslash, no control character."""
    stripped = value.strip(" ")
    if not stripped or len(stripped) > 16 or "\\" in stripped or not all(32 <= ord(c) < 127 for c in stripped):
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash")
    return stripped


def _check_network(value: str) -> str:
    ipaddress.ip_network(value, strict=False)
    return value


AETitle = Annotated[str, AfterValidator(_check_ae_title)]
Network = Annotated[str, AfterValidator(_check_network)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CallerSettings(Part):
    """One peer that may open an association to the node."""

    ae_title: AETitle
    addresses: tuple[Network, ...] = Field(min_length=1, description="addresses or networks, e.g. 10.1.2.0/24")


class ReceiverSettings(Part):
    """The node's own DICOM address and its limits."""

    ae_title: AETitle = "SPINENODE"
    bind_address: str = "0.0.0.0"  # noqa: S104 - a receiver must be reached from the hospital's network
    port: Annotated[int, Field(ge=0, le=65535)] = 11112  # 0: any free port (tests, demo)
    maximum_pdu_bytes: Annotated[int, Field(ge=4096, le=1_048_576)] = 131_072
    maximum_associations: Annotated[int, Field(ge=1)] = 32
    network_timeout_s: Seconds = 60.0
    dimse_timeout_s: Seconds = 30.0
    acse_timeout_s: Seconds = 30.0
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
    host: str
    port: Port
    timeout_s: Seconds = 30.0


class RouteSettings(Part):
    """Which senders' images go to which pipeline and destinations. The first matching route is taken."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
    callers: tuple[str, ...] = Field(default=("*",), min_length=1, description='calling AE titles, "*" for all')
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
    def _names_refer_to_something(self) -> Self:
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
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def route_for(self, calling_ae_title: str) -> RouteSettings | None:
        return next((route for route in self.routes if route.takes(calling_ae_title)), None)

    def destination(self, name: str) -> DestinationSettings | None:
        return next((d for d in self.destinations if d.name == name), None)
