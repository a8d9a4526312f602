import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.data_facts import ages_of, class_counts, cohort_rows, data_facts
from inference.data_part import open_data_part
from inference.datasets import open_data_set
from inference.errors import LabelsError
from inference.wff.training.framework import prepare
from inference.wff.training.presets import micro_settings
from tests.inference.wff.training.conftest import write_cohort


def sha256(folder: Path) -> str:
    return data_facts(folder, open_data_set(folder)).sha256


def test_the_hash_of_a_data_set_is_that_of_its_content_wherever_it_lies(tmp_path: Path) -> None:
    assert sha256(write_cohort(tmp_path / "here")) == sha256(write_cohort(tmp_path / "there"))


def test_the_hash_changes_with_a_pixel_and_with_a_label(tmp_path: Path) -> None:
    plain, pixel, label = (write_cohort(tmp_path / name) for name in ("plain", "pixel", "label"))
    series = open_data_set(pixel)[0].series[0]
    images = series.images().copy()
    images[0, 0, 0] ^= 1
    np.save(series.file, images)
    index = label / "patients.json"
    index.write_text(index.read_text().replace('"verdict": "benign"', '"verdict": "malignant"', 1))

    assert len({sha256(plain), sha256(pixel), sha256(label)}) == 3


def test_a_patient_is_known_by_the_images_and_not_by_names_or_labels(tmp_path: Path) -> None:
    data = write_cohort(tmp_path)
    patients = open_data_set(data)
    before = data_facts(data, patients)
    first, second, *_ = patients
    renamed = [
        replace(first, patient_id="other", age_years=None, series=first.series[::-1]),
        replace(second, series=()),
    ]

    after = data_facts(data, renamed)

    assert len(set(before.images_of(patients))) == 2 * len(patients)
    assert after.images_of(renamed) == before.images_of([first])
    assert after.known_by(renamed) == before.known_by([first])


def test_a_patient_is_known_by_each_series_alone(tmp_path: Path) -> None:
    data = write_cohort(tmp_path)
    patients = open_data_set(data)
    record = set(data_facts(data, patients).images_of(patients[:1]))

    with_one_less = [replace(patient, series=patient.series[1:]) for patient in patients]
    known = data_facts(data, with_one_less).known_by(with_one_less)

    assert [not record.isdisjoint(one) for one in known] == [True, *[False] * 9]


def test_a_patient_is_known_by_a_record_of_before_too(tmp_path: Path) -> None:
    """It held one hash per patient, over the sorted hashes of the files."""
    data = write_cohort(tmp_path)
    patients = open_data_set(data)
    files = sorted(hashlib.sha256(one.file.read_bytes()).hexdigest() for one in patients[0].series)
    record = hashlib.sha256("".join(f"{one}\n" for one in files).encode()).hexdigest()[:16]

    known = data_facts(data, patients).known_by(patients)

    assert [record in one for one in known] == [True, *[False] * 9]


def test_series_of_one_gray_value_make_nobody_known(tmp_path: Path) -> None:
    """Air looks alike in everybody."""
    data = write_cohort(tmp_path)
    for name in ("P0", "P1"):
        np.save(data / f"{name}.0.npy", np.zeros((6, 64, 64), dtype=np.uint8))
    patients = open_data_set(data)

    facts = data_facts(data, patients)

    assert len(facts.images_of(patients[:2])) == 2
    first, second = facts.known_by(patients[:2])
    assert first.isdisjoint(second)


def test_the_same_series_under_two_patients_is_refused_by_both_names(tmp_path: Path) -> None:
    """Trained on under one name, he would be held out under the other."""
    data = write_cohort(tmp_path)
    shutil.copyfile(data / "P7.1.npy", data / "P2.0.npy")

    with pytest.raises(LabelsError, match=r"patients P2 and P7 have the same images \(P2\.0\.npy and P7\.1\.npy\)"):
        prepare(data, micro_settings())
    with pytest.raises(LabelsError, match=r"patients P2 and P7 have the same images"):
        open_data_part(data, None, "")


def test_a_missing_series_is_told_by_its_file(tmp_path: Path) -> None:
    write_cohort(tmp_path)
    (tmp_path / "P3.1.npy").unlink()

    with pytest.raises(FileNotFoundError, match=r"P3\.1\.npy"):
        sha256(tmp_path)


def test_a_cohort_is_counted(cohort: Path) -> None:
    rows = dict(cohort_rows(open_data_set(cohort)))

    assert rows["patients"] == "10"
    assert rows["classes"] == "benign 4, malignant 4, lesion-free 2"
    assert rows["ages"] == "30 to 75 years, median 52"
    assert rows["regions of lesions"] == "lumbar 8"
    assert rows["sites"] == "B 5, A 5"
    assert rows["series"] == "T1 10, T2 10"
    assert rows["slices"] == "120, labelled 48"
    assert rows["labelled boxes"] == "48"


def test_unknown_ages_are_counted_and_not_guessed(cohort: Path) -> None:
    patients = open_data_set(cohort)
    unknown = [replace(patient, age_years=None) for patient in patients[:3]]

    assert ages_of([*unknown, *patients[3:]]) == "45 to 75 years, median 60; unknown for 3"
    assert ages_of(unknown) == "unknown for all"


@pytest.mark.parametrize(
    ("ages", "told"),
    [
        ((30.0, 89.9, 60.0), "30 to 89 years, median 60"),
        ((30.0, 90.0, 60.0), "30 years to 90 and older, median 60"),
        ((30.0, 93.4, 95.1), "30 years to 90 and older, median 90 and older"),
        ((91.0, 93.4, 97.0), "all 90 and older, median 90 and older"),
    ],
)
def test_nobody_is_known_by_a_high_age(cohort: Path, ages: tuple[float, ...], told: str) -> None:
    patients = [replace(one, age_years=age) for one, age in zip(open_data_set(cohort), ages, strict=False)]

    assert ages_of(patients) == told


@pytest.mark.parametrize(
    ("marks", "told"),
    [
        (("recipe.json",), "synthetic phantom patients (no clinical meaning)"),
        (("about.json",), "patients, those of a synthetic phantom among them (no clinical meaning)"),
        ((), "patients"),
    ],
)
def test_who_the_patients_are_is_told_as_exactly_as_it_is_known(
    tmp_path: Path, marks: tuple[str, ...], told: str
) -> None:
    folder = write_cohort(tmp_path)
    for mark in marks:
        (folder / mark).write_text('{"phantom": true}')

    assert data_facts(folder, open_data_set(folder)).patients == told


def test_classes_are_counted_with_those_that_nobody_has(cohort: Path) -> None:
    assert class_counts(open_data_set(cohort)[4:]) == {"benign": 0, "malignant": 4, "lesion-free": 2}
