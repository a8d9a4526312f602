"""The long form of the fuzzers: `make fuzz`, or `python -m tests.fuzz --data-sets 1000000 --streams 100000 --seed 1`.

Each job is a process with a seed of its own, so that a run is repeated by its seed and number of jobs. Failing inputs
are written to the folder `--out`; see README.md for what to do with them.
"""

import argparse
import multiprocessing
import queue
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from tests.fuzz.bounds import limit_address_space
from tests.fuzz.data_sets import DataSetFuzzer, Findings
from tests.fuzz.streams import stream_fuzzer

_PROGRESS_EVERY_S: Final = 10.0
_MOST_SHOWN: Final = 50
# Threads reserve address space that they never touch: far above what `MOST_MEMORY_BYTES` allows to be used.
_MOST_ADDRESS_SPACE: Final = 4 << 30
_SEEDS_PER_RUN: Final = 1000  # jobs of one run never share a seed with those of the next


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--data-sets", type=int, default=1_000_000)
    parser.add_argument("--streams", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"), help="folder of failing inputs")
    options = parser.parse_args(argv)
    failed = 0
    for kind, cases in (("data sets", options.data_sets), ("streams", options.streams)):
        if cases:
            failed += _run(kind, cases, options)
    return int(failed > 0)


def _run(kind: str, cases: int, options: argparse.Namespace) -> int:
    """Share the cases out to the jobs and show what they found; returns the number of failures."""
    spawn = multiprocessing.get_context("spawn")
    messages: Any = spawn.Queue()
    shares = [cases // options.jobs + (job < cases % options.jobs) for job in range(options.jobs)]
    jobs = [
        spawn.Process(
            target=_job, args=(kind, share, options.seed * _SEEDS_PER_RUN + number, options.out, messages), daemon=True
        )
        for number, share in enumerate(shares)
    ]
    begin = time.monotonic()
    for job in jobs:
        job.start()
    done, told, results = 0, begin, list[Findings]()
    while len(results) < len(jobs):
        try:
            message = messages.get(timeout=_PROGRESS_EVERY_S)
        except queue.Empty:
            if dead := [job.exitcode for job in jobs if job.exitcode]:
                _say(f"{kind}: a process of the fuzzer ended with {dead}: a crash, or the limit of its memory")
                return len(dead)
            continue
        if isinstance(message, Findings):
            results.append(message)
            continue
        done += message
        if time.monotonic() - told > _PROGRESS_EVERY_S:
            told = time.monotonic()
            _say(f"{kind}: {done} of {cases}, {done / (told - begin):.0f}/s")
    for job in jobs:
        job.join()
    return _report(kind, results, time.monotonic() - begin, options.out)


def _report(kind: str, results: Sequence[Findings], seconds: float, out: Path) -> int:
    outcomes = sum((found.outcomes for found in results), Counter[str]())
    failures = [failure for found in results for failure in found.failures]
    count = sum(found.cases for found in results)
    _say(f"{kind}: {count} in {seconds:.0f} s, {len(failures)} failures; outcomes {dict(outcomes.most_common())}")
    for failure in failures[:_MOST_SHOWN]:
        _say(f"  {failure}")
    if failures:
        _say(f"  inputs in {out}")
    return len(failures)


def _job(kind: str, cases: int, seed: int, out: Path, messages: Any) -> None:
    limit_address_space(_MOST_ADDRESS_SPACE)
    on_batch: Callable[[int], None] = messages.put
    if kind == "data sets":
        messages.put(DataSetFuzzer(out, seed=seed).run(cases, on_batch=on_batch))
        return
    with stream_fuzzer(out, seed=seed) as fuzzer:
        messages.put(fuzzer.run(cases, on_batch=on_batch))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
