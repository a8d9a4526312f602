"""The whole verification once, as small as it can be: nothing can hold at this size, but everything must be said."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inference.errors import TrainingError
from inference.wff.phantom_verification.command import app
from inference.wff.phantom_verification.findings import Finding, Item, Judgement
from inference.wff.phantom_verification.scale import quick_scale
from inference.wff.phantom_verification.verification import verify
from inference.wff.training.display import Silent

SCALE = quick_scale(seed=1)
COMMAND = ["python", "-m", "inference.wff.phantom_verification"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("verify-phantom")


@pytest.fixture(scope="module")
def findings(folder: Path) -> list[Finding]:
    return verify(SCALE, folder, Silent(), command=COMMAND)


def test_every_item_of_the_specification_has_a_verdict(findings: list[Finding]) -> None:
    assert [item.value for item in dict.fromkeys(one.item for one in findings)] == list("abcdefghij")
    assert set(Item) == {one.item for one in findings}
    assert all(one.what and one.bound and one.verdict in Judgement for one in findings)
    assert all((one.low is None) == (one.high is None) for one in findings)


def test_nets_that_learned_nothing_find_nothing_and_are_told_so(findings: list[Finding]) -> None:
    precision = next(one for one in findings if "AP50" in one.what)

    assert precision.value < 0.8
    assert not precision.holds


def test_controls_of_few_patients_prove_nothing(findings: list[Finding]) -> None:
    controls = [one for one in findings if one.what.startswith("control, ")]
    positive = [one for one in findings if one.what.startswith("positive control")]

    assert len(controls) == 4
    assert len(positive) == 4
    assert not any(one.holds for one in controls)


def test_the_geometry_holds_whatever_the_nets_learned(findings: list[Finding]) -> None:
    geometry = [one for one in findings if one.item is Item.PIPELINE and one.bound.startswith("<")]

    assert len(geometry) == 5
    assert all(one.holds for one in geometry)


def test_table_and_numbers_lie_in_the_folder_headed_as_what_they_are(folder: Path, findings: list[Finding]) -> None:
    text, content = (folder / "verification.md").read_text(), json.loads((folder / "verification.json").read_text())

    assert text.splitlines()[0] == "**synthetic phantom, no clinical meaning**"
    assert content["heading"] == "synthetic phantom, no clinical meaning"
    assert [row["what"] for row in content["findings"]] == [one.what for one in findings]
    assert all(f"| {one.item} | {one.what}" in text for one in findings)
    assert content["recipe"]["training"] == SCALE.training


def test_the_parts_share_no_patient(folder: Path, findings: list[Finding]) -> None:
    parts = [json.loads((part / "patients.json").read_text()) for part in (folder / "data").glob("*-1")]
    names = [patient["patient_id"] for part in parts for patient in part]

    assert len(parts) == 5
    assert len(names) == len(set(names))


def test_two_processes_give_the_same_table_and_the_same_weights_as_one(
    folder: Path, findings: list[Finding], tmp_path: Path
) -> None:
    shutil.copytree(
        folder / "data", tmp_path / "data"
    )  # painted alike by any number of processes: tests of the phantom

    verify(SCALE, tmp_path, Silent(), command=COMMAND, processes=2)

    assert (tmp_path / "verification.md").read_text() == (folder / "verification.md").read_text()
    assert (tmp_path / "verification.json").read_bytes() == (folder / "verification.json").read_bytes()
    weights = [file.relative_to(folder) for file in (folder / "run").rglob("weights.safetensors")]
    assert len(weights) == 2 + 3 + 4 + SCALE.shuffles
    assert all((tmp_path / file).read_bytes() == (folder / file).read_bytes() for file in weights)


@pytest.mark.parametrize("processes", [0, 3, 8])
def test_other_numbers_of_processes_are_refused_with_those_that_can_be_had(tmp_path: Path, processes: int) -> None:
    result = CliRunner().invoke(app, ["--quick", "--processes", str(processes), "--out", str(tmp_path / "out")])

    assert result.exit_code == 2
    assert f"--processes is {processes}, expected 1, 2 or 4" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_run_that_was_stopped_goes_on_and_says_the_same_with_exit_status_1(
    folder: Path, findings: list[Finding]
) -> None:
    table = (folder / "verification.md").read_text()
    (folder / "verification.md").unlink()
    (folder / "run" / "control-style" / "weights.safetensors").unlink()  # as if it was stopped in this training
    kept = folder / "run" / "framework" / "detector" / "weights.safetensors"
    trained = kept.stat().st_mtime_ns

    result = CliRunner().invoke(app, ["--quick", "--seed", "1", "--processes", "1", "--out", str(folder)])

    assert result.exit_code == 1
    assert table in result.stdout
    assert (folder / "verification.md").read_text() == table
    assert kept.stat().st_mtime_ns == trained


def test_a_folder_of_another_scale_is_refused(folder: Path, findings: list[Finding]) -> None:
    with pytest.raises(TrainingError, match="other settings"):
        verify(replace(SCALE, steps_alone=3), folder, Silent(), command=COMMAND)
