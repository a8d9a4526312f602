"""How fast files are sent to one peer: our sending path beside DCMTK's dcmsend, as shipped and without Nagle.

    python -m bench.send [--json] [--rounds N] [--quick]

The peer is the same for all: storescp without Nagle, 128 KiB PDU, that throws everything away. With 4 associations
each has its share of the files: four processes of dcmsend, four of ours, and four threads of one process of ours.
Of dcmsend whole processes are measured, which start in some 30 ms; of ours the call, as in a node that is running.
The outbox is measured in a running node that forwards what it had received while its destination was away.
"""

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # started as a file: then the path leads here, where `inference` is another module
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench import forwarding, machine, peers
from bench.comparison import Cell, Comparison, Measurement, print_report
from bench.instances import BIG, InstanceSize, write_files
from bench.raw_sender import AE_TITLE, Target
from node.logs import configure_logging
from node.store_scu import StoreOutcome, store

DCMSEND = shutil.which("dcmsend")
ASSOCIATIONS = (1, 4)
OURS, OURS_IN_THREADS, OUTBOX = "SpineNode", "SpineNode, threads", "SpineNode, outbox"
DCMSEND_SHIPPED, DCMSEND_WITHOUT_NAGLE = "dcmsend as shipped", "dcmsend, TCP_NODELAY=1"
LEAST_OF_DCMSEND = 1.0
_TIMEOUT_S = 60.0

Shares = Sequence[Sequence[Path]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    rounds: int = 7
    outbox_rounds: int = 2  # each starts a node twice
    files: int = 600  # enough that the start of a dcmsend process, some 30 ms, is a small part
    size: InstanceSize = BIG
    associations: Sequence[int] = ASSOCIATIONS


QUICK = Plan(rounds=1, outbox_rounds=1, files=60)


@dataclass(frozen=True, slots=True)
class Cost:
    seconds: float
    cpu_seconds: float


def dcmsend(shares: Shares, target: Target, *, environment: Mapping[str, str]) -> Cost:
    """One process for each share, from the start of the first to the end of the last."""
    command = [str(DCMSEND), "-q", "-aet", AE_TITLE, "-aec", target.ae_title, "127.0.0.1", str(target.port)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    processes = [subprocess.Popen([*command, *map(str, share)], env={**os.environ, **environment}) for share in shares]
    statuses = [process.wait(_TIMEOUT_S) for process in processes]
    seconds = time.monotonic() - began
    assert not any(statuses), f"dcmsend ended with {statuses}"
    return Cost(seconds, _cpu_since(before, resource.RUSAGE_CHILDREN))


def ours_in_processes(shares: Shares, target: Target) -> Cost:
    """A forked process for each share; all begin together."""
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(len(shares))
    pipes = [fork.Pipe(duplex=False) for _ in shares]
    processes = [
        fork.Process(target=_store_share, args=(share, target, barrier, writing), daemon=True)
        for share, (_, writing) in zip(shares, pipes, strict=True)
    ]
    for process, (_, writing) in zip(processes, pipes, strict=True):
        process.start()
        writing.close()
    answers = [reading.recv() for reading, _ in pipes]
    for process in processes:
        process.join(_TIMEOUT_S)
    faults = [answer for answer in answers if isinstance(answer, str)]
    assert not faults, faults[0]
    began, ended, cpu = zip(*answers, strict=True)
    return Cost(max(ended) - min(began), sum(cpu))


def _store_share(share: Sequence[Path], target: Target, barrier: Barrier, report: Connection) -> None:
    barrier.wait(_TIMEOUT_S)
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    try:
        _store(share, target)
    except Exception as error:  # noqa: BLE001 - process boundary: told to the parent, which raises
        report.send(f"{type(error).__name__}: {error}")
        return
    report.send((began, time.monotonic(), _cpu_since(before, resource.RUSAGE_SELF)))


def ours_in_threads(shares: Shares, target: Target) -> Cost:
    """A thread for each share in this process, as the node has one for each destination."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    with ThreadPoolExecutor(len(shares)) as pool:
        list(pool.map(lambda share: _store(share, target), shares))
    return Cost(time.monotonic() - began, _cpu_since(before, resource.RUSAGE_SELF))


def _store(share: Sequence[Path], target: Target) -> None:
    results = store(
        share,
        host="127.0.0.1",
        port=target.port,
        called_ae_title=target.ae_title,
        calling_ae_title=AE_TITLE,
        timeout_s=_TIMEOUT_S,
    )
    refused = [result for result in results if result.outcome is not StoreOutcome.SENT]
    assert not refused, f"{len(refused)} of {len(results)} were not sent: {refused[0].reason}"


def _cpu_since(before: resource.struct_rusage, who: int) -> float:
    now = resource.getrusage(who)
    return now.ru_utime - before.ru_utime + now.ru_stime - before.ru_stime


CONTESTANTS: Mapping[str, Callable[[Shares, Target], Cost]] = {
    OURS: ours_in_processes,
    OURS_IN_THREADS: ours_in_threads,
    DCMSEND_SHIPPED: partial(dcmsend, environment={}),
    DCMSEND_WITHOUT_NAGLE: partial(dcmsend, environment={"TCP_NODELAY": "1"}),
}


def measure(folder: Path, plan: Plan) -> list[Measurement]:
    files = write_files(folder, plan.size, plan.files)
    measurements: list[Measurement] = []
    peer_folder = folder / "peer"
    peer_folder.mkdir()
    with peers.storescp(peer_folder, tuned=True, keep=False) as server:
        for contestant in CONTESTANTS.values():  # not counted: files and code are in memory afterwards
            contestant([files], server.target)
        for number in range(plan.rounds):
            print(f"round {number + 1} of {plan.rounds}", file=sys.stderr)
            for associations in plan.associations:
                shares = [files[first::associations] for first in range(associations)]
                names = list(CONTESTANTS) if number % 2 == 0 else list(reversed(CONTESTANTS))
                measurements += [
                    _measured(name, number, plan, associations, CONTESTANTS[name](shares, server.target))
                    for name in names
                ]
        print("the outbox of a running node", file=sys.stderr)
        for number in range(plan.outbox_rounds):
            node_folder = folder / f"node-{number}"
            node_folder.mkdir()
            rate = forwarding.outbox_instances_per_s(node_folder, server.target, plan.size, plan.files)
            cell = Cell(plan.size.name, 1)
            measurements.append(Measurement(contestant=OUTBOX, cell=cell, round=number, instances_per_s=rate))
    return measurements


def _measured(name: str, number: int, plan: Plan, associations: int, cost: Cost) -> Measurement:
    return Measurement(
        contestant=name,
        cell=Cell(plan.size.name, associations),
        round=number,
        instances_per_s=plan.files / cost.seconds,
        cpu_ms=1000 * cost.cpu_seconds / plan.files,
    )


def report_on(measurements: Sequence[Measurement], plan: Plan, folder: Path) -> dict[str, Any]:
    """The JSON object: every median, the ratios, and whether each requirement is met."""
    comparison = Comparison(measurements)
    others = (DCMSEND_SHIPPED, DCMSEND_WITHOUT_NAGLE)
    requirements = [
        comparison.at_least(f"of {other}", (OURS,), other, comparison.cells, limit=LEAST_OF_DCMSEND) for other in others
    ]
    verdicts = [requirement.as_json() for requirement in requirements if requirement.values]
    return {
        "benchmark": "send",
        "machine": machine.describe(folder),
        "versions": peers.versions(),
        "rounds": plan.rounds,
        "files_of_each_run": plan.files,
        "results": comparison.results(),
        "ratios": comparison.ratios((OURS, OURS_IN_THREADS, OUTBOX), others),
        "requirements": verdicts,
        "met": all(verdict["met"] for verdict in verdicts),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 when the benchmark ran, whatever it found; 2 when the machine lacks a peer."""
    parser = argparse.ArgumentParser(description="Sending, beside dcmsend, to one storescp.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, help="how often each sender is measured (7; with --quick 1)")
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that all runs; no figures to tell")
    words = parser.parse_args(argv)
    if DCMSEND is None or peers.STORESCP is None:
        print("DCMTK is not installed (`make peers` installs it)", file=sys.stderr)
        return 2
    configure_logging(level="ERROR")
    plan = QUICK if words.quick else Plan()
    plan = replace(plan, rounds=words.rounds or plan.rounds)
    with tempfile.TemporaryDirectory(prefix="spinenode-bench-") as folder:
        report = report_on(measure(Path(folder), plan), plan, Path(folder))
    if words.json:
        print(json.dumps(report, indent=2))
    else:
        print_report(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
