"""A node to be tortured: `spinenode serve` in its own session, a fuse in each process, a clock that can be turned."""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from storage.database import upgrade
from tests.system.orthanc import free_port, wait_until
from tests.torture.points.torture_points import ARMED, FOLDER_VARIABLE, STRUCK, VICTIM
from tests.torture.scanner import AE_TITLE as SCANNER

SPINENODE: Final = Path(sys.executable).with_name("spinenode")
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 60.0
_POINTS: Final = Path(__file__).with_name("points")
_CLOCK_SOURCE: Final = Path(__file__).with_name("clock.c")
_ALREADY_ENDED: Final = (ProcessLookupError, FileNotFoundError)
# proc(5), /proc/PID/stat, counted after the name in brackets
_PROCESS_STATE, _PROCESS_GROUP = 0, 2

# Short times, so that a round takes seconds, and no pictures of tens of megabytes per case; everything else is as it is
# shipped. The smallest free space is nothing, so that a full disk is told by the disk.
_SETTINGS: Final = """
[receiver]
ae_title = "SPINENODE"
bind_address = "127.0.0.1"
port = {port}
processes = 2
minimum_free_bytes = 0
[storage]
data_dir = "{data_dir}"
{database}
[grouping]
quiet_s = 0.3
gap_wait_s = 0.3
[worker]
bundle = "{bundle}"
device = "cpu"
threads = 1
lease_s = 2
retry_base_s = 0.2
poll_s = 0.1
[sender]
retry_base_s = 0.1
retry_cap_s = 1
lease_s = 2
poll_s = 0.1
circuit_probe_s = 1
[reports]
objects = ["summary"]
[retention]
high_watermark = 1.0
low_watermark = 1.0
[[callers]]
ae_title = "{scanner}"
addresses = ["127.0.0.1"]
[[destinations]]
name = "pacs"
ae_title = "{archive}"
host = "127.0.0.1"
port = {archive_port}
timeout_s = 1
[[routes]]
name = "spine"
results_to = ["pacs"]
forward_originals_to = ["pacs"]
"""


def compile_clock(folder: Path) -> Path:
    """The preload of `clock.c`. Raises FileNotFoundError without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise FileNotFoundError("cc")
    library = folder / "clock.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(library), str(_CLOCK_SOURCE), "-ldl", "-lm"], check=True, timeout=60
    )
    return library


class TorturedNode:
    """One node and all its processes. May be killed and started again on the same data."""

    ae_title: Final = "SPINENODE"

    def __init__(
        self,
        folder: Path,
        *,
        data_dir: Path,
        bundle: Path,
        archive: tuple[str, int],
        database_url: str | None,
        clock: Path | None,
    ) -> None:
        """`archive`: AE title and port. `clock`: the library of `compile_clock`, or None for the machine's clock."""
        self.port = free_port()
        self.data_dir = data_dir
        self.database_url = database_url or f"sqlite:///{data_dir / 'spinenode.db'}"
        self._folder = folder
        self._config = folder / "spinenode.toml"
        self._log = folder / "node.log"
        self._offset = folder / "clock"
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()  # of every start: children may outlive a killed supervisor for a while
        folder.mkdir(parents=True, exist_ok=True)
        self.turn_clock(0.0)
        if database_url is not None:
            upgrade(database_url)
        self._config.write_text(
            _SETTINGS.format(
                port=self.port,
                data_dir=data_dir,
                database=f'database_url = "{database_url}"' if database_url else "",
                bundle=bundle,
                scanner=SCANNER,
                archive=archive[0],
                archive_port=archive[1],
            )
        )

    # --- starting and stopping

    def start(self) -> None:
        """Start it and wait until it takes associations. Raises RuntimeError with its log when it ends instead."""
        if self._process is not None:
            self._process.wait(timeout=30)
        begin = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(SPINENODE), "--config", str(self._config), "serve"],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=self._environment(),
            )
        self._groups.add(self._process.pid)

        def ready() -> bool:
            assert self._process is not None
            with self._log.open("rb") as log:
                log.seek(begin)
                text = log.read().decode(errors="replace")
            if self._process.poll() is not None:
                raise RuntimeError(f"the node ended with {self._process.returncode}:\n{text[-4000:]}")
            return '"node_ready"' in text

        wait_until(ready, timeout_s=START_TIMEOUT_S, what="the node logs node_ready")

    def _environment(self) -> dict[str, str]:
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(_POINTS), *filter(None, [os.environ.get("PYTHONPATH")])]),
            FOLDER_VARIABLE: str(self._folder),
        }
        if self._clock is not None:
            environment |= {"LD_PRELOAD": str(self._clock), "TORTURE_CLOCK": str(self._offset)}
        return environment

    @property
    def is_alive(self) -> bool:
        """Whether the supervisor lives. One that is dying, some of its threads still there, does not."""
        return self._process is not None and self._process.poll() is None and self._process.pid in self.pids()

    def stop(self) -> None:
        """SIGTERM, as systemd does. Raises TimeoutError when a process is left; it is killed then."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=STOP_TIMEOUT_S)
            wait_until(lambda: not self.pids(), timeout_s=STOP_TIMEOUT_S, what="no process of the node is left")
        except (subprocess.TimeoutExpired, TimeoutError) as error:
            left = self.pids()
            self.kill_everything()
            raise TimeoutError(f"a minute after SIGTERM these live: {left}") from error

    def kill_everything(self) -> None:
        """SIGKILL for every process of the node at once, as when the machine loses power."""
        if self._process is None:
            return
        for group in self._groups:
            with suppress(*_ALREADY_ENDED):
                os.killpg(group, signal.SIGKILL)
        self._process.wait(timeout=30)
        wait_until(lambda: not self.pids(), timeout_s=30, what="all killed processes are gone")

    def kill(self, role: str) -> bool:
        """SIGKILL for one process: "serve" (the supervisor), "worker" or "receiver". False when there is none."""
        for pid, command in self.pids().items():
            if role in command:
                with suppress(*_ALREADY_ENDED):
                    os.kill(pid, signal.SIGKILL)
                    self._wait_for_the_end_of(pid)
                    return True
        return False

    def _wait_for_the_end_of(self, pid: int) -> None:
        wait_until(lambda: pid not in self.pids(), timeout_s=30, what=f"the killed process {pid} is gone")

    def orphans(self) -> dict[int, list[str]]:
        """Processes of earlier starts, whose supervisor was killed: they must end by themselves."""
        assert self._process is not None
        return self._pids_of(self._groups - {self._process.pid})

    def pids(self) -> dict[int, list[str]]:
        """The living processes of the node, each with its command line."""
        return self._pids_of(self._groups)

    @staticmethod
    def _pids_of(groups: set[int]) -> dict[int, list[str]]:
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(*_ALREADY_ENDED):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[_PROCESS_GROUP]) in groups and fields[_PROCESS_STATE] not in "ZX":
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().decode().split("\0")
        return found

    # --- faults

    def arm(self, point: str, *, count: int, scope: str) -> None:
        """Let the process that passes `point` for the `count`-th time from now die; with scope "node" all of them."""
        (self._folder / STRUCK).unlink(missing_ok=True)
        draft = self._folder / "arming"
        draft.write_text(f"{point}:{count}:{scope}:{uuid.uuid4().hex}")
        draft.rename(self._folder / ARMED)

    def disarm(self) -> None:
        (self._folder / ARMED).unlink(missing_ok=True)

    @property
    def was_struck(self) -> bool:
        """Whether a process passed the point and is gone."""
        victim = self._folder / VICTIM
        named = victim.read_text() if (self._folder / STRUCK).exists() and victim.exists() else ""
        return bool(named) and int(named) not in self.pids()  # it strikes before it has written its name

    def turn_clock(self, offset_s: float) -> None:
        """Let the node's wall clock differ from the machine's by so much, at once."""
        with self._offset.open("r+b" if self._offset.exists() else "w+b") as file:  # in place: it is mapped
            file.write(struct.pack("d", offset_s))

    # --- looking

    def command(self, *arguments: str) -> tuple[int, Any, str]:
        """Exit status, JSON and messages of `spinenode ARGUMENTS --json` with this node's settings."""
        run = subprocess.run(
            [str(SPINENODE), "--config", str(self._config), *arguments, "--json"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        try:
            printed = json.loads(run.stdout)
        except json.JSONDecodeError:
            printed = None
        return run.returncode, printed, run.stderr

    def log_tail(self, characters: int = 4000) -> str:
        return self._log.read_text(errors="replace")[-characters:] if self._log.exists() else ""
