"""The worker's process is handed its settings in private, kept alive, and ended in time."""

import json
import sys
import threading
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from config.settings import Settings, StorageSettings
from node import worker_process
from node.child_process import read_settings
from node.worker_process import WorkerProcess

PATIENCE_S = 30.0
SECRET_URL = "postgresql+psycopg://spinenode:hunter2@db/spinenode"  # noqa: S105 - a made-up password


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Replaces the worker's program by a few lines of Python; delays are short."""
    monkeypatch.setattr(worker_process, "_FIRST_RESTART_S", 0.01)
    monkeypatch.setattr(worker_process, "_LONGEST_RESTART_S", 0.05)

    def use(program: str) -> None:
        monkeypatch.setattr(worker_process, "_COMMAND", (sys.executable, "-c", program))

    return use


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_settings_reach_the_worker_whole_and_only_through_the_pipe(
    command: Callable[[str], None], tmp_path: Path
) -> None:
    out = tmp_path / "handed-over.json"
    command(f"import sys; open({str(out)!r}, 'w').write(sys.stdin.readline()); sys.stdin.read()")
    settings = Settings(storage=StorageSettings(data_dir=tmp_path, database_url=SecretStr(SECRET_URL)))

    process = WorkerProcess(settings)
    process.start()
    wait_until(lambda: out.exists() and out.read_text().endswith("\n"))
    arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes() + Path(f"/proc/{process.pid}/environ").read_bytes()
    process.stop()

    assert read_settings(StringIO(out.read_text())) == settings
    assert json.loads(out.read_text())["storage"]["database_url"] == SECRET_URL
    assert b"hunter2" not in arguments


def test_a_worker_that_dies_is_started_again_and_told(command: Callable[[str], None], tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    command(f"open({str(lives)!r}, 'a').write('x'); raise SystemExit(7)")

    process = WorkerProcess(Settings())
    with capture_logs() as logs:
        process.start()
        wait_until(lambda: lives.exists() and len(lives.read_text()) >= 5)
        process.stop()

    died = [entry for entry in logs if entry["event"] == "worker_died"]
    assert died[0]["status"] == 7
    assert [entry["restart_in_s"] for entry in died[:4]] == [0.01, 0.02, 0.04, 0.05]


def test_a_stopped_worker_is_not_started_again(command: Callable[[str], None]) -> None:
    command("import sys; sys.stdin.read()")
    process = WorkerProcess(Settings())
    process.start()
    wait_until(lambda: process.pid is not None)

    process.stop()

    assert process.pid is None
    assert not any(thread.name == "worker-supervisor" for thread in threading.enumerate())


def test_a_worker_that_does_not_stop_is_killed(command: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "DRAIN_S", 0.1)
    monkeypatch.setattr(worker_process, "_KILL_AFTER_S", 0.1)
    command("import time; time.sleep(600)")
    process = WorkerProcess(Settings())
    process.start()
    wait_until(lambda: process.pid is not None)

    with capture_logs() as logs:
        process.stop()

    assert process.pid is None
    assert "worker_killed" in [entry["event"] for entry in logs]


def test_stopping_before_the_start_starts_nothing(command: Callable[[str], None]) -> None:
    command("import sys; sys.stdin.read()")
    process = WorkerProcess(Settings())

    process.stop()

    assert process.pid is None
