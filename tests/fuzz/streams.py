"""Mutated streams against a living receiver: afterwards it serves a good peer, and nothing of them is left behind."""

import logging
import os
import random
import socket
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import structlog
from pydicom.dataset import FileMetaDataset
from sqlalchemy import select

from node.errors import SUCCESS
from storage.database import upgrade
from storage.schema import InstanceRow
from tests.fuzz.bounds import peak_bytes, reset_peak
from tests.fuzz.data_sets import Findings
from tests.fuzz.recorded_streams import record
from tests.fuzz.stream_mutations import mutated
from tests.fuzz.whole_messages import whole_data_sets
from tests.node.network.objects import EXPLICIT, MR, encoded, mr_image
from tests.node.network.peers import ReceivingNode, data_set_of, receiving_node, request_association

# A peer that has hung up is gone at once; everything here is generous, because the machine may be busy.
ANSWER_TIMEOUT_S: Final = 20.0
_QUIET_TIMEOUT_S: Final = 20.0
_ASSOCIATED_WITHIN_S: Final = 0.2  # an intact request is answered within milliseconds, a broken one not at all
_PLAYERS: Final = 4
_BATCH: Final = 200
MOST_MEMORY_BYTES: Final = 192 << 20
_RESET: Final = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # struct linger: on, 0 s
_OUR_FAULTS: Final = frozenset({"error", "critical", "exception"})
# What an intact or a mutated object may rightly be answered with, logged as an error for the operator
_RIGHTLY_LOGGED: Final = frozenset({"instance_not_kept"})


class StreamFuzzer:
    """Plays mutated streams; those that broke a rule are written into `folder` batch by batch."""

    def __init__(self, folder: Path, node: ReceivingNode, recorded: list[bytes], *, seed: int) -> None:
        self._folder = folder
        self._node = node
        self.recorded = recorded
        self._seed = seed
        self._complaints: list[str] = []
        self._wholly_sent: set[str] = set()
        self._last_row = 0
        self._number = 0
        self._lock = threading.Lock()

    def run(self, cases: int, *, on_batch: Callable[[int], None] = lambda _: None) -> Findings:
        findings = Findings()
        with _faults_told_to(self._complaints), ThreadPoolExecutor(_PLAYERS) as pool:
            list(pool.map(lambda _: time.sleep(0.05), range(_PLAYERS)))  # all its threads are there from here on
            self._check_good_peer()
            self._wait_until_quiet(threads=None, descriptors=None)
            threads, descriptors = _threads(), _descriptors()
            reset_peak()
            before = peak_bytes()
            while findings.cases < cases:
                numbers = range(self._number, self._number + min(_BATCH, cases - findings.cases))
                self._number = numbers.stop
                findings.outcomes.update(pool.map(self._play, numbers))
                findings.cases += len(numbers)
                self._check_good_peer()
                self._wait_until_quiet(threads=threads, descriptors=descriptors)
                self._check_rows()
                if (grown := peak_bytes() - before) > MOST_MEMORY_BYTES:
                    self._complaints.append(f"memory grew by {grown >> 20} MiB")
                    before = peak_bytes()
                if self._complaints:
                    self._fail(numbers, findings)
                on_batch(len(numbers))
        return findings

    def stream(self, number: int) -> tuple[bytes, bytes]:
        """Request and rest of one case; the same seed, number and recorded streams give the same."""
        rng = random.Random(f"{self._seed} {number}")  # noqa: S311 - mutations, no secret
        return mutated(rng.choice(self.recorded), rng)

    def _play(self, number: int) -> str:
        request, rest = self.stream(number)
        rng = random.Random(f"{self._seed} {number} play")  # noqa: S311 - how it is sent
        with self._lock:
            self._wholly_sent |= whole_data_sets(request + rest)
        try:
            return self._send(request, rest, rng)
        except Exception:  # noqa: BLE001 - thread boundary
            self._complaints.append(f"case {number}: {traceback.format_exc()}")
            return "failed"

    def _send(self, request: bytes, rest: bytes, rng: random.Random) -> str:
        # many source addresses, because each connection leaves its port unusable for a minute
        source = f"127.{rng.randrange(1, 255)}.{rng.randrange(1, 255)}.{rng.randrange(1, 255)}"
        with socket.create_connection(
            ("127.0.0.1", self._node.port), ANSWER_TIMEOUT_S, source_address=(source, 0)
        ) as peer:
            try:
                peer.sendall(request)
                if rng.random() < 0.95:
                    _await_answer(peer)
                for piece in _pieces(rest, rng):
                    peer.sendall(piece)
                if rng.random() < 0.1:  # a peer that dies instead of hanging up
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    return "reset by us"
                peer.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError, OSError) as error:
                if isinstance(error, TimeoutError):
                    raise
                return "closed by the receiver"
            return _read_to_the_end(peer)

    def _check_good_peer(self) -> None:
        """A store over a new association is answered with success, whatever was played before."""
        dataset = mr_image(9_000_000)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = EXPLICIT
        with self._lock:
            self._wholly_sent.add(sha256(encoded(dataset)).hexdigest())
        association = request_association(self._node.port, [(MR, EXPLICIT)])
        if not association.is_established:
            self._complaints.append("a good peer was refused")
            return
        answer = association.send_c_store(dataset)
        association.release()
        if answer.get("Status") != SUCCESS:
            self._complaints.append(f"a good peer was answered {answer.get('Status')}")

    def _wait_until_quiet(self, *, threads: int | None, descriptors: int | None) -> None:
        deadline = time.monotonic() + _QUIET_TIMEOUT_S
        while time.monotonic() < deadline:
            connections = sum(thread.name.startswith("connection-") for thread in threading.enumerate())
            are_there = connections or (threads is not None and _threads() > threads)
            if not are_there and (descriptors is None or _descriptors() <= descriptors):
                return
            time.sleep(0.01)
        names = Counter(thread.name.rstrip("0123456789") for thread in threading.enumerate())
        self._complaints.append(f"left: threads {dict(names)}, {_descriptors()} descriptors of {descriptors}")

    def _check_rows(self) -> None:
        with self._node.database.reading() as session:
            rows = session.scalars(select(InstanceRow).where(InstanceRow.id > self._last_row).order_by(InstanceRow.id))
            for row in rows:
                self._last_row = row.id
                if row.content_sha256 not in self._wholly_sent:
                    self._complaints.append(f"row {row.id} was recorded but its data set was never sent whole")
                kept = sha256(data_set_of(self._node.files.path(row.file))).hexdigest()
                if kept != row.content_sha256:
                    self._complaints.append(f"row {row.id}: its file holds other bytes")
        if parts := list(self._node.files.root.rglob("*.part")):
            self._complaints.append(f"{len(parts)} temporary files are left")

    def _fail(self, numbers: range, findings: Findings) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            request, rest = self.stream(number)
            (self._folder / f"stream-{self._seed}-{number}.request").write_bytes(request)
            (self._folder / f"stream-{self._seed}-{number}.rest").write_bytes(rest)
        where = f"streams {numbers.start} to {numbers.stop - 1} of seed {self._seed}"
        counted = Counter(self._complaints)
        findings.failures += [f"{where}: {count} x {complaint}" for complaint, count in counted.items()]
        self._complaints.clear()


@contextmanager
def stream_fuzzer(folder: Path, *, seed: int) -> Iterator[StreamFuzzer]:
    """A fuzzer with a receiver of its own, in memory where the machine has such a folder: a disk would only be slow."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of random name is made in it
    with ExitStack() as parts:
        parts.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # pydicom tells of each fault; they are meant
        place = Path(parts.enter_context(tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)))
        url = f"sqlite:///{place / 'fuzz.db'}"
        upgrade(url)
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
        limits = {"maximum_associations": 1000, "maximum_associations_per_address": 1000}
        node = parts.enter_context(receiving_node(place, url, **limits))
        recorded = record(node.port, place)
        yield StreamFuzzer(folder, node, recorded, seed=seed)


@contextmanager
def _faults_told_to(complaints: list[str]) -> Iterator[None]:
    """Errors that the node logs, and exceptions that end a thread of it, are complaints; other lines are dropped."""

    def judge(_: object, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if level in _OUR_FAULTS and event.get("event") not in _RIGHTLY_LOGGED:
            told = structlog.processors.format_exc_info(None, level, event)
            complaints.append(f"logged {told.get('event')}: {_last_lines(str(told.get('exception', told)))}")
        raise structlog.DropEvent

    def ended(fault: threading.ExceptHookArgs) -> None:
        lines = traceback.format_exception(fault.exc_type, fault.exc_value, fault.exc_traceback)
        complaints.append(f"a thread ended with {_last_lines(''.join(lines))}")

    before, hook = structlog.get_config(), threading.excepthook
    structlog.configure(processors=[judge], cache_logger_on_first_use=False)
    threading.excepthook = ended
    try:
        yield
    finally:
        structlog.configure(**before)
        threading.excepthook = hook


def _last_lines(told: str) -> str:
    """Where it was raised and what it was."""
    lines = [line.strip() for line in told.strip().splitlines()]
    places = [line for line in lines if line.startswith("File ")]
    return f"{lines[-1]} in {places[-1] if places else 'nowhere'}"


def _await_answer(peer: socket.socket) -> None:
    peer.settimeout(_ASSOCIATED_WITHIN_S)
    with suppress(TimeoutError):
        peer.recv(1 << 16)
    peer.settimeout(ANSWER_TIMEOUT_S)


def _pieces(content: bytes, rng: random.Random) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        size = len(content) if rng.random() < 0.5 else rng.choice((1, 6, 100, 5000))
        yield content[at : at + size]
        at += size


def _read_to_the_end(peer: socket.socket) -> str:
    """The receiver must end the connection of a peer that has hung up. Raises TimeoutError when it does not."""
    received = 0
    with suppress(ConnectionResetError):
        while content := peer.recv(1 << 16):
            received += len(content)
    return "answered" if received else "ended"


def _threads() -> int:
    """Without the one that sends the progress of this process."""
    return sum(thread.name != "QueueFeederThread" for thread in threading.enumerate())


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a number is wanted
