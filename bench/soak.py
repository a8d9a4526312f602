"""Many small instances through one node: does memory stay flat, and does each instance cost the same on the disk?

    python -m bench.soak [--instances N] [--edge PIXELS] [--associations N] [--json] [--folder FOLDER]

After each part the node comes to rest; then the resident memory of each of its processes, the size of its database and
what its files take on the disk are read. Exit status 1 when one of them grows: see `judge`.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import linear_regression, median
from typing import Any

if __package__ in (None, ""):  # started as a file: then the path leads here, where `inference` is another module
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from sqlalchemy import func, select

from bench import machine, nodes
from bench.instances import InstanceSize
from bench.messages import Payload
from bench.processes import wait_until_quiet
from bench.raw_sender import Load, send_burst
from storage.database import Database
from storage.schema import InstanceRow, Placement

PARTS = 10
# The first parts fill caches, pools and the write-ahead log.
WARM_UP_PARTS = 2
# Generous: allocators keep what they once had, and samples of a living process scatter.
MOST_GROWTH_BYTES = 48 << 20  # of one process, over the parts that count
MOST_DEVIATION = 0.25  # of one part's cost from the median of all
_NO_TIME_LIMIT_S = 1e9
_QUIET_TIMEOUT_S = 600.0
_BLOCK_BYTES = 512  # stat(2), st_blocks
_ROLES = ("receiver", "worker", "serve")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """After `instances` in all. Bytes; costs are per instance of this part."""

    instances: int
    instances_per_s: float
    memory: dict[str, int]  # process -> resident bytes
    database_bytes: int
    file_bytes: int  # blocks on the disk, folders included
    database_cost: float
    file_cost: float


def soak(folder: Path, *, instances: int, edge: int, associations: int) -> list[Sample]:
    """Send `instances` in PARTS parts to a new node in `folder`; every one is acknowledged, and checked at the end."""
    payload = Payload(InstanceSize(f"{2 * edge * edge / 1e6:.2f} MB", edge))
    samples: list[Sample] = []
    expected: set[str] = set()
    with nodes.spinenode(folder) as server:
        database = Database(f"sqlite:///{folder / 'data' / 'spinenode.db'}")
        for part in range(PARTS):
            count = instances // PARTS
            load = Load(associations=associations, instances=count, duration_s=_NO_TIME_LIMIT_S)
            burst = send_burst(payload, server.target, run=part, load=load)
            expected |= burst.sop_instance_uids()
            wait_until_quiet(server.pid, lambda: _is_placed(database), timeout_s=_QUIET_TIMEOUT_S)
            samples.append(_sample(folder / "data", server.pid, len(expected), burst.instances_per_s, samples))
            _tell(samples[-1])
        database.dispose()
        server.check(expected)
    return samples


def judge(samples: Sequence[Sample]) -> list[str]:
    """What grows, as sentences; empty when memory is flat and each instance costs the same."""
    counted = samples[WARM_UP_PARTS:]
    faults = []
    for process in sorted(counted[-1].memory):
        points = [(one.instances, one.memory[process]) for one in counted if process in one.memory]
        if len(points) < len(counted):
            faults.append(f"{process} was started anew during the soak")
            continue
        slope = linear_regression(*zip(*points, strict=True)).slope
        growth = slope * (points[-1][0] - points[0][0])
        if growth > MOST_GROWTH_BYTES:
            faults.append(f"{process} grew by {growth / 2**20:.0f} MiB, {slope:.0f} bytes per instance")
    for name in ("database_cost", "file_cost"):
        costs = [getattr(one, name) for one in counted]
        usual = median(costs)
        if worst := [cost for cost in costs if abs(cost - usual) > MOST_DEVIATION * usual]:
            faults.append(f"{name} is {usual:.0f} bytes per instance, but {worst[0]:.0f} in one part")
    return faults


def _is_placed(database: Database) -> bool:
    with database.reading() as session:
        new = select(func.count()).where(InstanceRow.placement == Placement.NEW.value)
        return session.scalar(new) == 0


def _sample(data: Path, pid: int, instances: int, rate: float, before: Sequence[Sample]) -> Sample:
    database_bytes = sum(file.stat().st_size for file in data.glob("spinenode.db*"))
    file_bytes = _bytes_on_disk(data / "instances")
    last = before[-1] if before else None
    new = instances - (last.instances if last else 0)
    return Sample(
        instances=instances,
        instances_per_s=rate,
        memory=_memory(pid),
        database_bytes=database_bytes,
        file_bytes=file_bytes,
        database_cost=(database_bytes - (last.database_bytes if last else 0)) / new,
        file_cost=(file_bytes - (last.file_bytes if last else 0)) / new,
    )


def _bytes_on_disk(folder: Path) -> int:
    blocks = folder.stat().st_blocks + sum(path.stat().st_blocks for path in folder.rglob("*"))
    return blocks * _BLOCK_BYTES


def _memory(root: int) -> dict[str, int]:
    """Resident bytes of each process of the node, by its role and pid."""
    found, waiting = {}, [root]
    while waiting:
        pid = waiting.pop()
        folder = Path("/proc") / str(pid)
        for task in (folder / "task").iterdir():
            waiting += map(int, (task / "children").read_text().split())
        words = (folder / "cmdline").read_bytes().decode().split("\0")
        role = next((role for role in _ROLES if role in words), "other")
        pages = int((folder / "statm").read_text().split()[1])
        found[f"{role} {pid}"] = pages * os.sysconf("SC_PAGE_SIZE")
    return found


def _tell(sample: Sample) -> None:
    memory = ", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in sorted(sample.memory.items()))
    print(
        f"{sample.instances} instances, {sample.instances_per_s:.0f}/s; {memory}; per instance: "
        f"database {sample.database_cost:.0f} bytes, files {sample.file_cost:.0f} bytes",
        file=sys.stderr,
        flush=True,
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--instances", type=int, default=100_000)
    parser.add_argument("--edge", type=int, default=128, help="rows and columns: 100 is 0.02 MB, 256 is 0.13 MB")
    parser.add_argument("--associations", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--folder", type=Path, help="on the disk that is measured; none: the temporary folder")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="spinenode-soak-", dir=options.folder) as name:
        about: dict[str, Any] = machine.describe(Path(name))
        samples = soak(Path(name), instances=options.instances, edge=options.edge, associations=options.associations)
    faults = judge(samples)
    if options.json:
        print(json.dumps({"machine": about, "samples": [asdict(one) for one in samples], "faults": faults}, indent=2))
    else:
        print("\n".join(faults) if faults else "memory is flat, and each instance costs the same")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
