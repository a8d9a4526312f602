"""`spinenode evaluate` as it is typed."""

import json
from pathlib import Path

import pytest

from inference.findings import Verdict
from node.cli import main
from tests.inference.wff.labelled_patients import T1, T2, Case, write_patients
from tests.node.micro_bundle import write_micro_bundle

CASES = [Case(verdict, {T1: verdict, T2: verdict}) for verdict in (Verdict.BENIGN, Verdict.MALIGNANT) for _ in range(2)]


@pytest.fixture
def bundle(tmp_path: Path, logging_as_before: None) -> Path:
    write_micro_bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


def evaluate(folder: Path, bundle: Path, *more: str) -> int:
    arguments = ["--bundle", str(bundle), "--data", str(folder / "data"), "--out", str(folder / "out"), *more]
    return main(["evaluate", *arguments])


def test_it_writes_both_files_and_shows_the_strategies(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_patients(tmp_path / "data", CASES)
    readers = tmp_path / "readers.csv"
    readers.write_text("patient,reader,with_age,verdict\nP00,D1,no,benign\nP02,D1,no,benign\n")

    status = evaluate(tmp_path, bundle, "--readers", str(readers), "--seed", "4")

    shown = capsys.readouterr().out
    data = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert status == 0
    assert "synthetic phantom, no clinical meaning: 4 patients with a lesion, 50 % malignant" in shown
    assert "Det-Seq-Age" in shown
    assert data["seed"] == 4
    assert data["readers"][0]["reader"] == "D1"
    assert (tmp_path / "out" / "evaluation.html").is_file()


def test_another_size_of_images_is_measured_and_told(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_patients(tmp_path / "data", CASES)

    status = evaluate(tmp_path, bundle, "--image-size", "192", "--proposals", "5")

    told = "image_size 192 instead of 128, proposals 5 instead of 30"
    assert status == 0
    assert told in " ".join(capsys.readouterr().out.split())
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["subject"]["runs_with"] == told
    assert told in (tmp_path / "out" / "evaluation.html").read_text()


def test_a_size_that_the_networks_cannot_take_is_wrong_usage(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tmp_path, bundle, "--image-size", "300") == 2

    assert "multiple of 64" in capsys.readouterr().err


def test_patients_of_one_class_end_in_one_line(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_patients(tmp_path / "data", CASES[:2])

    status = evaluate(tmp_path, bundle)

    shown = capsys.readouterr().err
    assert status == 1
    assert shown.startswith("spinenode: an evaluation needs benign and malignant patients")
    assert shown.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_data_set_ends_in_one_line(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = evaluate(tmp_path, bundle)

    assert status == 1
    assert "patients.json" in capsys.readouterr().err


def test_an_out_that_is_a_file_is_told_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("mine")

    assert evaluate(tmp_path, tmp_path / "no-bundle") == 1

    assert f"cannot use {tmp_path / 'out'}: Not a directory" in capsys.readouterr().err


def test_an_evaluation_that_cannot_be_written_leaves_the_one_before(tmp_path: Path, bundle: Path) -> None:
    write_patients(tmp_path / "data", CASES)
    (tmp_path / "out" / "evaluation.html.part").mkdir(parents=True)  # as unwritable as a full disk
    (tmp_path / "out" / "evaluation.json").write_text("old")

    assert evaluate(tmp_path, bundle) == 1

    assert (tmp_path / "out" / "evaluation.json").read_text() == "old"
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["evaluation.html.part", "evaluation.json"]
