"""Who is who between sets: a patient is one wherever it is made, and objects that differ never share a UID."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset

from inference.findings import SequenceKind
from inference.labels.check import check_folder
from inference.labels.faults import Severity
from inference.phantom.sets.make import make_set
from inference.phantom.sets.recipe import SetRecipe
from inference.phantom.truth.write import TruthKind
from tests.inference.phantom.small_patients import SMALL

# The first patient has a lesion; sites have habits, and some of them two windows or rescaled values
RECIPE = SetRecipe(
    first=1, count=1, seed=5, config=replace(SMALL, lesion_free_fraction=0.0), truth=tuple(TruthKind), distractors=True
)
CHANGED_CONFIGS = {
    "difficulty": 0.5,
    "matrix": 80,
    "sites": (7,),
    "stations": 2,
    "lesion_free_fraction": 0.1,
}
CHANGED_FORMS = {
    "enhanced": True,
    "site_habits": False,
    "kinds": (SequenceKind.T2, SequenceKind.T2FS),
    "distractors": False,
}


def objects_of(recipe: SetRecipe, folder: Path) -> list[Dataset]:
    """All DICOM objects of the set, with the bytes of each file as `as_written`."""
    make_set(recipe, folder, processes=1)
    return [pydicom.dcmread(file) for file in sorted(folder.glob("PH-*/*.dcm"))]


def values(objects: Iterable[Dataset], keyword: str) -> set[str]:
    return {str(one[keyword].value) for one in objects if keyword in one}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("set")


@pytest.fixture(scope="module")
def objects(folder: Path) -> list[Dataset]:
    return objects_of(RECIPE, folder)


def test_everything_about_a_patient_has_the_one_patient_id(folder: Path, objects: list[Dataset]) -> None:
    (patient_id,) = values(objects, "PatientID")

    assert {one.SOPClassUID.name.split()[0] for one in objects} == {"MR", "Segmentation", "Comprehensive"}
    assert [path.name for path in folder.glob("PH-*")] == [patient_id]
    assert patient_id.startswith("PH-000001-")
    assert json.loads((folder / patient_id / "truth.json").read_text())["patient_id"] == patient_id
    assert (folder / "pathology.csv").read_text().splitlines()[1].split(",")[0] == patient_id
    names = {image["file_name"].split("/")[0] for image in json.loads((folder / "coco.json").read_text())["images"]}
    assert names == {patient_id}


@pytest.mark.parametrize("change", CHANGED_CONFIGS)
def test_a_patient_of_other_options_is_another_patient(objects: list[Dataset], tmp_path: Path, change: str) -> None:
    config = replace(RECIPE.config, **{change: CHANGED_CONFIGS[change]})  # type: ignore[arg-type]

    assert_nobody_is_in_both(objects, objects_of(replace(RECIPE, config=config, truth=()), tmp_path))


def test_a_patient_of_another_seed_is_another_patient(objects: list[Dataset], tmp_path: Path) -> None:
    assert_nobody_is_in_both(objects, objects_of(replace(RECIPE, seed=6), tmp_path))


def assert_nobody_is_in_both(one: list[Dataset], other: list[Dataset]) -> None:
    for keyword in (
        "PatientID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "SOPInstanceUID",
        "FrameOfReferenceUID",
    ):
        assert values(one, keyword).isdisjoint(values(other, keyword))
        assert values(other, keyword)


@pytest.mark.parametrize("change", CHANGED_FORMS)
def test_a_patient_in_another_form_is_another_study_of_the_same_patient_in_the_same_space(
    objects: list[Dataset], tmp_path: Path, change: str
) -> None:
    other = objects_of(replace(RECIPE, **{change: CHANGED_FORMS[change]}), tmp_path)  # type: ignore[arg-type]

    assert values(other, "PatientID") == values(objects, "PatientID")
    assert values(other, "FrameOfReferenceUID") == values(objects, "FrameOfReferenceUID")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert values(other, keyword).isdisjoint(values(objects, keyword))


def test_segmentations_and_reports_name_the_images_of_their_own_form(objects: list[Dataset]) -> None:
    images = values((one for one in objects if one.Modality == "MR"), "SOPInstanceUID")

    for one in objects:
        if one.Modality in ("SEG", "SR"):
            named = {str(e.value) for e in one.iterall() if e.keyword == "ReferencedSOPInstanceUID"}
            assert named
            assert named <= images


def test_two_sets_in_one_folder_are_read_as_the_patients_of_both(tmp_path: Path) -> None:
    recipes = [SetRecipe(first=1, count=2, seed=seed, config=SMALL) for seed in (1, 2)]
    rows: list[str] = []
    for recipe in recipes:
        table = tmp_path / str(recipe.seed) / "pathology.csv"
        make_set(recipe, table.parent, processes=1)
        rows += table.read_text().splitlines()[1 if rows else 0 :]
        table.unlink()
    (tmp_path / "pathology.csv").write_text("\n".join(rows) + "\n")

    checked = check_folder(tmp_path, lambda *_: None)

    read = [one.key.patient_id for one in checked.patients]
    assert sorted(read) == sorted(name for recipe in recipes for name in recipe.patient_ids.values())
    assert len(set(read)) == 4
    assert [fault.what for fault in checked.faults if fault.severity is Severity.ERROR] == []
