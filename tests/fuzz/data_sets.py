"""Mutated data sets through the sink that keeps received objects: it takes them or refuses them, and nothing else.

Where the quick scan of the head and the full parser both take an object, they must have found the same in it.
"""

import logging
import os
import random
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Final, cast

from config.settings import ReceiverSettings
from node.errors import InputRejected
from node.instance_head import HeadRules, read_received_head
from node.instance_sink import AnnouncedObject, InstanceSink
from storage.files import FileStore
from storage.new_instance import NewInstance, Outcome
from tests.fuzz.bounds import TookTooLong, peak_bytes, reset_peak, time_limit
from tests.fuzz.mutations import mutated
from tests.fuzz.seeds import Seed, seeds

# Generous: the machine may be busy. What is hunted is what does not end, or grows with a number in the input.
CASE_TIMEOUT_S: Final = 5.0
MOST_MEMORY_BYTES: Final = 192 << 20  # more than before; the sink inflates at most 64 MiB, and a copy of it
_BATCH: Final = 500


@dataclass
class Findings:
    """What became of the cases; `failures` are inputs that broke a rule."""

    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class _MemoryWriter:
    """A file writer on a file without a disk: a million syncs would only test the disk."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("fuzz")

    def begin(self, _area: str, _uid: str) -> "_MemoryWriter":
        os.ftruncate(self.descriptor, 0)
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        return self

    def write(self, buffers: Any) -> None:
        os.writev(self.descriptor, list(buffers))

    def commit(self, name: str, **_more: Any) -> str:
        return name

    def discard(self) -> None:
        pass

    def free_bytes(self) -> int:
        return 1 << 50


class _Recorder:
    def __init__(self) -> None:
        self.last: NewInstance | None = None

    def record(self, new: NewInstance) -> Outcome:
        self.last = new
        return Outcome.NEW


class DataSetFuzzer:
    """Mutates and judges; failing inputs are written into `folder`, with what is needed to play them again."""

    def __init__(self, folder: Path, *, seed: int) -> None:
        warnings.simplefilter("ignore")  # pydicom tells of each fault; they are meant
        logging.getLogger("pydicom").setLevel(logging.CRITICAL)
        self._folder = folder
        self._rng = random.Random(seed)  # noqa: S311 - mutations, no secret
        self._seeds = seeds()
        self._recorder = _Recorder()
        settings = ReceiverSettings(minimum_free_bytes=0)
        self._rules = HeadRules(maximum_nesting=settings.maximum_nesting, lenient_uids=False)
        self._sink = InstanceSink(
            cast(FileStore, _MemoryWriter()),
            self._recorder,
            clock=lambda: datetime(2026, 11, 2, tzinfo=UTC),
            settings=settings,
        )

    def run(self, cases: int, *, on_batch: Callable[[int], None] = lambda _: None) -> Findings:
        findings = Findings()
        reset_peak()
        before = peak_bytes()
        while findings.cases < cases:
            batch = min(_BATCH, cases - findings.cases)
            for _ in range(batch):
                seed = self._rng.choice(self._seeds)
                self._judge(seed, mutated(seed, self._seeds, self._rng), findings)
            findings.cases += batch
            if (grown := peak_bytes() - before) > MOST_MEMORY_BYTES:
                findings.failures.append(f"a batch of {batch} cases took {grown >> 20} MiB of memory")
                before = peak_bytes()
            on_batch(batch)
        return findings

    def _judge(self, seed: Seed, data_set: bytes, findings: Findings) -> None:
        begin = time.monotonic()
        try:
            with time_limit(CASE_TIMEOUT_S):
                outcome = self.play(seed, data_set)
        except TookTooLong as error:
            self._fail(seed, data_set, f"hang: {error}", findings)
            return
        except Exception:  # noqa: BLE001 - everything else is what is hunted
            self._fail(seed, data_set, traceback.format_exc(), findings)
            return
        findings.outcomes[outcome] += 1
        if time.monotonic() - begin > CASE_TIMEOUT_S / 2:
            findings.outcomes["slow"] += 1

    def play(self, seed: Seed, data_set: bytes) -> str:
        """One case. Raises AssertionError, or whatever else should not come out of the sink."""
        announced = AnnouncedObject(
            sop_class_uid=seed.sop_class_uid,
            sop_instance_uid=seed.sop_instance_uid,
            transfer_syntax_uid=seed.transfer_syntax_uid,
            calling_ae_title="FUZZ",
        )
        try:
            self._sink.take(announced, data_set)
        except InputRejected as error:
            return type(error).__name__
        kept = self._recorder.last
        assert kept is not None
        assert kept.content_sha256 == sha256(data_set).hexdigest()
        try:
            expected = read_received_head(BytesIO(data_set), seed.transfer_syntax_uid, self._rules)
        except InputRejected:  # the scan passes over what it needs not understand; the bytes are kept as they came
            return "taken, where the full parser refuses"
        found = {name: getattr(kept, name) for name in asdict(expected)}
        assert found == asdict(expected), f"the scan found {found}, the parser {asdict(expected)}"
        return "taken"

    def _fail(self, seed: Seed, data_set: bytes, what: str, findings: Findings) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = sha256(data_set).hexdigest()[:16]
        (self._folder / f"{name}.dataset").write_bytes(data_set)
        (self._folder / f"{name}.txt").write_text(
            f"seed {seed.name}\nclass {seed.sop_class_uid}\ninstance {seed.sop_instance_uid}\n"
            f"syntax {seed.transfer_syntax_uid}\n\n{what}"
        )
        findings.failures.append(f"{name} ({seed.name}): {what.strip().splitlines()[-1]}")
