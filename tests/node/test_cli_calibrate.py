"""`spinenode calibrate` on a tiny data set, with untrained nets."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.bundle import MODEL_CARD, open_bundle
from inference.datasets import DataSetWriter, LabelledPatient, LabelledSeries
from inference.findings import SequenceKind, Verdict
from inference.wff.weights import load_model
from node.cli import main
from tests.node.micro_bundle import UNTRAINED_TAU

torch.set_num_threads(1)
PATIENTS = 24


@pytest.fixture(scope="module")
def bundle(voting_bundle: Path) -> Path:
    return voting_bundle


@pytest.fixture(scope="module")
def data(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve patients of each class; those to whom the model gives more are malignant, but for two and two."""
    folder = tmp_path_factory.mktemp("data")
    writer = DataSetWriter(folder)
    series = {f"P{n:02d}": (_series(writer, f"P{n:02d}", n),) for n in range(PATIENTS)}
    model = load_model(open_bundle(bundle))
    said = {name: model.analyse([one.images() for one in has], 50.0).vote for name, has in series.items()}
    ranked = sorted(series, key=lambda name: vote.mean if (vote := said[name]) is not None else 0.0)
    malignant = {*ranked[PATIENTS // 2 + 2 :], *ranked[4:6]}
    writer.close([_patient(name, name in malignant, has) for name, has in series.items()])
    return folder


def _series(writer: DataSetWriter, name: str, number: int) -> LabelledSeries:
    rng = np.random.default_rng(number)
    images = rng.integers(0, 60, size=(3, 64, 64), dtype=np.uint8)
    side = int(rng.integers(6, 30))
    images[:, 10 : 10 + side, 20 : 20 + side] += np.uint8(rng.integers(40, 190))
    return writer.add_series(name, 0, SequenceKind.T1, images, [[]] * 3)


def _patient(name: str, is_malignant: bool, series: tuple[LabelledSeries, ...]) -> LabelledPatient:
    verdict = Verdict.MALIGNANT if is_malignant else Verdict.BENIGN
    return LabelledPatient(patient_id=name, age_years=50.0, verdict=verdict, series=series)


@pytest.fixture(scope="module")
def calibrated(bundle: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("calibrated") / "new"
    assert main(["calibrate", "--bundle", str(bundle), "--data", str(data), "--out", str(out)]) == 0
    return out


def test_a_site_gets_a_bundle_that_serves_its_own_calibration(calibrated: Path, bundle: Path) -> None:
    new, parent = open_bundle(calibrated), open_bundle(bundle)

    fusion = load_model(new).config.fusion
    assert fusion.is_calibrated
    assert fusion.tau == UNTRAINED_TAU
    assert new.metadata["parent"]["sha256"] == parent.identity.sha256
    assert "## Calibrated" in (calibrated / MODEL_CARD).read_text()


def test_what_was_measured_is_shown_before_and_after(
    bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["calibrate", "--bundle", str(bundle), "--data", str(data), "--out", str(tmp_path / "new")]

    assert main([*command, "--name", "site-7"]) == 0

    shown = capsys.readouterr().out
    for name in ("log loss", "Brier score", "expected calibration error", "calibration slope", "decision right"):
        assert name in shown
    assert "site-7 0-calibrated.1 written to" in shown
    assert "worker.bundle" in shown
    assert "synthetic phantom, no clinical meaning: 12 malignant and 12 benign patients" in shown
    assert "50 % of the cases are malignant" in shown
    assert "the log loss falls" in shown
    assert shown.count("95 % CI") >= 7  # of five numbers, before and after, and of the change; two may have none


def test_the_same_is_told_as_json(bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["calibrate", "--bundle", str(bundle), "--data", str(data), "--out", str(tmp_path / "new")]

    assert main([*command, "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["bundle"]["sha256"] == open_bundle(tmp_path / "new").identity.sha256
    assert told["cases"] == {
        "malignant": 12,
        "benign": 12,
        "undetected": 0,
        "with_age": 24,
        "patients": 24,
        "malignant_share": 0.5,
    }
    assert told["after_cross_validated"]["log_loss"] < told["before"]["log_loss"]
    assert told["overlap"] == ""


def test_a_calibration_that_makes_the_model_worse_is_not_written_unless_asked(
    calibrated: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The parent was fitted to these very patients: on others' models they can only do worse."""
    out = tmp_path / "again"
    command = ["calibrate", "--bundle", str(calibrated), "--data", str(data), "--out", str(out)]

    assert main(command) == 1

    shown = capsys.readouterr()
    assert "make the model worse" in shown.err
    assert "this very data set" in shown.out
    assert not out.exists()
    assert main([*command, "--even-if-worse"]) == 0
    assert open_bundle(out).identity.version == "0-calibrated.2"


def test_an_existing_folder_is_refused_before_anything_runs(
    bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", "--bundle", str(bundle), "--data", str(data), "--out", str(bundle)]) == 1

    assert "exists already" in capsys.readouterr().err


def test_too_few_cases_are_refused_in_one_line(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = DataSetWriter(tmp_path / "few")
    writer.close([_patient("P1", True, (_series(writer, "P1", 1),))])

    status = main(["calibrate", "--bundle", str(bundle), "--data", str(tmp_path / "few"), "--out", str(tmp_path / "n")])

    assert status == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("spinenode: the data set has 0 benign patients with a probability")
    assert "needs 10 of each class" in last


def test_a_folder_without_a_data_set_is_named(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["calibrate", "--bundle", str(bundle), "--data", str(tmp_path), "--out", str(tmp_path / "new")])

    assert status == 1
    assert str(tmp_path / "patients.json") in capsys.readouterr().err
