"""`spinenode calibrate` on a tiny data set, with untrained nets."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.bundle import MODEL_CARD, open_bundle, write_bundle
from inference.data_facts import data_facts
from inference.datasets import DataSetWriter, LabelledPatient, LabelledSeries, open_data_set
from inference.findings import Box, SequenceKind, Verdict
from inference.splits import read_splits, save_splits
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


def _series(
    writer: DataSetWriter, name: str, number: int, boxes: Sequence[Sequence[Box]] = ((),) * 3
) -> LabelledSeries:
    rng = np.random.default_rng(number)
    images = rng.integers(0, 60, size=(3, 64, 64), dtype=np.uint8)
    side = int(rng.integers(6, 30))
    images[:, 10 : 10 + side, 20 : 20 + side] += np.uint8(rng.integers(40, 190))
    return writer.add_series(name, 0, SequenceKind.T1, images, boxes)


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
    command = ["calibrate", "--bundle", str(calibrated), "--data", str(data), "--out", str(out), "--even-if-seen"]

    assert main(command) == 1

    shown = capsys.readouterr()
    assert "make the model worse" in shown.err
    assert "was calibrated on these patients" in shown.out
    assert not out.exists()
    assert main([*command, "--even-if-worse"]) == 0
    assert open_bundle(out).identity.version == "0-calibrated.2"


@dataclass(frozen=True)
class Trained:
    """A bundle whose record names a data set of 28 patients: four trained on, the rest held out."""

    bundle: Path
    data: Path
    splits: Path

    def command(self, out: Path, *options: str) -> list[str]:
        return ["calibrate", "--bundle", str(self.bundle), "--data", str(self.data), "--out", str(out), *options]


@pytest.fixture
def trained(bundle: Path, data: Path, tmp_path: Path) -> Trained:
    folder = tmp_path / "of-the-training"
    shutil.copytree(data, folder)
    writer, held_out = DataSetWriter(folder), open_data_set(data)
    learned_from = [
        _patient(
            f"T{n}", n % 2 == 0, (_series(writer, f"T{n}", PATIENTS + n, [[Box(x0=20, y0=10, x1=30, y1=20)]] * 3),)
        )
        for n in range(4)
    ]
    writer.close([*held_out, *learned_from])
    patients = open_data_set(folder)
    sha256 = data_facts(folder, patients).sha256
    parts = {"held_out": [one.patient_id for one in held_out], "folds": [["T0", "T1"], ["T2", "T3"]]}
    (tmp_path / "mine.json").write_text(json.dumps(parts))
    splits = read_splits(tmp_path / "mine.json", patients, data_sha256=sha256)
    save_splits(splits, tmp_path / "splits.json", data_sha256=sha256)
    shutil.copytree(bundle, tmp_path / "trained")
    told = {name: value for name, value in open_bundle(bundle).metadata.items() if name not in ("schema", "files")}
    record = {"data_sha256": sha256, "split_sha256": splits.sha256}
    write_bundle(tmp_path / "trained", {**told, "training": record})
    return Trained(tmp_path / "trained", folder, tmp_path / "splits.json")


def test_of_a_split_the_patients_that_the_training_held_out_are_calibrated_on(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*trained.command(tmp_path / "new", "--split", str(trained.splits)), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["cases"]["patients"] == PATIENTS
    assert told["overlap"] == ""
    calibration = open_bundle(tmp_path / "new").metadata["calibration"]
    assert calibration["part"] == "held_out"
    assert "the model may have seen" not in open_bundle(tmp_path / "new").identity.validated_on


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (None, "trained on patients of this very data set"),
        ("training", "trained on these patients"),
        ("fold-1", "trained on these patients"),
    ],
)
def test_cases_that_the_bundle_was_trained_on_are_refused_before_anything_runs(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], part: str | None, told: str
) -> None:
    options = () if part is None else ("--split", str(trained.splits), "--part", part)

    assert main(trained.command(tmp_path / "new", *options)) == 1

    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert told in error
    assert "--split" in error
    assert "--even-if-seen" in error


def test_cases_that_were_seen_are_calibrated_on_when_asked_and_every_report_says_so(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(trained.command(tmp_path / "new", "--even-if-seen", "--even-if-worse")) == 0

    assert "trained on patients of this very data set" in capsys.readouterr().out.replace("\n", " ")
    assert "of whom the model may have seen some" in open_bundle(tmp_path / "new").identity.validated_on


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
