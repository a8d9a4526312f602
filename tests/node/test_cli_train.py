"""`spinenode train wff`, as a data scientist types it."""

import json
import tomllib
from pathlib import Path

import pytest

from inference.bundle import open_bundle
from inference.wff.training import framework
from node.cli import main
from tests.inference.wff.training.conftest import write_cohort

TINY = """
preset = "micro"
[detector]
steps = 2
[sequence]
steps = 2
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("data") / "dataset")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, logging_as_before: None) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.toml").write_text(TINY)
    return tmp_path


def train(data: Path, *arguments: str) -> int:
    return main(["train", "wff", "--data", str(data), *arguments])


def test_training_ends_with_a_bundle_and_says_where_and_how_good(
    data: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = train(data, "--config", "train.toml", "--out", "run")

    assert status == 0
    identity = open_bundle(folder / "run" / "bundle").identity
    said = " ".join(capsys.readouterr().out.split())
    assert f"bundle {identity.name} {identity.version} is in run/bundle" in said
    assert "decision right in" in said


def test_a_finished_run_started_again_says_so_and_does_nothing(
    data: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(data, "--config", "train.toml", "--out", "run")
    before = {file: file.stat().st_mtime_ns for file in (folder / "run").rglob("*") if file.name != "lock"}
    capsys.readouterr()

    status = train(data, "--config", "train.toml", "--out", "run")

    assert status == 0
    assert "run is finished, its bundle is in run/bundle; nothing was done" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_the_log_of_the_run_names_stages_and_no_patient(data: Path, folder: Path) -> None:
    train(data, "--config", "train.toml", "--out", "run")

    lines = [json.loads(line) for line in (folder / "run" / "log").read_text().splitlines()]
    assert [line["event"] for line in lines][:2] == ["run_begins", "training_begins"]
    assert lines[-1]["event"] == "bundle_written"
    patients = [entry["patient_id"] for entry in json.loads((data / "patients.json").read_text())]
    assert not any(f'"{patient}"' in json.dumps(lines) for patient in patients)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("sed = 2", "train.toml: unknown key 'sed'"),
        ('preset = "micro"\nseed = 3', "is a run with other settings"),
        ('preset = "micro"\n[cross_validation]\nfolds = 4', "4 benign patients are too few for 4 folds"),
    ],
)
def test_what_is_wrong_is_one_line_on_stderr(
    data: Path, folder: Path, capsys: pytest.CaptureFixture[str], settings: str, told: str
) -> None:
    train(data, "--config", "train.toml", "--out", "run")
    (folder / "train.toml").write_text(settings)
    capsys.readouterr()

    status = train(data, "--config", "train.toml", "--out", "run")

    assert status == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


@pytest.mark.parametrize("missing", ["--data", "--out"])
def test_a_missing_option_is_named(data: Path, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    options = {"--data": str(data), "--out": "run"}
    arguments = [part for name, value in options.items() if name != missing for part in (name, value)]

    status = main(["train", "wff", *arguments])

    assert status == 2
    assert missing in capsys.readouterr().err


def test_a_folder_without_data_set_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = train(folder / "nothing", "--out", "run")

    assert status == 1
    assert "nothing/patients.json" in capsys.readouterr().err.replace("\n", "")
    assert not (folder / "run").exists()


def test_the_printed_settings_are_complete_and_can_be_used(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["train", "wff", "--print-config"])
    printed = capsys.readouterr().out
    (folder / "printed.toml").write_text(printed)

    again = main(["train", "wff", "--config", "printed.toml", "--print-config"])

    assert status == again == 0
    assert capsys.readouterr().out == printed
    assert tomllib.loads(printed)["cross_validation"]["folds"] == 4


def test_the_smoke_test_says_that_the_loss_falls_and_leaves_nothing(
    data: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = train(data, "--config", "train.toml", "--overfit", "4")

    assert status == 0
    said = capsys.readouterr().out
    assert "detector: the loss falls" in said
    assert "sequence classifier: the loss falls" in said
    assert [file.name for file in folder.iterdir()] == ["train.toml"]


def test_without_tensorboard_training_runs_and_says_once_that_no_logs_are_written(
    data: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from inference.wff.training import journal

    for module in (framework, journal):
        monkeypatch.setattr(module, "tensorboard_is_installed", lambda: False)

    status = train(data, "--config", "train.toml", "--out", "run")

    assert status == 0
    assert capsys.readouterr().err.count('pip install "spinenode[science]"') == 1
    assert not (folder / "run" / "tensorboard").exists()
    assert (folder / "run" / "metrics.jsonl").exists()
