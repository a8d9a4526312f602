from pathlib import Path

import numpy as np
import pytest

from inference.datasets import LabelledPatient, SpineRegion
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


def test_a_data_set_says_where_the_lesions_lie_and_what_they_look_like(patients: list[LabelledPatient]) -> None:
    truths = [generate_patient(index, seed=2, config=RECIPE.config).truth for index in (5, 6, 7)]
    letters = {"T": SpineRegion.THORACIC, "L": SpineRegion.LUMBAR, "S": SpineRegion.SACRAL}

    assert [set(p.regions) for p in patients] == [{letters[one.level[0]] for one in t.lesions} for t in truths]
    assert any(p.regions for p in patients)
    for stored, truth in zip(patients, truths, strict=True):
        assert (stored.lesion_type == "") == (truth.label is None)
        assert stored.lesion_type in ("", "focal") or truth.signs[stored.lesion_type]


def test_patients_of_one_scanner_have_its_name_as_site(tmp_path: Path) -> None:
    config = PhantomConfig(matrix=64, site_style=4)

    [patient] = make_data_set(PhantomSet(first=0, count=1, seed=2, config=config), tmp_path, processes=1)

    assert patient.site == "phantom-scanner-4"


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
