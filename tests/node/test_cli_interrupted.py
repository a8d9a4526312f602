"""Ctrl-C while several processes work: one line, status 130, and nobody is left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inference.findings import Verdict
from inference.wff.training.journal import read_metrics
from tests.inference.wff.labelled_patients import T1, T2, Case, write_patients
from tests.inference.wff.training.conftest import write_cohort
from tests.node.micro_bundle import write_micro_bundle
from tests.system.orthanc import wait_until

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow  # each starts three or four interpreters that import torch
CASES = [
    Case(verdict, {T1: verdict, T2: verdict}) for verdict in (Verdict.BENIGN, Verdict.MALIGNANT) for _ in range(40)
]
# says when a patient has come back from a process
COMMAND = """
import sys, node.cli, inference.wff.evaluation.run as run
run.patient_counter = lambda *_: lambda: print("one", flush=True)
sys.exit(node.cli.main(sys.argv[1:]))
"""


def command(*arguments: object) -> "subprocess.Popen[str]":
    """In a process group of its own, as a terminal has it."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def children_of(process: "subprocess.Popen[str]") -> list[str]:
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()


def interrupted(process: "subprocess.Popen[str]") -> str:
    """Ctrl-C in the terminal reaches all; returns what was said on stderr, which all have closed then."""
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    return said


@pytest.fixture
def evaluation(tmp_path: Path) -> "subprocess.Popen[str]":
    write_micro_bundle(tmp_path / "bundle")
    write_patients(tmp_path / "data", CASES)
    folders = ("--bundle", tmp_path / "bundle", "--data", tmp_path / "data", "--out", tmp_path / "out")
    return command("evaluate", *folders, "--processes", 2)


def test_processes_that_just_begin_say_nothing(evaluation: "subprocess.Popen[str]") -> None:
    wait_until(lambda: len(children_of(evaluation)) == 3, timeout_s=60, what="two processes and multiprocessing's own")

    assert interrupted(evaluation).splitlines() == ["spinenode: stopped"]


def test_processes_that_are_at_work_end_and_say_nothing(evaluation: "subprocess.Popen[str]", tmp_path: Path) -> None:
    assert evaluation.stdout is not None
    assert evaluation.stdout.readline() == "one\n"

    assert interrupted(evaluation).splitlines() == ["spinenode: stopped"]
    assert not (tmp_path / "out").exists()


def test_a_training_on_two_devices_ends_and_goes_on_later(tmp_path: Path) -> None:
    data, run = write_cohort(tmp_path / "data"), tmp_path / "run"
    settings = tmp_path / "train.toml"
    settings.write_text('preset = "micro"\n[compute]\ndevices = 2\ndevice = "cpu"\n[detector]\nsteps = 100_000\n')
    training = command("train", "wff", "--data", data, "--config", settings, "--out", run)
    wait_until(lambda: run.is_dir() and bool(read_metrics(run)), timeout_s=60, what="the processes train")

    said = interrupted(training)

    assert said.splitlines()[-1] == "spinenode: stopped"
    assert "Traceback" not in said
    assert list(run.rglob("rendezvous-*")) == []
