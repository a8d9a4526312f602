"""What a site can set: one TOML file, typed; environment variables override it.

Each part of the node receives its own small frozen class, never the whole. `load_settings` reads the file and
reports every fault at once.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from config.receiving import CallerSettings, ReceiverSettings, TlsClientSettings, TlsServerSettings
from config.reporting import ReportSettings
from config.sending import (
    AnyDestination,
    CommitmentSettings,
    DestinationSettings,
    DicomWebDestinationSettings,
    RouteSettings,
    SenderSettings,
)
from config.values import Address, Part, Port, Seconds, check_ae_title

__all__ = [
    "AnyDestination",
    "CallerSettings",
    "CommitmentSettings",
    "ConfigError",
    "DestinationSettings",
    "DicomWebDestinationSettings",
    "GroupingSettings",
    "MonitoringSettings",
    "ReceiverSettings",
    "ReportSettings",
    "RetentionSettings",
    "RouteSettings",
    "SenderSettings",
    "Settings",
    "StorageSettings",
    "TlsClientSettings",
    "TlsServerSettings",
    "WorkerSettings",
    "check_ae_title",
]

ENVIRONMENT_PREFIX = "SPINENODE_"
CONFIG_ENVIRONMENT_VARIABLE = "SPINENODE_CONFIG"
DEFAULT_CONFIG_PATH = Path("spinenode.toml")


class ConfigError(Exception):
    """The settings cannot be used. The message lists every fault: key, value read, what is allowed."""


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
    image_size: int | None = Field(
        default=None,
        ge=64,
        le=2048,
        multiple_of=64,
        description="side of the images the detector reads; none: bundle's",
    )
    proposals: int | None = Field(
        default=None, ge=1, description="regions per image that the detector looks at closely; none: the bundle's"
    )
    lease_s: Seconds = 60.0
    maximum_attempts: Annotated[int, Field(ge=1)] = 3
    retry_base_s: Seconds = 5.0
    poll_s: Seconds = 0.5


class RetentionSettings(Part):
    """What is removed when. What is not delivered yet is never removed, nor what an open case needs."""

    keep_days: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0
    quarantine_days: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0
    high_watermark: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.85, description="share of the disk in use above which the oldest delivered cases go before their time"
    )
    low_watermark: Annotated[float, Field(gt=0, le=1)] = Field(default=0.75, description="... until it is down to this")

    @model_validator(mode="after")
    def _low_is_below_high(self) -> Self:
        if self.low_watermark > self.high_watermark:
            raise ValueError(f"low_watermark {self.low_watermark:g} is above high_watermark {self.high_watermark:g}")
        return self


class MonitoringSettings(Part):
    """Counters for a monitoring system, in Prometheus' text form over HTTP."""

    address: Address = "127.0.0.1"
    port: Port | None = Field(default=None, description="none: not offered")


class StorageSettings(Part):
    data_dir: Path = Path("spinenode-data")
    database_url: SecretStr | None = Field(
        default=None, description="e.g. postgresql+psycopg://...; none: SQLite inside data_dir"
    )

    def url(self) -> str:
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.absolute() / 'spinenode.db'}"


class Settings(BaseSettings):
    """All settings of one node, frozen after start."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__"
    )

    receiver: ReceiverSettings = ReceiverSettings()
    callers: tuple[CallerSettings, ...] = ()
    destinations: tuple[AnyDestination, ...] = ()
    routes: tuple[RouteSettings, ...] = ()
    grouping: GroupingSettings = GroupingSettings()
    worker: WorkerSettings = WorkerSettings()
    sender: SenderSettings = SenderSettings()
    storage: StorageSettings = StorageSettings()
    retention: RetentionSettings = RetentionSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
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

    def reports_of(self, route: RouteSettings) -> ReportSettings:
        """What a report of this route is made of."""
        return self.reports if route.objects is None else self.reports.model_copy(update={"objects": route.objects})

    def destination(self, name: str) -> AnyDestination | None:
        return next((d for d in self.destinations if d.name == name), None)
