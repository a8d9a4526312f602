"""A bundle knows the patients of its training in other data sets, too: by their images."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.bundle import open_bundle
from inference.datasets import INDEX
from inference.errors import CalibrationError
from inference.wff.calibration.run import CalibrationRequest, CalibrationRun
from inference.wff.evaluation.run import EvaluationRequest, EvaluationRun
from tests.inference.wff.training.conftest import write_cohort


def part_of(cohort: Path, folder: Path, is_wanted: Callable[[str], bool]) -> Path:
    """A data set of some of the patients, under other names."""
    shutil.copytree(cohort, folder)
    index = [one for one in json.loads((folder / INDEX).read_text()) if is_wanted(one["patient_id"])]
    for number, patient in enumerate(index):
        patient["patient_id"] = f"other-{number}"
        for series in patient["series"]:
            (folder / series["file"]).rename(folder / f"other-{series['file']}")
            series["file"] = f"other-{series['file']}"
    (folder / INDEX).write_text(json.dumps(index))
    return folder


def told(finished: Path, data: Path) -> str:
    return EvaluationRun(EvaluationRequest(bundle=finished / "bundle", data=data)).subject.seen_before


@pytest.fixture
def held_out(finished: Path) -> list[str]:
    return [str(one) for one in json.loads((finished / "splits.json").read_text())["held_out"]]


def test_an_evaluation_tells_how_many_of_its_patients_were_trained_on(
    finished: Path, cohort: Path, held_out: list[str], tmp_path: Path
) -> None:
    unseen = len(held_out) - 1
    data = part_of(cohort, tmp_path / "data", lambda name: name != held_out[0])
    learned_from = part_of(cohort, tmp_path / "learned", lambda name: name not in held_out)

    assert f"trained on {9 - unseen} of these 9 patients" in told(finished, data)
    assert "trained on these patients" in told(finished, learned_from)
    assert "trained on" in told(finished, cohort)


def test_patients_that_were_held_out_are_known_as_that(
    finished: Path, cohort: Path, held_out: list[str], tmp_path: Path
) -> None:
    data = part_of(cohort, tmp_path / "data", lambda name: name in held_out)

    assert "held these patients out" in told(finished, data)


def test_patients_who_are_new_are_not_claimed_to_be_known(finished: Path, tmp_path: Path) -> None:
    data = write_cohort(tmp_path / "data")
    for file in data.glob("*.npy"):
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)

    assert told(finished, data) == ""


def test_a_calibration_refuses_patients_of_the_training_in_another_data_set(
    finished: Path, cohort: Path, held_out: list[str], tmp_path: Path
) -> None:
    data = part_of(cohort, tmp_path / "data", lambda name: name != held_out[0])
    request = CalibrationRequest(bundle=finished / "bundle", data=data)

    with pytest.raises(CalibrationError, match=r"trained on \d of these \d patients.*--even-if-seen"):
        CalibrationRun(request)


def test_a_second_export_with_one_sequence_less_is_of_the_same_patients(
    finished: Path, cohort: Path, held_out: list[str], tmp_path: Path
) -> None:
    data = part_of(cohort, tmp_path / "data", lambda name: name not in held_out)
    index = json.loads((data / INDEX).read_text())
    for patient in index:
        patient["series"].pop()
    (data / INDEX).write_text(json.dumps(index))

    assert "trained on these patients" in told(finished, data)
    with pytest.raises(CalibrationError, match="trained on these patients"):
        CalibrationRun(CalibrationRequest(bundle=finished / "bundle", data=data))


def test_the_record_holds_hashes_and_no_names(finished: Path) -> None:
    record = open_bundle(finished / "bundle").metadata["training"]["images_sha256"]

    counts = {part: len(set(hashes)) for part, hashes in record.items()}
    splits = json.loads((finished / "splits.json").read_text())
    assert counts == {"training": 2 * sum(map(len, splits["folds"])), "held_out": 2 * len(splits["held_out"])}
    assert all(len(one) == 16 and int(one, 16) >= 0 for hashes in record.values() for one in hashes)
