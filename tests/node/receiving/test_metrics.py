"""What is counted can be asked for, in one process and from another; a name that is not in the table is a fault."""

from urllib.request import urlopen

import pytest

from config.settings import MonitoringSettings
from node.errors import NodeError
from node.metrics import METRICS, Metrics, RelayedMetrics
from tests.postgresql import free_port


def test_a_monitoring_system_reads_the_counters_over_http() -> None:
    metrics = Metrics()
    metrics.count("connections", port="tls")
    metrics.count("connections", 2, port="tls")
    metrics.set("associations", 5)

    settings = MonitoringSettings(port=free_port())
    port = metrics.serve(settings)
    assert port is not None
    try:
        with urlopen(f"http://127.0.0.1:{settings.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    finally:
        port.close()

    assert 'spinenode_connections_total{port="tls"} 3.0' in text
    assert "spinenode_associations 5.0" in text
    assert f"# HELP spinenode_connections_total {METRICS['connections'].help}" in text


def test_without_a_port_nothing_is_offered() -> None:
    assert Metrics().serve(MonitoringSettings()) is None


def test_a_port_in_use_is_told_with_what_to_do() -> None:
    settings = MonitoringSettings(port=free_port())
    first = Metrics().serve(settings)
    assert first is not None

    with pytest.raises(NodeError, match=r"monitoring\.port"):
        Metrics().serve(settings)
    first.close()


def test_what_a_receiver_process_counted_is_added_once() -> None:
    relayed, metrics = RelayedMetrics(), Metrics()
    relayed.count("instances", outcome="new")
    relayed.count("instances", 3, outcome="new")
    relayed.count("health_checks")

    metrics.add(relayed.take())
    metrics.add(relayed.take())

    assert metrics.value("instances", outcome="new") == 4
    assert metrics.value("health_checks") == 1


@pytest.mark.parametrize("metrics", [Metrics(), RelayedMetrics()], ids=["own", "relayed"])
def test_a_name_or_label_that_the_table_does_not_have_is_a_fault(metrics: Metrics) -> None:
    with pytest.raises(ValueError, match="METRICS"):
        metrics.count("conections")
    with pytest.raises(ValueError, match="labels"):
        metrics.count("connections")
    with pytest.raises(ValueError, match="METRICS"):
        metrics.count("associations")  # a gauge


def test_a_receiver_process_sets_no_gauge() -> None:
    with pytest.raises(ValueError, match="supervisor"):
        RelayedMetrics().set("associations", 1)
