"""SIGKILL at any moment, started again: the same weights to the last bit, on the CPU."""

import hashlib
import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from inference.wff.training.engine import WEIGHTS
from inference.wff.training.journal import Journal, read_metrics
from inference.wff.training.processes import train
from inference.wff.training.settings import ComputeSettings
from tests.inference.wff.training.conftest import train_in
from tests.inference.wff.training.killed_run import MOMENTS, SETTINGS
from tests.inference.wff.training.line_task import PLAN, LineTask
from tests.system.orthanc import wait_until

BY_TWO = replace(PLAN, steps=400, checkpoint_every=50, compute=ComputeSettings(devices=2))
ROOT = Path(__file__).parents[4]
pytestmark = pytest.mark.slow


def weights(run: Path) -> dict[str, str]:
    files = sorted(run.rglob("*.safetensors"))
    return {str(file.relative_to(run)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def whole(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train_in(folder, cohort, SETTINGS)
    return folder


def trained_by_two(folder: Path) -> list[float]:
    net = train(
        LineTask(breaks_at=BY_TWO.steps, stops_at=BY_TWO.steps), BY_TWO, folder / "net", journal=Journal(folder, "net")
    )
    return [value for p in net.parameters() for value in p.flatten().tolist()]


def test_processes_of_a_killed_run_end_and_the_next_one_goes_on_exactly(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    program = (
        "import sys; from tests.inference.wff.training.test_killed_runs import *; trained_by_two(Path(sys.argv[1]))"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(run)], cwd=ROOT)
    wait_until(lambda: len(read_metrics(run)) > 20, timeout_s=60, what="the processes train")
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    parent.kill()
    parent.wait()
    assert not (run / "net" / WEIGHTS).exists()

    continued = trained_by_two(run)

    wait_until(lambda: not any(map(is_alive, children)), timeout_s=30, what="no process is left of the killed run")
    assert len(children) >= 2
    assert continued == trained_by_two(tmp_path / "whole")
    assert [line["step"] for line in read_metrics(run)] == list(range(1, BY_TWO.steps + 1))


def is_alive(process: str) -> bool:
    status = Path(f"/proc/{process}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def kill(moment: str, cohort: Path, run: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "tests.inference.wff.training.killed_run", moment, str(cohort), str(run)],
        cwd=ROOT,
        capture_output=True,
        timeout=600,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_once_ends_with_the_weights_of_one_that_was_not(
    moment: str, cohort: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    kill(moment, cohort, run)
    assert not (run / "bundle").exists()

    train_in(run, cohort, SETTINGS)

    assert len(weights(whole)) == 8
    assert weights(run) == weights(whole)
    assert len(json.loads((run / "run.json").read_text())["starts"]) == 2


def test_a_run_killed_again_and_again_ends_with_the_weights_of_one_that_was_not(
    cohort: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    for moment in ("detector", "between", "checkpoint", "sequence"):
        kill(moment, cohort, run)

    train_in(run, cohort, SETTINGS)

    assert weights(run) == weights(whole)
    steps = [(line["stage"], line["step"], line["loss"]) for line in read_metrics(run)]
    assert steps == [(line["stage"], line["step"], line["loss"]) for line in read_metrics(whole)]
