"""How fast instances are received and kept: SpineNode beside Orthanc and DCMTK's storescp.

What an answer promises differs. SpineNode has synced the file, its name and its row. Orthanc tuned has synced the file;
its row only where its index is in PostgreSQL (seen in its system calls). storescp has synced nothing.

    python -m bench.receive [--json] [--rounds N] [--quick] [--folder FOLDER]

One sender for all (`bench.raw_sender`), one server alive at a time, in a new folder on the same disk; in each round
all of them in turn, every second round backwards. Before the next one starts, its files are empty and the disk is
synced. After each run the server must hold exactly what it acknowledged: of SpineNode every row and file is checked.
Beside them stands the limit: a C program that does nothing but write and sync what the same sender sends.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # started as a file: then the path leads here, where `inference` is another module
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench import machine, nodes, peers
from bench.comparison import Cell, Comparison, Measurement, print_report
from bench.instances import BIG, SMALL, InstanceSize
from bench.messages import Payload
from bench.peers import Server
from bench.postgresql import Postgresql
from bench.processes import cpu_seconds, wait_until_quiet
from bench.raw_sender import Burst, Load, send_burst
from node.logs import configure_logging

ASSOCIATIONS = (1, 4, 8)
OURS = ("SpineNode on SQLite", "SpineNode on PostgreSQL")
ORTHANC_TUNED, STORESCP_TUNED = "Orthanc tuned", "storescp tuned"
ORTHANC_ON_POSTGRESQL = "Orthanc tuned, on PostgreSQL"
ORTHANC_INSTALLED, STORESCP_INSTALLED = "Orthanc as installed", "storescp as installed"
LIMIT, LIMIT_WITH_FOLDER = "limit: file synced", "limit: file and folder synced"
# Required of SpineNode: storescp does not sync, and has nothing to gain from one association.
LEAST_OF_ORTHANC, LEAST_OF_STORESCP, MOST_CPU_MS = 1.0, 0.8, 3.0
STORESCP_COUNTS_AT = (4, 8)
_WARM_UP_INSTANCES = 64  # sent to a server that just started, not counted
# A virtual machine gives free memory back to its host within a second or two, and the first use of such a page costs
# twenty times as much (measured: 2.2 s instead of 0.1 s per GiB). Without a pause whoever comes after one that wrote
# much would find memory ready, and the others would not.
PAUSE_S = 2.0

Start = Callable[[Path], AbstractContextManager[Server]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """With the defaults the whole takes about six minutes."""

    rounds: int = 5
    bytes_per_run: int = 200_000_000
    duration_s: float = 0.7  # after which a run ends even if there is more to send
    associations: Sequence[int] = ASSOCIATIONS
    sizes: Sequence[InstanceSize] = (BIG, SMALL)
    pause_s: float = PAUSE_S
    folder: Path | None = None  # on the disk that is measured; none: the system's temporary folder

    def load(self, size: InstanceSize, associations: int) -> Load:
        instances = self.bytes_per_run // size.pixel_bytes
        return Load(associations=associations, instances=instances, duration_s=self.duration_s)


QUICK = Plan(rounds=1, bytes_per_run=80_000_000, duration_s=0.2, pause_s=0.0)


@contextmanager
def all_contestants() -> Iterator[dict[str, Start]]:
    """Name -> how to start it in a given empty folder."""
    with tempfile.TemporaryDirectory(prefix="spinenode-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL, under its own user, passes through
        limit = partial(peers.synced_writes, program=peers.compile_synced_writes(folder))
        postgresql = Postgresql(folder / "postgresql")
        yield {
            OURS[0]: nodes.spinenode,
            OURS[1]: partial(nodes.spinenode_on_postgresql, postgresql=postgresql),
            ORTHANC_TUNED: partial(peers.orthanc, tuned=True),
            ORTHANC_ON_POSTGRESQL: partial(peers.orthanc_on_postgresql, postgresql=postgresql),
            STORESCP_TUNED: partial(peers.storescp, tuned=True),
            ORTHANC_INSTALLED: partial(peers.orthanc, tuned=False),
            STORESCP_INSTALLED: partial(peers.storescp, tuned=False),
            LIMIT: partial(limit, sync_folder=False),
            LIMIT_WITH_FOLDER: partial(limit, sync_folder=True),
        }


@contextmanager
def new_folder(folders: Path) -> Iterator[Path]:
    """Its files are only emptied in the end, to give back the room, and are removed with all the others.

    ext4 does not use the inode of a removed file for some minutes: whoever makes files after a removal of many looks
    past all of those each time (measured: half of all time in the kernel).
    """
    folder = Path(tempfile.mkdtemp(dir=folders))
    try:
        yield folder
    finally:
        for root, _, names in os.walk(folder):
            for name in names:
                path = Path(root, name)
                if path.is_file() and not path.is_symlink():
                    os.truncate(path, 0)


def measure(contestants: Mapping[str, Start], plan: Plan) -> list[Measurement]:
    payloads = [Payload(size) for size in plan.sizes]
    measurements: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="spinenode-bench-", dir=plan.folder) as folders:
        for number in range(plan.rounds):
            names = list(contestants) if number % 2 == 0 else list(reversed(contestants))
            for name in names:
                print(f"round {number + 1} of {plan.rounds}: {name}", file=sys.stderr)
                with new_folder(Path(folders)) as folder, contestants[name](folder) as server:
                    measurements += _measure_one(name, number, _Runs(server), payloads, plan)
                os.sync()  # what it left unwritten must not slow the next one down
                time.sleep(plan.pause_s)
    return measurements


def _measure_one(
    name: str, number: int, runs: "_Runs", payloads: Sequence[Payload], plan: Plan
) -> Iterator[Measurement]:
    """All runs against one server that was just started."""
    widest = plan.load(plan.sizes[0], max(plan.associations))
    runs.run(payloads[0], replace(widest, instances=_WARM_UP_INSTANCES))
    for payload in payloads:
        for associations in plan.associations:
            cpu, burst = runs.run(payload, plan.load(payload.size, associations))
            yield Measurement(
                contestant=name,
                cell=Cell(payload.size.name, associations),
                round=number,
                instances_per_s=burst.instances_per_s,
                **{key: 1000 * seconds / burst.total for key, seconds in cpu.items()},
            )


class _Runs:
    """The runs against one server, from its start on."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._numbers = count(1)
        self._acknowledged: set[str] = set()

    def run(self, payload: Payload, load: Load) -> tuple[dict[str, float], Burst]:
        """One burst and the processor seconds that it cost, named as in `Measurement`; checked afterwards."""
        server = self._server
        readings: list[float] = []
        database_before = cpu_seconds(server.database_pid) if server.database_pid else 0.0
        burst = send_burst(
            payload,
            server.target,
            load,
            run=next(self._numbers),
            before=lambda: readings.append(cpu_seconds(server.pid)),
            after=lambda: readings.append(cpu_seconds(server.pid)),
        )
        at_start, at_end = readings
        cpu = {"cpu_ms": at_end - at_start}
        if server.has_caught_up is not None:
            wait_until_quiet(server.pid, server.has_caught_up)
            cpu["cpu_ms_until_quiet"] = cpu_seconds(server.pid) - at_start
        if server.database_pid:
            cpu["database_cpu_ms"] = cpu_seconds(server.database_pid) - database_before
        self._acknowledged |= burst.sop_instance_uids()
        server.check(self._acknowledged)
        return cpu, burst


def report_on(measurements: Sequence[Measurement], plan: Plan) -> dict[str, Any]:
    """The JSON object: every median, the ratios, and whether each requirement is met."""
    comparison = Comparison(measurements)
    at = [cell for cell in comparison.cells if cell.associations in STORESCP_COUNTS_AT]
    requirements = [
        comparison.at_least("of Orthanc tuned", OURS, ORTHANC_TUNED, comparison.cells, limit=LEAST_OF_ORTHANC),
        comparison.at_least(
            "of Orthanc tuned with its rows synced",
            OURS,
            ORTHANC_ON_POSTGRESQL,
            comparison.cells,
            limit=LEAST_OF_ORTHANC,
        ),
        comparison.at_least("of storescp tuned at 4 and 8", OURS, STORESCP_TUNED, at, limit=LEAST_OF_STORESCP),
        comparison.cpu_at_most("server CPU ms per instance", OURS, limit_ms=MOST_CPU_MS),
    ]
    verdicts = [requirement.as_json() for requirement in requirements if requirement.values]
    return {
        "benchmark": "receive",
        "machine": machine.describe(plan.folder or Path(tempfile.gettempdir())),
        "versions": peers.versions(),
        "rounds": plan.rounds,
        "longest_run_s": plan.duration_s,
        "bytes_of_each_run": plan.bytes_per_run,
        "results": comparison.results(),
        "ratios": comparison.ratios(
            OURS, (ORTHANC_TUNED, ORTHANC_ON_POSTGRESQL, STORESCP_TUNED, LIMIT, LIMIT_WITH_FOLDER)
        ),
        "requirements": verdicts,
        "met": all(verdict["met"] for verdict in verdicts),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 when the benchmark ran, whatever it found; 2 when the machine lacks a peer."""
    parser = argparse.ArgumentParser(description="Receiving, beside Orthanc and storescp, with one sender.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, help="how often each server is measured (5; with --quick 1)")
    parser.add_argument("--quick", action="store_true", help="under a minute, to see that all runs; no figures to tell")
    parser.add_argument("--folder", type=Path, help="on the disk that is measured")
    words = parser.parse_args(argv)
    if missing := peers.needed_programs():
        print(f"not installed: {', '.join(missing)} (`make peers` installs them)", file=sys.stderr)
        return 2
    configure_logging(level="ERROR")
    plan = QUICK if words.quick else Plan()
    plan = replace(
        plan,
        rounds=words.rounds or plan.rounds,
        folder=words.folder,
    )
    with all_contestants() as contestants:
        report = report_on(measure(contestants, plan), plan)
    if words.json:
        print(json.dumps(report, indent=2))
    else:
        print_report(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
