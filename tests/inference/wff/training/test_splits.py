import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from inference.datasets import LabelledPatient, open_data_set
from inference.errors import SettingsError
from inference.findings import Verdict
from inference.splits import Splits, draw_splits, read_splits, save_splits, splits_as_json
from inference.wff.training.parts import splits_for
from inference.wff.training.settings import CrossValidation
from tests.inference.wff.training.conftest import write_cohort

NORTH, SOUTH = "a" * 64, "b" * 64  # hashes of data sets


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledPatient]:
    verdicts = [Verdict.BENIGN] * 20 + [Verdict.MALIGNANT] * 12 + [None] * 8
    return open_data_set(write_cohort(tmp_path_factory.mktemp("many"), verdicts))


def classes(patients: Any) -> Counter[Verdict | None]:
    return Counter(patient.verdict for patient in patients)


def names(splits: Splits) -> list[str]:
    return [patient.patient_id for part in (splits.held_out, *splits.folds) for patient in part]


def test_each_patient_is_in_one_part(many: list[LabelledPatient]) -> None:
    splits = draw_splits(many, folds=4, held_out=0.25, seed=1)

    assert sorted(names(splits)) == sorted(patient.patient_id for patient in many)
    assert len(splits.training) == 30


def test_every_part_has_its_share_of_each_class(many: list[LabelledPatient]) -> None:
    splits = draw_splits(many, folds=4, held_out=0.25, seed=1)

    assert classes(splits.held_out) == {Verdict.BENIGN: 5, Verdict.MALIGNANT: 3, None: 2}
    for fold in splits.folds:
        assert 3 <= classes(fold)[Verdict.BENIGN] <= 4
        assert 2 <= classes(fold)[Verdict.MALIGNANT] <= 3
        assert 1 <= classes(fold)[None] <= 2
        assert 7 <= len(fold) <= 8


def test_what_a_fold_trains_on_is_the_rest_of_the_training_patients(many: list[LabelledPatient]) -> None:
    splits = draw_splits(many, folds=4, held_out=0.25, seed=1)

    for number, fold in enumerate(splits.folds):
        inside = {patient.patient_id for patient in splits.without(number)}
        assert inside.isdisjoint(patient.patient_id for patient in (*fold, *splits.held_out))
        assert len(inside) + len(fold) == len(splits.training)


def test_splits_repeat_with_their_seed_whatever_the_order_of_the_patients(many: list[LabelledPatient]) -> None:
    first = draw_splits(many, folds=4, held_out=0.25, seed=1)
    again = draw_splits(list(reversed(many)), folds=4, held_out=0.25, seed=1)
    other = draw_splits(many, folds=4, held_out=0.25, seed=2)

    assert first == again
    assert first.sha256 != other.sha256


def test_a_class_too_small_for_the_folds_is_told(cohort: Path) -> None:
    with pytest.raises(SettingsError, match="4 benign patients are too few for 4 folds and a held-out part"):
        draw_splits(open_data_set(cohort), folds=4, held_out=0.2, seed=1)


def test_a_site_is_held_out_whole_and_the_others_are_spread_over_the_folds(many: list[LabelledPatient]) -> None:
    splits = splits_for(many, CrossValidation(folds=2, held_out_sites=("A",)), seed=1, data_sha256=NORTH)

    assert {patient.site for patient in splits.held_out} == {"A"}
    assert {patient.site for patient in splits.training} == {"B"}
    assert sorted(names(splits)) == sorted(patient.patient_id for patient in many)
    assert all(abs(classes(fold)[Verdict.BENIGN] - 5) <= 1 for fold in splits.folds)


def test_a_site_that_nobody_is_from_is_told_with_those_that_there_are(cohort: Path) -> None:
    with pytest.raises(SettingsError, match="held_out_sites names 'C'; the sites of the data set are A, B"):
        splits_for(
            open_data_set(cohort), CrossValidation(folds=2, held_out_sites=("A", "C")), seed=1, data_sha256=NORTH
        )


def test_saved_splits_are_read_back_and_carry_their_hash(cohort: Path, tmp_path: Path) -> None:
    patients = open_data_set(cohort)
    splits = draw_splits(patients, folds=2, held_out=0.2, seed=1)

    save_splits(splits, tmp_path / "splits.json", data_sha256=NORTH)

    written = json.loads((tmp_path / "splits.json").read_text())
    assert (written["sha256"], written["data_sha256"]) == (splits.sha256, NORTH)
    asked = CrossValidation(split_file=str(tmp_path / "splits.json"))
    assert splits_for(patients, asked, seed=9, data_sha256=NORTH) == splits


def test_a_split_of_another_data_set_is_refused_though_its_names_fit(cohort: Path, tmp_path: Path) -> None:
    """Patients are numbered anew in each data set: P0007 is somebody else there."""
    patients = open_data_set(cohort)
    save_splits(draw_splits(patients, folds=2, held_out=0.2, seed=1), tmp_path / "splits.json", data_sha256=NORTH)
    asked = CrossValidation(split_file=str(tmp_path / "splits.json"))

    with pytest.raises(SettingsError, match=r"splits\.json parts another data set \(sha256 aaaaaaaa.*, not bbbbbbbb"):
        splits_for(patients, asked, seed=9, data_sha256=SOUTH)


def test_a_split_file_written_by_hand_need_not_name_its_data_set(cohort: Path, tmp_path: Path) -> None:
    patients = open_data_set(cohort)
    splits = draw_splits(patients, folds=2, held_out=0.2, seed=1)
    parts = splits_as_json(splits, data_sha256=NORTH)
    (tmp_path / "mine.json").write_text(json.dumps({name: parts[name] for name in ("held_out", "folds")}))

    assert read_splits(tmp_path / "mine.json", patients, data_sha256=SOUTH) == splits


def faulty(splits: dict[str, Any], change: str) -> dict[str, Any]:
    first, second = splits["folds"]
    return {
        "twice": {**splits, "folds": [first, [*second, first[0]]]},
        "twice in one": {**splits, "folds": [[*first, first[0]], second]},
        "missing": {**splits, "folds": [first[1:], second]},
        "stranger": {**splits, "folds": [first, [*second, "nobody"]]},
        "changed": {**splits, "folds": [[*first[1:], second[0]], [first[0], *second[1:]]]},
        "one fold": {**splits, "folds": [[*first, *second]]},
        "no folds": {"held_out": splits["held_out"]},
        "nested": {**splits, "folds": [[first], second]},
        "one class": {
            "held_out": [*splits["held_out"], *(p for f in splits["folds"] for p in f if p < "P4")],
            "folds": [[p for p in f if p >= "P4"] for f in splits["folds"]],
        },
        "nothing held out": {"held_out": [], "folds": [[*first, *splits["held_out"]], second]},
    }[change]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("twice", "is in 'fold-1' and in 'fold-2'; split by patient"),
        ("twice in one", "twice in 'fold-1'"),
        ("missing", "is in no part"),
        ("stranger", "names 'nobody', who is not in the data set"),
        ("changed", "was changed: its patients do not fit its sha256"),
        ("one fold", "1 folds, expected at least 2"),
        ("no folds", "is no split file"),
        ("nested", "is no split file"),
        ("one class", "no benign patient with labelled boxes is outside fold 1"),
        ("nothing held out", "held-out part has no benign patient"),
    ],
)
def test_a_split_file_is_checked_as_if_it_were_drawn(cohort: Path, tmp_path: Path, change: str, told: str) -> None:
    patients = open_data_set(cohort)
    good = splits_as_json(draw_splits(patients, folds=2, held_out=0.2, seed=1), data_sha256=NORTH)
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(faulty(good, change)))

    with pytest.raises(SettingsError, match=f"mine.json.*{told}"):
        read_splits(file, patients, data_sha256=NORTH)
