"""The whole service: it starts, answers a case through its worker process, and stops in order."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
import structlog
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from structlog.testing import capture_logs

from config.settings import (
    CallerSettings,
    DestinationSettings,
    GroupingSettings,
    MonitoringSettings,
    ReceiverSettings,
    RouteSettings,
    SenderSettings,
    Settings,
    StorageSettings,
    WorkerSettings,
)
from inference.errors import BundleError
from node.embedded_archive import EmbeddedArchive
from node.errors import NodeError
from node.service import Service
from node.store_scu import StoreOutcome, StoreResult, store
from storage import cases
from storage.database import Database
from storage.errors import StorageError
from storage.schema import CaseState
from tests.node.case_images import mr_image
from tests.node.micro_bundle import write_micro_bundle
from tests.postgresql import free_port

PATIENCE_S = 90.0
COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "micro"
    write_micro_bundle(folder)
    return folder


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[EmbeddedArchive]:
    archive = EmbeddedArchive(tmp_path / "archive")
    archive.start()
    yield archive
    archive.stop()


@pytest.fixture
def node_settings(tmp_path: Path, bundle: Path, archive: EmbeddedArchive) -> Settings:
    return Settings(
        receiver=ReceiverSettings(bind_address="127.0.0.1", port=0, minimum_free_bytes=0),
        callers=(CallerSettings(ae_title="SCANNER", addresses=("127.0.0.1",)),),
        destinations=(DestinationSettings(name="archive", ae_title="ARCHIVE", host="127.0.0.1", port=archive.port),),
        routes=(RouteSettings(name="spine", results_to=("archive",)),),
        grouping=GroupingSettings(quiet_s=0.5, gap_wait_s=0.5),
        worker=WorkerSettings(bundle=bundle, device="cpu", threads=1, lease_s=5),
        storage=StorageSettings(data_dir=tmp_path / "data"),
    )


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_S:.0f} s"
        time.sleep(0.05)


def write_images(folder: Path) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{number}.dcm" for number in (1, 2, 3)]
    for number, path in enumerate(paths, start=1):
        image = mr_image(number)
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.save_as(path, enforce_file_format=True)
    return paths


def send_images(service: Service, folder: Path) -> list[StoreResult]:
    """Three images of one series, as the scanner sends them."""
    return store(
        write_images(folder / "sent"),
        host="127.0.0.1",
        port=service.port,
        called_ae_title="SPINENODE",
        calling_ae_title="SCANNER",
        timeout_s=30,
    )


@pytest.mark.slow
def test_images_sent_to_a_running_node_come_back_as_a_report(
    node_settings: Settings, archive: EmbeddedArchive, tmp_path: Path
) -> None:
    service = Service(node_settings)
    with capture_logs() as logs:
        service.start()
    try:
        results = send_images(service, tmp_path)
        assert {one.outcome for one in results} == {StoreOutcome.SENT}
        archive.wait_for(lambda stored: any(uid == COMPREHENSIVE_3D_SR for uid, _ in stored), PATIENCE_S)

        database = Database(node_settings.storage.url())
        wait_until(lambda: bool(_in_state(database, CaseState.DONE)), "the case is done")
        database.dispose()
    finally:
        service.stop()

    ready = next(entry for entry in logs if entry["event"] == "node_ready")
    assert (ready["bundle"], len(ready["bundle_sha256"])) == ("micro", 12)
    assert "model_trained_on_phantom" in [entry["event"] for entry in logs]


def test_a_node_that_says_it_is_ready_has_every_receiver_process_ready(node_settings: Settings) -> None:
    service = Service(node_settings)
    ready: list[int] = []

    def note(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if event["event"] == "node_ready":
            ready.extend(service.ready_receiver_pids)
        raise structlog.DropEvent

    structlog.configure(processors=[note])
    try:
        service.start()
        pids = service.receiver_pids
    finally:
        service.stop()
        structlog.reset_defaults()

    assert len(pids) == node_settings.receiver.processes
    assert sorted(ready) == sorted(pids)


def test_monitoring_reads_what_a_node_receives_and_delivers(node_settings: Settings, tmp_path: Path) -> None:
    route = RouteSettings(name="forward", pipeline="none", forward_originals_to=("archive",))
    monitoring = MonitoringSettings(port=free_port())
    service = Service(node_settings.model_copy(update={"routes": (route,), "monitoring": monitoring}))
    service.start()
    try:
        send_images(service, tmp_path)
        received = 'spinenode_instances_total{outcome="new"} 3.0'
        delivered = 'spinenode_deliveries_total{destination="archive",outcome="sent"} 3.0'
        for line in (received, delivered):
            wait_until(lambda line=line: line in read_metrics(monitoring), line)  # type: ignore[misc]
        text = read_metrics(monitoring)
    finally:
        service.stop()

    assert 'spinenode_circuit_open{destination="archive"} 0.0' in text
    assert 'spinenode_deliveries_waiting{state="dead"} 0.0' in text
    assert 'spinenode_cases{state="held"} 0.0' in text
    assert "spinenode_quarantined_objects 0.0" in text


def test_monitoring_sees_a_destination_that_cannot_be_reached(node_settings: Settings, tmp_path: Path) -> None:
    route = RouteSettings(name="forward", pipeline="none", forward_originals_to=("archive",))
    gone = DestinationSettings(name="archive", ae_title="ARCHIVE", host="127.0.0.1", port=free_port(), timeout_s=2)
    changes = {
        "routes": (route,),
        "destinations": (gone,),
        "monitoring": MonitoringSettings(port=free_port()),
        "sender": SenderSettings(circuit_opens_after=1, poll_s=0.05),
    }
    settings = node_settings.model_copy(update=changes)
    service = Service(settings)
    service.start()
    try:
        send_images(service, tmp_path)

        is_open = 'spinenode_circuit_open{destination="archive"} 1.0'
        wait_until(lambda: is_open in read_metrics(settings.monitoring), "the circuit is open")
    finally:
        service.stop()


def read_metrics(settings: MonitoringSettings) -> str:
    with urlopen(f"http://{settings.address}:{settings.port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


@pytest.mark.slow
def test_a_worker_process_that_dies_is_started_again(node_settings: Settings) -> None:
    service = Service(node_settings)
    service.start()
    try:
        wait_until(lambda: service.worker_pid is not None, "a worker lives")
        first = service.worker_pid
        assert first is not None

        os.kill(first, signal.SIGKILL)

        wait_until(lambda: service.worker_pid not in (None, first), "another worker lives")
    finally:
        service.stop()
    assert service.worker_pid is None


def test_a_second_node_on_the_same_data_is_refused_by_name(node_settings: Settings) -> None:
    first = Service(node_settings)
    first.start()
    try:
        with pytest.raises(NodeError, match=f"process {os.getpid()}.*PostgreSQL"):
            Service(node_settings).start()
    finally:
        first.stop()


def test_a_stopped_node_can_be_started_again_on_its_data(node_settings: Settings) -> None:
    for _ in range(2):
        service = Service(node_settings)
        service.start()
        assert service.port > 0
        service.stop()


def test_a_node_whose_port_is_taken_stops_what_it_had_started(
    node_settings: Settings, archive: EmbeddedArchive
) -> None:
    taken = node_settings.receiver.model_copy(update={"port": archive.port})

    service = Service(node_settings.model_copy(update={"receiver": taken}))
    with pytest.raises(NodeError, match=r"receiver\.port"):
        service.start()

    assert service.worker_pid is None
    with pytest.raises(NodeError, match="not running"):
        _ = service.port
    other = Service(node_settings)
    other.start()
    other.stop()


def test_without_its_model_a_node_does_not_start(node_settings: Settings, tmp_path: Path) -> None:
    worker = node_settings.worker.model_copy(update={"bundle": tmp_path / "absent"})

    with pytest.raises(BundleError, match="absent"):
        Service(node_settings.model_copy(update={"worker": worker})).start()


def test_an_old_postgresql_schema_is_not_upgraded_behind_the_operators_back(
    node_settings: Settings, empty_database_url: str
) -> None:
    if not empty_database_url.startswith("postgresql"):
        pytest.skip("the node upgrades its own SQLite file")
    storage = StorageSettings(data_dir=node_settings.storage.data_dir, database_url=empty_database_url)

    with pytest.raises(StorageError, match="spinenode db upgrade"):
        Service(node_settings.model_copy(update={"storage": storage})).start()


def _in_state(database: Database, state: CaseState) -> list[object]:
    with database.reading() as session:
        return list(cases.in_state(session, state))
