"""The node as a user starts it: `spinenode serve` in a process of its own, on loopback, ended by its pid."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.system.orthanc import free_port, wait_until

SPINENODE = Path(sys.executable).with_name("spinenode")


class NodeProcess:
    """One node: a folder with its settings, data and log. May be killed and started again on the same data."""

    def __init__(
        self,
        folder: Path,
        *,
        destination: tuple[str, int],
        callers: tuple[str, ...],
        database_url: str | None = None,
        quiet_s: float = 1.5,
        forward_originals: bool = False,
        commitment: bool = False,
    ) -> None:
        """`commitment`: asked of the destination, and its results, as a caller's, go to its own address."""
        self.ae_title = "SPINENODE"
        self.port = free_port()
        self.data_dir = folder / "data"
        self._config = folder / "spinenode.toml"
        self._log = folder / "node.log"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        ae_title, port = destination
        database = f'database_url = "{database_url}"' if database_url else ""
        report = f'report_host = "127.0.0.1"\nreport_port = {port}\n'
        peers = "".join(
            f'[[callers]]\nae_title = "{name}"\naddresses = ["127.0.0.1"]\n{report * (name == ae_title)}'
            for name in callers
        )
        self._config.write_text(
            f"""
[receiver]
ae_title = "{self.ae_title}"
bind_address = "127.0.0.1"
port = {self.port}
minimum_free_bytes = 1000000
[storage]
data_dir = "{self.data_dir}"
{database}
[grouping]
quiet_s = {quiet_s}
gap_wait_s = {quiet_s}
[worker]
device = "cpu"
threads = 1
lease_s = 6
retry_base_s = 0.5
[sender]
retry_base_s = 0.5
retry_cap_s = 2
lease_s = 10
{peers}
[[destinations]]
name = "pacs"
ae_title = "{ae_title}"
host = "127.0.0.1"
port = {port}
{"commitment = {}" if commitment else ""}
[[routes]]
name = "spine"
results_to = ["pacs"]
forward_originals_to = [{'"pacs"' if forward_originals else ""}]
"""
        )

    def start(self) -> None:
        self._marks = self._events("node_ready")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(SPINENODE), "--config", str(self._config), "serve"],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        wait_until(self._is_ready, timeout_s=90, what="the node logs node_ready")

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the node ended with {self._process.returncode}:\n{self._log.read_text()[-4000:]}")
        return len(self._events("node_ready")) > len(self._marks)

    def log_text(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def _events(self, name: str) -> list[dict[str, Any]]:
        lines = (line for line in self.log_text().splitlines() if line.startswith("{"))
        return [entry for entry in map(json.loads, lines) if entry.get("event") == name]

    def stop(self) -> int:
        """SIGTERM, as systemd does; returns the exit status."""
        if self._process is None or self._process.poll() is not None:
            return 0 if self._process is None else self._process.returncode
        self._process.terminate()
        return self._process.wait(timeout=60)

    def kill_everything(self) -> None:
        """SIGKILL for every process of the node at once, as when the machine loses power."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=30)

    def worker_pid(self) -> int:
        """Of the worker process that was started last."""
        return int(self._events("worker_started")[-1]["pid"])

    def command(self, *arguments: str) -> Any:
        """Run `spinenode ARGUMENTS --json` against this node's settings and return what it printed."""
        run = subprocess.run(
            [str(SPINENODE), "--config", str(self._config), *arguments, "--json"],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert run.returncode == 0, f"spinenode {' '.join(arguments)}: {run.stderr}"
        return json.loads(run.stdout)

    def upgrade_database(self) -> None:
        subprocess.run([str(SPINENODE), "--config", str(self._config), "db", "upgrade"], check=True, timeout=120)

    def cases(self) -> list[dict[str, Any]]:
        return list(self.command("case", "list"))

    def wait_for_case(self, *states: str, timeout_s: float = 120) -> dict[str, Any]:
        """Wait until the only case of the node is in one of these states."""

        def reached() -> dict[str, Any] | None:
            cases = self.cases()
            return cases[0] if cases and cases[0]["state"] in states else None

        return dict(wait_until(reached, timeout_s=timeout_s, what=f"the case is {' or '.join(states)}"))
