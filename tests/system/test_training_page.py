"""A new user follows docs/training.md from a folder of DICOM and LabelMe files to a bundle that a node serves."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from inference.bundle import open_bundle
from inference.findings import Verdict
from tests.inference.labels.phantom_folder import write_labelled_folder

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "training.md"
SECTION = "In short"
PATIENTS = (*[Verdict.BENIGN] * 4, *[Verdict.MALIGNANT] * 4, None)
STUDY = "studies/0012"  # of the page
TINY = 'preset = "micro"\n'
LONGEST_S = 120
pytestmark = [pytest.mark.slow, pytest.mark.system]


def commands() -> list[str]:
    """The lines of the code block, without their comments, in the order of the page."""
    section = PAGE.read_text().split(f"## {SECTION}\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"```\n(.*?)```", section, flags=re.DOTALL)
    return [line.split("  #")[0].rstrip() for line in block.splitlines()]


def run(command: str, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],  # as a user types it: one of the lines writes into a file
        cwd=folder,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_the_page_leads_from_labelled_studies_to_a_served_bundle(tmp_path: Path) -> None:
    first, *_ = write_labelled_folder(tmp_path / "studies", PATIENTS)
    (tmp_path / "studies" / first.patient_id).rename(tmp_path / STUDY)

    for command in commands():
        run(command, tmp_path)
        if "--print-config" in command:
            assert "learning_rate" in (tmp_path / "train.toml").read_text()
            (tmp_path / "train.toml").write_text(TINY)  # the published size would take days

    answer = json.loads((tmp_path / "answer" / "result.json").read_text())
    identity = open_bundle(tmp_path / "run" / "bundle").identity
    assert identity.sha256 in json.dumps(answer)
    assert identity.phantom_trained
    assert len(json.loads((tmp_path / "run" / "splits.json").read_text())["folds"]) == 2
    assert (tmp_path / "evaluation" / "evaluation.html").exists()


def test_the_page_names_every_command_of_the_way() -> None:
    named = [" ".join(command.split()[1:3]) for command in commands()]

    assert [name.split(" --")[0] for name in named] == [
        "data check",
        "data import",
        "train wff",
        "train wff",
        "train wff",
        "evaluate",
        "demo",
    ]


def test_every_command_of_the_short_way_is_told_below_it() -> None:
    below = PAGE.read_text().split("## Your data\n")[1]

    for name in ("data check", "data import", "train wff", "evaluate", "demo"):
        assert f"spinenode {name} " in below
