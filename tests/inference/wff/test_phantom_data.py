from pathlib import Path

import numpy as np
import pytest

from inference.datasets import LabelledPatient
from inference.phantom import PhantomConfig, generate_patient
from inference.wff.phantom_data import PhantomSet, make_data_set, oracle_says_malignant, windowed

RECIPE = PhantomSet(first=5, count=3, seed=2, config=PhantomConfig(matrix=64))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("set")


@pytest.fixture(scope="module")
def patients(folder: Path) -> list[LabelledPatient]:
    return make_data_set(RECIPE, folder, processes=1)


def test_a_data_set_holds_what_the_phantom_paints(patients: list[LabelledPatient]) -> None:
    phantom = generate_patient(6, seed=2, config=RECIPE.config)

    assert [p.patient_id for p in patients] == ["PH-000005", "PH-000006", "PH-000007"]
    assert (patients[1].verdict, patients[1].age_years) == (phantom.truth.label, phantom.age_years)
    for stored, painted in zip(patients[1].series, phantom.series, strict=True):
        assert stored.boxes == painted.boxes
        assert np.array_equal(stored.images(), windowed(painted))


def test_the_same_set_is_not_made_again(folder: Path, patients: list[LabelledPatient]) -> None:
    made = (folder / "patients.json").stat().st_mtime_ns

    assert make_data_set(RECIPE, folder, processes=1) == patients
    assert (folder / "patients.json").stat().st_mtime_ns == made


def test_a_set_painted_by_other_code_is_made_again(folder: Path, patients: list[LabelledPatient]) -> None:
    file = patients[0].series[0].file
    expected = patients[0].series[0].images().copy()
    np.save(file, expected // 2)

    make_data_set(RECIPE, folder, processes=1)

    assert np.array_equal(np.load(file), expected)


def test_the_oracle_speaks_on_patients_with_a_lesion_only(patients: list[LabelledPatient]) -> None:
    assert set(oracle_says_malignant(RECIPE)) == {p.patient_id for p in patients if p.verdict is not None}
