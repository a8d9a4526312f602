"""How fast the receiver keeps instances, beside DCMTK's storescp and beside itself without durability.

One sender, one association, the same files, rounds in turn; the median of each column and its ratio to ours are
printed. storescp does not sync its files, so it is a bound on what the sender and the network allow.
"""

import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from config.settings import CallerSettings, ReceiverSettings
from inference.phantom import PhantomConfig, generate_patient, write_study
from node.receiver import Receiver
from node.store_scu import StoreOutcome, store
from storage.database import Database, upgrade
from storage.files import FileStore
from storage.instances import InstanceRecorder

ROUNDS = 5
AE_TITLE = "BENCH"


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
def storescp(folder: Path) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(["storescp", "-od", str(folder), "-aet", AE_TITLE, str(port)])
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    yield port
    process.terminate()
    process.wait()


def seconds(server: Callable[[Path], "contextmanager[int]"], files: list[Path]) -> float:  # type: ignore[type-arg]
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as port:  # type: ignore[attr-defined]
        begin = time.perf_counter()
        results = store(
            files, host="127.0.0.1", port=port, called_ae_title=AE_TITLE, calling_ae_title=AE_TITLE, timeout_s=30
        )
        took = time.perf_counter() - begin
    assert all(result.outcome is StoreOutcome.SENT for result in results)
    return took


def main() -> None:
    servers = {"spinenode (synced, committed)": spinenode}
    if shutil.which("storescp"):
        servers["DCMTK storescp (not synced)"] = storescp
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
                times[name].append(seconds(server, files))  # type: ignore[arg-type]
    ours = statistics.median(next(iter(times.values())))
    for name, measured in times.items():
        median = statistics.median(measured)
        print(f"  {name:34} {len(files) / median:7.0f} instances/s   {ours / median:5.2f} x spinenode")
