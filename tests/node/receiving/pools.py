"""A node's receiver with processes of its own, for the tests."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.settings import CallerSettings, ReceiverSettings, Settings, StorageSettings
from node.commitment.parsing import CommitmentRequest, CommitmentResult
from node.receiver import ReceiverPool
from storage.database import Database
from storage.files import FileStore
from storage.instances import InstanceRecorder
from storage.new_quarantined import NewQuarantined
from tests.node.network.peers import LOOPBACK, NODE, SCANNER_ALLOWED, ReceivingNode, wait_until


@dataclass
class RememberedServices:
    """What the connections asked of the node."""

    asked: list[CommitmentRequest | CommitmentResult | NewQuarantined] = field(default_factory=list)

    def commitment_requested(self, request: CommitmentRequest) -> None:
        self.asked.append(request)

    def commitment_result(self, result: CommitmentResult) -> None:
        self.asked.append(result)

    def quarantined(self, refused: NewQuarantined) -> None:
        self.asked.append(refused)


def pool_settings(folder: Path, *, callers: Sequence[CallerSettings] = SCANNER_ALLOWED, **changes: Any) -> Settings:
    defaults: dict[str, Any] = {"ae_title": NODE, "bind_address": LOOPBACK, "port": 0, "minimum_free_bytes": 0}
    return Settings(
        receiver=ReceiverSettings(**defaults | changes),
        callers=tuple(callers),
        storage=StorageSettings(data_dir=folder / "data"),
    )


@contextmanager
def receiving_pool(
    folder: Path, database_url: str, *, services: RememberedServices | None = None, **settings: Any
) -> Iterator[ReceivingNode]:
    """A pool on a free loopback port, all of whose processes are ready; `settings` are those of ReceiverSettings."""
    database = Database(database_url)
    files, recorder = FileStore(folder / "data"), InstanceRecorder(database)
    whole = pool_settings(folder, **settings)
    pool = ReceiverPool(whole, files=files, recorder=recorder, services=services or RememberedServices())
    pool.start()
    try:
        wait_until(lambda: len(pool.ready_pids) == whole.receiver.processes, what="the processes are ready")
        yield ReceivingNode(pool, database, files, recorder)  # type: ignore[arg-type]
    finally:
        pool.stop(drain_s=0.0)
        recorder.close()
        database.dispose()
