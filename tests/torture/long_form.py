"""The long form of the torture: `make torture`, or `python -m tests.torture --rounds 1000 --jobs 3 --seed 1`.

Each job has a disk, a database server, an archive and a node of its own. Results go to a file of JSON lines; a run that
was interrupted goes on where it ended when it is given the same file and seed.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

from tests.torture.faults import FAULTS, POSTGRESQL, SQLITE
from tests.torture.place import Ground
from tests.torture.plan import Planned, plan
from tests.torture.postgres import restarting_postgresql
from tests.torture.rounds import Result, judge_by_command, play

_LOG_KEPT = 20_000  # characters of the node's log beside a failed round


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    output = options.out / f"rounds-{options.seed}.jsonl"
    done = {line["index"] for line in _lines(output)}
    planned = plan(options.rounds, seed=options.seed, kinds=options.kinds, databases=tuple(options.databases))
    rest = [one for one in planned if one.index not in done]
    _say(f"{len(rest)} of {options.rounds} rounds to play, seed {options.seed}, results in {output}")
    begin = time.monotonic()
    spawn = multiprocessing.get_context("spawn")
    shares = [[one for one in rest if one.block % options.jobs == job] for job in range(options.jobs)]
    jobs = [spawn.Process(target=_job, args=(share, options.seed, output)) for share in shares if share]
    signal.signal(signal.SIGTERM, _leave)
    try:
        for job in jobs:
            job.start()
        for job in jobs:
            job.join()
    finally:
        for job in jobs:
            if job.is_alive():
                job.terminate()
                job.join()
    results = [line for line in _lines(output) if line["index"] < options.rounds]
    _say(f"\n{len(results)} rounds, {time.monotonic() - begin:.0f} s\n\n{table(results)}")
    return int(len(results) < options.rounds or any(job.exitcode for job in jobs) or any(map(is_bad, results)))


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=3, help="nodes at once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/torture"), help="folder of results and logs")
    parser.add_argument("--kinds", nargs="+", default=list(FAULTS), choices=list(FAULTS), metavar="KIND")
    parser.add_argument("--databases", nargs="+", default=[SQLITE, POSTGRESQL], choices=[SQLITE, POSTGRESQL])
    return parser.parse_args(argv)


def _job(share: Sequence[Planned], seed: int, output: Path) -> None:
    """Play the blocks of one job, one after the other, in a process of its own."""
    signal.signal(signal.SIGTERM, _leave)
    with ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="spinenode-torture-")))
        needs_server = any(one.database == POSTGRESQL for one in share)
        ground = Ground(folder, postgres=parts.enter_context(restarting_postgresql()) if needs_server else None)
        parts.callback(ground.close)
        for _, block in groupby(share, key=lambda one: one.block):
            rest = list(block)
            while rest:  # what breaks a node costs one round, the rest of the block gets a fresh one
                rest = _block(ground, rest, seed, output)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """End in order: nodes killed, disks unmounted, folders removed."""
    sys.exit(1)


def _block(ground: Ground, block: Sequence[Planned], seed: int, output: Path) -> list[Planned]:
    """Play rounds on one node until one fails; returns those that are left."""
    with ground.scene(block[0].database) as scene:
        for number, one in enumerate(block, start=1):
            if not ground.allows(FAULTS[one.kind]):
                _say(f"round {one.index}: this machine allows no {one.kind}")
                continue
            scene.rng = random.Random(f"{seed} {one.index}")  # noqa: S311 - when to strike, no secret
            result = Result(index=one.index, kind=one.kind, database=one.database)
            play(scene, ground.archive, ground.studies, result, name=f"{seed} {one.index} {os.getpid()}")
            is_last = number == len(block)
            if is_last and result.is_clean:
                result.verdict.inconsistent += judge_by_command(scene.node)
            _append(output, result.as_json())
            if not result.is_clean:
                (output.parent / f"round-{one.index}.log").write_text(scene.node.log_tail(_LOG_KEPT))
                _say(f"round {one.index}: {one.kind} on {one.database}: {_complaint(result)}")
                return list(block[number:])
            _say(f"round {one.index}: {one.kind} on {one.database}: clean, {result.seconds:.1f} s")
    return []


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _complaint(result: Result) -> str:
    verdict = result.verdict
    return "; ".join([*verdict.lost, *verdict.twice, *verdict.stuck, *verdict.inconsistent, result.broken])


def _append(output: Path, line: dict[str, Any]) -> None:
    descriptor = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode())  # one write: jobs share the file
    finally:
        os.close(descriptor)


def _lines(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []


def is_bad(line: dict[str, Any]) -> bool:
    """Whether a round broke a promise, or could not be finished."""
    return bool(line["broken"]) or any(line["verdict"].values())


def table(results: Iterable[dict[str, Any]]) -> str:
    """One row per kind of fault, and the sum."""
    columns = ("rounds", "struck", "acknowledged", "sent again", "lost", "twice", "stuck", "verify", "broken")
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in results:
        for kind in (line["kind"], "all"):
            count, verdict = counts[kind], line["verdict"]
            count["rounds"] += 1
            count["struck"] += line["struck"]
            count["acknowledged"] += line["acknowledged"]
            count["sent again"] += line["sent_again"]
            count["broken"] += bool(line["broken"])
            for column, key in (("lost", "lost"), ("twice", "twice"), ("stuck", "stuck"), ("verify", "inconsistent")):
                count[column] += len(verdict[key])
    order: Collection[str] = [*(kind for kind in FAULTS if kind in counts), "all"]
    rows = [["fault", *columns], *([kind, *(str(counts[kind][column]) for column in columns)] for kind in order)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
