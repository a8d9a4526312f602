"""The node as one service: receiver, sender, timers and the worker process, started and stopped in order."""

import fcntl
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import structlog

from config.settings import AnyDestination, DestinationSettings, Settings
from inference.findings import BundleIdentity
from inference.pipeline import bundle_identity
from node.commitment.clerk import make_clerk
from node.commitment.resending import holdings_of_claims
from node.errors import NodeError
from node.grouping import reconsider_unrouted
from node.metrics import Metrics
from node.receiver import ReceiverPool
from node.running_node import LOCK_FILE
from node.scheduler import housekeeping, make_scheduler, report_health, strand_unknown_destinations
from node.sender import Sender
from node.services import NodeServices
from node.worker_process import WorkerProcess
from storage import outbox
from storage.database import Database, check_schema, upgrade
from storage.files import FileStore
from storage.instances import InstanceRecorder

log = structlog.get_logger(__name__)

_RECEIVER_DRAIN_S: Final = 10.0  # running associations may end for so long; their senders try again later
# A process needs a second; one that fails at once is tried again after one, two, four seconds.
_RECEIVERS_READY_WITHIN_S: Final = 60.0


class Service:
    """One node in this process, with its worker in another. Start it once, stop it once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._parts = ExitStack()
        self._receiver: ReceiverPool | None = None
        self._worker = WorkerProcess(settings)

    @property
    def port(self) -> int:
        """The port that the receiver listens on. Raises NodeError before the start."""
        return self._started_receiver().port

    @property
    def receiver_pids(self) -> list[int]:
        """Of the receiver processes that live. Raises NodeError before the start."""
        return self._started_receiver().pids

    @property
    def ready_receiver_pids(self) -> list[int]:
        """Of those that take connections. Raises NodeError before the start."""
        return self._started_receiver().ready_pids

    @property
    def worker_pid(self) -> int | None:
        """Of the worker process; None while none lives."""
        return self._worker.pid

    def start(self) -> None:
        """Start every part, the receiver last: an image is taken only when all that follows is there.

        Raises ConfigError, StorageError, BundleError or NodeError when a part cannot start; the others are stopped.
        """
        try:
            self._start_parts()
        except BaseException:
            self._parts.close()
            raise

    def stop(self) -> None:
        """Take no more images, let running work end in its time, close everything. Harmless when stopped already."""
        log.info("node_stopping")
        self._parts.close()
        self._receiver = None
        log.info("node_stopped")

    def _start_parts(self) -> None:
        settings = self._settings
        bundle = bundle_identity(settings.worker.bundle)  # before all else: without a model nothing can be answered
        database = self._open_database()
        files = FileStore(settings.storage.data_dir)
        metrics = Metrics()
        recorder = InstanceRecorder(database)
        self._parts.callback(recorder.close)
        services = NodeServices(database, files, settings, metrics)
        receiver = ReceiverPool(settings, files=files, recorder=recorder, services=services, metrics=metrics)
        receiver.launch()  # they get ready while the rest starts, and can be given nothing before
        self._parts.callback(receiver.stop, 0.0)
        self._worker.start()
        self._parts.callback(self._worker.stop)
        files.remove_stale_parts()
        reconsider_unrouted(database, settings)
        strand_unknown_destinations(database, settings)
        report_health(database, files, settings, metrics)
        scheduler = make_scheduler(housekeeping(database, files, settings, metrics))
        scheduler.start()
        self._parts.callback(scheduler.shutdown)
        self._start_way_out(database, files, services, metrics)
        if (offered := metrics.serve(settings.monitoring)) is not None:
            self._parts.callback(offered.close)
        receiver.wait_until_ready(_RECEIVERS_READY_WITHIN_S)
        receiver.start()
        self._parts.callback(receiver.stop, _RECEIVER_DRAIN_S)
        self._receiver = receiver
        self._announce(bundle)

    def _start_way_out(self, database: Database, files: FileStore, services: NodeServices, metrics: Metrics) -> None:
        settings, ae_title = self._settings, self._settings.receiver.ae_title
        owner = f"{socket.gethostname()}:{os.getpid()}"
        holdings = holdings_of_claims(database, ae_title)
        sender = Sender(
            database,
            files,
            settings.destinations,
            settings.sender,
            ae_title,
            owner=owner,
            holdings=holdings,
            metrics=metrics,
        )
        sender.start()
        self._parts.callback(sender.stop)
        clerk = make_clerk(database, files, settings, services, owner=owner)
        clerk.start()
        self._parts.callback(clerk.stop)

    def _started_receiver(self) -> ReceiverPool:
        if self._receiver is None:
            raise NodeError("the node is not running: start it before asking for its port or its processes")
        return self._receiver

    def _open_database(self) -> Database:
        storage = self._settings.storage
        database = Database(storage.url())
        self._parts.callback(database.dispose)
        if database.is_sqlite:
            self._parts.enter_context(_only_one_in(storage.data_dir))
            upgrade(storage.url())
        check_schema(database)
        if database.is_sqlite:  # the lock on the folder proves that nobody else sends
            with database.transaction() as session:
                outbox.end_leases(session, database.now())
        return database

    def _announce(self, bundle: BundleIdentity) -> None:
        settings = self._settings
        log.info(
            "node_ready",
            ae_title=settings.receiver.ae_title,
            address=settings.receiver.bind_address,
            port=self.port,
            tls_port=self._started_receiver().tls_port,
            destinations=[_address(one) for one in settings.destinations],
            bundle=bundle.name,
            bundle_version=bundle.version,
            bundle_sha256=bundle.sha256[:12],
        )
        if bundle.phantom_trained:
            log.warning(
                "model_trained_on_phantom", bundle=bundle.name, effect="its findings say nothing about real patients"
            )
        for route in settings.routes:
            if route.pipeline != "none" and not route.results_to:
                log.warning(
                    "route_without_destination", route=route.name, effect="results are made but nobody gets them"
                )
        if not settings.routes:
            log.warning("no_routes", effect="every image is set aside", remedy="add a [[routes]] table")


def _address(destination: AnyDestination) -> str:
    if isinstance(destination, DestinationSettings):
        return f"{destination.name}={destination.ae_title}@{destination.host}:{destination.port}"
    url = destination.url  # without user, password and query, which may be secrets
    return f"{destination.name}={url.scheme}://{url.host}:{url.port}{url.path or ''}"


def serve(settings: Settings) -> None:
    """Run a node until SIGTERM or SIGINT. Raises what `Service.start` raises."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _signal, _frame: ended.set())
    service = Service(settings)
    service.start()
    ended.wait()
    service.stop()


@contextmanager
def _only_one_in(data_dir: Path) -> Iterator[None]:
    """Refuse a second node on the same SQLite data. The lock goes with the process, however it ends."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / LOCK_FILE
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise NodeError(
                f"another node (process {holder}) runs on {data_dir}: stop it, or set another storage.data_dir; "
                "several nodes on one memory need PostgreSQL (storage.database_url)"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
