"""Counters and gauges for a monitoring system: one table of names, one registry per process.

A receiver process has no port to be asked at: it gathers its increments in `RelayedMetrics` and sends them to the
supervisor, which adds them to its own. Labels never hold anything of a patient, nor strings that a peer chose freely.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from config.settings import MonitoringSettings
from node.errors import NodeError

log = structlog.get_logger(__name__)

_PREFIX: Final = "spinenode"


class Kind(StrEnum):
    COUNTER = "counter"  # only grows; offered as spinenode_<name>_total
    GAUGE = "gauge"  # a state; set in the supervisor alone


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the table: what it counts, and the names of its labels."""

    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


def _counter(help_text: str, *labels: str) -> Metric:
    return Metric(Kind.COUNTER, help_text, labels)


def _gauge(help_text: str, *labels: str) -> Metric:
    return Metric(Kind.GAUGE, help_text, labels)


METRICS: Final[Mapping[str, Metric]] = {
    # connections and their limits
    "connections": _counter("Connections accepted.", "port"),
    "health_checks": _counter("Connections closed by the peer before it sent a byte."),
    "silent_connections": _counter("Connections closed because nothing came within receiver.acse_timeout_s."),
    "evicted_connections": _counter("Pending ones closed for receiver.maximum_pending_connections."),
    "accept_pauses": _counter("Times that accepting paused because no file descriptor was left."),
    "pending_connections": _gauge("Connected, without an association yet."),
    "associations": _gauge("Associations that are open."),
    "refused_associations": _counter("Association requests refused for a limit of the node.", "reason"),
    "failed_handshakes": _counter("TLS handshakes that failed.", "reason"),
    "refused_peers": _counter("Association requests refused for who asks (AE title, address, certificate).", "reason"),
    "oversized_pdus": _counter("PDUs longer than allowed; their connection was closed."),
    "stalled_connections": _counter("Connections closed for silence or trickling within a PDU.", "reason"),
    # objects
    "instances": _counter("C-STORE requests answered, by what became of the object.", "outcome"),
    "received_bytes": _counter("Bytes of data sets received by C-STORE."),
    "refused_instances": _counter("C-STORE requests answered with a failure.", "status"),
    # processes
    "receiver_processes": _gauge("Receiver processes that are running."),
    "receiver_process_deaths": _counter("Receiver processes that ended by themselves."),
    "certificate_reloads": _counter("Changed TLS files taken over, or not.", "outcome"),
    # the way out
    "deliveries": _counter("Deliveries tried, by what became of them.", "destination", "outcome"),
    "circuit_open": _gauge("1 while a destination cannot be reached and only probes are sent.", "destination"),
    "commitments": _counter("Deliveries that a storage commitment result was about.", "destination", "outcome"),
    # the memory, as last looked at (once a minute; verify at night)
    "deliveries_waiting": _gauge("Deliveries that are not sent, and dead letters.", "state"),
    "cases": _gauge("Cases.", "state"),
    "quarantined_objects": _gauge("Refused objects kept to look into."),
    "verify_findings": _gauge("What the last verify of the running node found.", "kind"),
    "retention_freed_bytes": _counter("Bytes that retention has freed."),
    "free_bytes": _gauge("Free bytes on the disk of the data folder, as last looked at."),
}

Increment = tuple[str, tuple[str, ...], float]  # name, values of the labels in the table's order, by how much


class Metrics:
    """The metrics of one process. Safe for many threads."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._series: dict[str, Counter | Gauge] = {
            name: (Counter if metric.kind is Kind.COUNTER else Gauge)(
                f"{_PREFIX}_{name}", metric.help, metric.labels, registry=self._registry
            )
            for name, metric in METRICS.items()
        }

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Add to a counter. Raises ValueError for a name or labels that the table does not have."""
        values = _label_values(name, Kind.COUNTER, labels)
        one = self._series[name]
        (one.labels(*values) if values else one).inc(by)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge. Raises ValueError for a name or labels that the table does not have."""
        self._gauge(name, labels).set(value)

    def add_to(self, name: str, by: float, **labels: str) -> None:
        """Add to a gauge, or take away. Raises ValueError as `set`."""
        self._gauge(name, labels).inc(by)

    def value(self, name: str, **labels: str) -> float:
        """What a counter or gauge stands at; 0 when nothing was counted."""
        suffix = "_total" if METRICS[name].kind is Kind.COUNTER else ""
        return self._registry.get_sample_value(f"{_PREFIX}_{name}{suffix}", labels) or 0.0

    def add(self, increments: Iterable[Increment]) -> None:
        """Add what another process counted."""
        for name, values, by in increments:
            self.count(name, by, **dict(zip(METRICS[name].labels, values, strict=True)))

    def _gauge(self, name: str, labels: Mapping[str, str]) -> Gauge:
        values = _label_values(name, Kind.GAUGE, labels)
        one = self._series[name]
        gauge = one.labels(*values) if values else one
        assert isinstance(gauge, Gauge)  # noqa: S101 - for the type checker: the table says so
        return gauge

    def serve(self, settings: MonitoringSettings) -> "MetricsPort | None":
        """Offer them over HTTP where the settings want it. Raises NodeError when the port cannot be had."""
        if settings.port is None:
            return None
        try:
            server, thread = start_http_server(settings.port, addr=settings.address, registry=self._registry)
        except OSError as error:
            raise NodeError(
                f"cannot offer metrics on {settings.address} port {settings.port}: {error}; change monitoring.address "
                "or monitoring.port, or end the program that holds the port"
            ) from error
        log.info("metrics_offered", address=settings.address, port=settings.port)

        def close() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return MetricsPort(close)


class MetricsPort:
    """The HTTP port that offers the metrics, until it is closed."""

    def __init__(self, close: Callable[[], None]) -> None:
        self.close = close


class RelayedMetrics(Metrics):
    """Counts in a process whose metrics another one offers; it has counters only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: defaultdict[tuple[str, tuple[str, ...]], float] = defaultdict(float)

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        values = _label_values(name, Kind.COUNTER, labels)
        with self._lock:
            self._pending[name, values] += by

    def set(self, name: str, value: float, **labels: str) -> None:
        raise ValueError(f"gauge {name!r} belongs to the supervisor: a receiver process could leave it wrong by dying")

    def add_to(self, name: str, by: float, **labels: str) -> None:
        self.set(name, by, **labels)

    def value(self, name: str, **labels: str) -> float:
        """What was counted since the last `take`."""
        with self._lock:
            return self._pending.get((name, _label_values(name, Kind.COUNTER, labels)), 0.0)

    def take(self) -> list[Increment]:
        """What was counted since the last call."""
        with self._lock:
            taken, self._pending = self._pending, defaultdict(float)
        return [(name, values, by) for (name, values), by in taken.items()]


def _label_values(name: str, kind: Kind, labels: Mapping[str, str]) -> tuple[str, ...]:
    metric = METRICS.get(name)
    if metric is None or metric.kind is not kind:
        raise ValueError(f"no {kind} is named {name!r}: add it to METRICS in node/metrics.py")
    if labels.keys() != set(metric.labels):
        raise ValueError(f"{kind} {name!r} has the labels {sorted(metric.labels)}, not {sorted(labels)}")
    return tuple(labels[label] for label in metric.labels)
