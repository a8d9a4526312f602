import json
from pathlib import Path

import pytest
from pydicom import dcmread

from inference.phantom import PhantomConfig, generate_patient
from inference.phantom.dicom import write_study
from inference.phantom.origin import is_painted_data, is_phantom_data, is_phantom_image, mark_as_phantom


@pytest.fixture
def image(tmp_path: Path) -> Path:
    config = PhantomConfig(matrix=64, minimum_slices=5, maximum_slices=5)
    return write_study(generate_patient(1, seed=1, config=config), tmp_path / "study")[0]


def test_an_image_of_the_phantom_is_known_under_another_name(image: Path) -> None:
    dataset = dcmread(image)
    dataset.PatientName, dataset.PatientID, dataset.StudyDescription = "Doe^Jane", "4711", "MR SPINE"
    del dataset.QualityControlImage
    dataset.save_as(image)

    assert is_phantom_image(image)


def test_an_image_of_a_scanner_is_not_of_the_phantom(image: Path) -> None:
    dataset = dcmread(image)
    dataset.Manufacturer = "ACME"
    del dataset.QualityControlImage
    dataset.save_as(image)

    assert not is_phantom_image(image)


def test_an_image_that_says_it_shows_no_patient_is_taken_for_none_whatever_the_scanner(image: Path) -> None:
    dataset = dcmread(image)
    dataset.Manufacturer = "ACME"
    dataset.save_as(image)

    assert is_phantom_image(image)


@pytest.mark.parametrize(
    ("file", "content", "phantom"),
    [
        ("recipe.json", {"seed": 1}, True),
        ("about.json", {"phantom": True}, True),
        ("about.json", {"phantom": False}, False),
        ("about.json", {"source": "a hospital"}, False),
        ("patients.json", [], False),
    ],
)
def test_a_data_set_of_the_phantom_is_known_by_what_was_written_beside_its_index(
    tmp_path: Path, file: str, content: object, phantom: bool
) -> None:
    (tmp_path / file).write_text(json.dumps(content))

    assert is_phantom_data(tmp_path) is phantom


def test_a_marked_data_set_is_known(tmp_path: Path) -> None:
    mark_as_phantom(tmp_path)

    assert is_phantom_data(tmp_path)


@pytest.mark.parametrize("about", ['{"phantom": false}', '{"source": "a hospital"}', "{}"])
def test_one_mark_is_enough_whatever_the_other_says(tmp_path: Path, about: str) -> None:
    (tmp_path / "recipe.json").write_text("{}")
    (tmp_path / "about.json").write_text(about)

    assert is_phantom_data(tmp_path)
    assert is_painted_data(tmp_path)


@pytest.mark.parametrize("damaged", ["", '{"phantom": tr', "[]"])
def test_a_damaged_mark_counts_as_one(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "about.json").write_text(damaged)

    assert is_phantom_data(tmp_path)


def test_of_imported_files_nobody_says_that_all_are_of_the_phantom(tmp_path: Path) -> None:
    mark_as_phantom(tmp_path)

    assert not is_painted_data(tmp_path)
