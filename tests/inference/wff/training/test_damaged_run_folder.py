"""Files of a run folder that something damaged: one sentence that names the file and what to do."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.datasets import open_data_set
from inference.errors import TrainingError
from inference.wff.training.detections_file import load_detections
from inference.wff.training.journal import read_metrics
from inference.wff.training.run_folder import BUNDLE, RUN, SETTINGS
from tests.inference.wff.training.conftest import TWO_CANDIDATES, train_in

FOLD = Path("folds") / "candidate-2" / "fold-1"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a run that had come to its end but for its bundle."""
    folder = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(folder / BUNDLE)
    return folder


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)


def emptied(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flipped, emptied])
@pytest.mark.parametrize("net", ["detector", "sequence"])
def test_damaged_weights_are_never_used(run: Path, cohort: Path, net: str, damage: Callable[[Path], None]) -> None:
    damage(run / FOLD / net / "weights.safetensors")

    with pytest.raises(TrainingError, match=rf"fold-1/{net}/weights\.safetensors is damaged.*delete"):
        train_in(run, cohort, TWO_CANDIDATES)

    assert not (run / BUNDLE).exists()


def test_changed_detections_are_never_used(run: Path, cohort: Path) -> None:
    file = run / FOLD / "detections.json"
    kept = file.read_text()
    other_score, boxes = re.subn(r'("benign"|"malignant"), 0\.', r"\1, 0.0", kept, count=1)
    assert boxes
    file.write_text(other_score)

    with pytest.raises(TrainingError, match=r"fold-1/detections\.json is damaged.*delete"):
        train_in(run, cohort, TWO_CANDIDATES)

    file.unlink()
    train_in(run, cohort, TWO_CANDIDATES)
    assert (run / BUNDLE).exists()


def test_a_part_that_was_deleted_as_told_is_trained_again_to_the_same_bundle(
    run: Path, finished: Path, cohort: Path
) -> None:
    shutil.rmtree(run / FOLD)

    train_in(run, cohort, TWO_CANDIDATES)

    first, second = (json.loads((one / BUNDLE / "metadata.json").read_text())["files"] for one in (finished, run))
    assert first == second


def test_weights_of_another_architecture_are_told(run: Path, cohort: Path) -> None:
    shutil.copyfile(run / FOLD / "sequence" / "weights.safetensors", run / FOLD / "detector" / "weights.safetensors")

    with pytest.raises(TrainingError, match=r"fold-1/detector/weights\.safetensors is damaged.*delete"):
        train_in(run, cohort, TWO_CANDIDATES)


@pytest.mark.parametrize("content", [b"{}", b"[]", b"7", b'{"schema": 1}', "{'site': 'Süd'}".encode("latin-1")])
def test_a_damaged_record_of_the_run_is_told(run: Path, cohort: Path, content: bytes) -> None:
    (run / RUN).write_bytes(content)

    with pytest.raises(TrainingError, match=r"run\.json is damaged.*choose another --out"):
        train_in(run, cohort, TWO_CANDIDATES)


@pytest.mark.parametrize("content", ['name = "Süd"\n'.encode("latin-1"), b""])
def test_damaged_settings_are_told(run: Path, cohort: Path, content: bytes) -> None:
    (run / SETTINGS).write_bytes(content)

    with pytest.raises(TrainingError, match=r"other settings \(see its settings\.toml\)"):
        train_in(run, cohort, TWO_CANDIDATES)


@pytest.mark.parametrize("line", [b"\xff\xfe\n", b"\0\0\0\n", b"{}\n", b"7\n", b'{"stage": "a", "step": "b"}\n'])
def test_a_damaged_line_of_the_numbers_is_told(run: Path, cohort: Path, line: bytes) -> None:
    shutil.rmtree(run / FOLD)
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(line)

    with pytest.raises(TrainingError, match=r"metrics\.jsonl is damaged in line \d+.*delete"):
        train_in(run, cohort, TWO_CANDIDATES)


def test_a_line_that_a_crash_cut_off_is_left_out(run: Path) -> None:
    before = read_metrics(run)
    with (run / "metrics.jsonl").open("ab") as file:
        file.write('{"stage": "ü'.encode()[:-1])

    assert read_metrics(run) == before


@pytest.mark.parametrize("place", ["series", "slice", "nan", "text"])
def test_detections_that_do_not_fit_the_patients_are_told(cohort: Path, finished: Path, place: str) -> None:
    splits = json.loads((finished / "splits.json").read_text())
    patients = [one for one in open_data_set(cohort) if one.patient_id in splits["held_out"]]
    file = finished / "final" / "detections.json"
    data = json.loads(file.read_text())["detections"]  # as a file of before the hash
    series = data[patients[0].patient_id]
    if place == "series":
        series.pop()
    elif place == "slice":
        series[0].pop()
    else:
        series[0][0] = [[0.0, 0.0, 1.0, 1.0, "benign", float("nan") if place == "nan" else "0.5"]]
    damaged = finished.parent / "damaged.json"
    damaged.write_text(json.dumps(data))

    assert load_detections(file, patients)
    with pytest.raises(TrainingError, match=r"damaged\.json is damaged.*delete it"):
        load_detections(damaged, patients)
