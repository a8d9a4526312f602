"""How fast the receiver keeps instances, beside a plain pynetdicom archive that syncs and records nothing.

One sender, one association, the same files, rounds in turn; the median of each and its ratio to ours are printed, so
that the price of durability is seen.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from config.settings import CallerSettings, ReceiverSettings
from inference.phantom import PhantomConfig, generate_patient, write_study
from node.embedded_archive import EmbeddedArchive
from node.logs import configure_logging
from node.receiver import Receiver
from node.store_scu import StoreOutcome, store
from storage.database import Database, upgrade
from storage.files import FileStore
from storage.instances import InstanceRecorder

ROUNDS = 5
AE_TITLE = "BENCH"
Server = Callable[[Path], AbstractContextManager[int]]


@contextmanager
def spinenode(folder: Path) -> Iterator[int]:
    url = f"sqlite:///{folder / 'bench.db'}"
    upgrade(url)
    database = Database(url)
    recorder = InstanceRecorder(database)
    receiver = Receiver(
        ReceiverSettings(ae_title=AE_TITLE, bind_address="127.0.0.1", port=0, minimum_free_bytes=0),
        [CallerSettings(ae_title=AE_TITLE, addresses=("127.0.0.1",))],
        files=FileStore(folder),
        recorder=recorder,
        clock=lambda: datetime.now(UTC),
    )
    receiver.start()
    yield receiver.port
    receiver.stop(1.0)
    recorder.close()
    database.dispose()


@contextmanager
def plain_archive(folder: Path) -> Iterator[int]:
    archive = EmbeddedArchive(folder / "archive", AE_TITLE)
    archive.start()
    yield archive.port
    archive.stop()


def seconds(server: Server, files: list[Path]) -> float:
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as port:
        begin = time.perf_counter()
        results = store(
            files, host="127.0.0.1", port=port, called_ae_title=AE_TITLE, calling_ae_title=AE_TITLE, timeout_s=30
        )
        took = time.perf_counter() - begin
    assert all(result.outcome is StoreOutcome.SENT for result in results)
    return took


def main() -> None:
    configure_logging(level="ERROR")
    servers: dict[str, Server] = {
        "spinenode (synced, committed)": spinenode,
        "plain pynetdicom archive (neither)": plain_archive,
    }
    with tempfile.TemporaryDirectory() as folder:
        files = [
            path
            for index in range(3)
            for path in write_study(
                generate_patient(index, seed=1, config=PhantomConfig()), Path(folder) / str(index), distractors=False
            )
        ]
        size = statistics.mean(path.stat().st_size for path in files)
        print(f"receiving {len(files)} instances of {size / 1e6:.2f} MB, one association, {ROUNDS} rounds in turn")
        times: dict[str, list[float]] = {name: [] for name in servers}
        for _ in range(ROUNDS):
            for name, server in servers.items():
                times[name].append(seconds(server, files))
    ours = statistics.median(next(iter(times.values())))
    for name, measured in times.items():
        median = statistics.median(measured)
        print(f"  {name:36} {len(files) / median:7.0f} instances/s   {ours / median:5.2f} x spinenode")
