"""Sets on disk: whole patients, gone on with after a stop, the same bytes whoever makes them."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from inference.findings import SequenceKind, Verdict
from inference.phantom.dicom.study import StudyFile, write_file
from inference.phantom.sets import make
from inference.phantom.sets.make import make_set
from inference.phantom.sets.recipe import PhantomSetError, SetRecipe, claimed
from inference.phantom.truth.write import TruthKind
from inference.selection import read_head, select_series
from tests.inference.phantom.small_patients import SMALL

ROOT = Path(__file__).parents[3]
RECIPE = SetRecipe(first=3, count=3, seed=5, config=SMALL, truth=tuple(TruthKind))
PATIENTS = list(RECIPE.patient_ids.values())


def digests(folder: Path) -> dict[str, str]:
    """Of all files but the lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    make_set(RECIPE, folder, processes=1)
    return folder


def test_a_set_has_a_folder_per_patient_and_the_files_about_all(made: Path) -> None:
    assert sorted(path.name for path in made.iterdir() if not path.name.startswith(".")) == [
        *PATIENTS,
        "coco.json",
        "pathology.csv",
        "recipe.json",
    ]
    for patient in PATIENTS:
        assert {"truth.json", "coco.json", "planted-lesions.dcm"} <= {path.name for path in (made / patient).iterdir()}
        assert pydicom.dcmread(made / patient / "series01-001.dcm").PatientID == patient


def test_the_same_recipe_gives_the_same_bytes_whatever_the_number_of_processes(made: Path, tmp_path: Path) -> None:
    make_set(RECIPE, tmp_path, processes=3)

    assert digests(tmp_path) == digests(made)


def test_a_patient_is_the_same_in_every_set_of_the_seed(made: Path, tmp_path: Path) -> None:
    make_set(replace(RECIPE, first=4, count=1), tmp_path, processes=1)

    assert digests(tmp_path / PATIENTS[1]) == digests(made / PATIENTS[1])


def test_pathology_and_coco_tell_of_every_patient_in_order(made: Path) -> None:
    lines = (made / "pathology.csv").read_text().splitlines()
    coco = json.loads((made / "coco.json").read_text())

    truths = [json.loads((made / patient / "truth.json").read_text()) for patient in PATIENTS]
    assert [line.split(",")[:2] for line in lines[1:]] == [
        [patient, truth["label"] or "none"] for patient, truth in zip(PATIENTS, truths, strict=True)
    ]
    assert all((made / image["file_name"]).is_file() for image in coco["images"])
    drawn = sum(len(image["boxes"]) for truth in truths for series in truth["series"] for image in series["images"])
    assert len(coco["annotations"]) == drawn > 0


def test_a_killed_run_leaves_whole_patients_and_nobody_behind_and_is_gone_on_with(made: Path, tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from tests.inference.phantom.test_sets import RECIPE, make_set
def die(done, total):
    if done:
        os.kill(os.getpid(), signal.SIGKILL)
if __name__ == "__main__":
    make_set(RECIPE, Path({str(tmp_path)!r}), processes=2, progress=die)
"""
    script = tmp_path.with_suffix(".py")
    script.write_text(program)

    # Returns when nobody holds the pipes any more: neither the parent nor its workers
    run = subprocess.run(
        [sys.executable, script], capture_output=True, timeout=120, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )

    assert run.returncode == -9, run.stderr.decode()
    before = [patient for patient in PATIENTS if (tmp_path / patient).is_dir()]
    assert before
    assert all(digests(tmp_path / patient) == digests(made / patient) for patient in before)
    assert not (tmp_path / "pathology.csv").exists()
    outcome = make_set(RECIPE, tmp_path, processes=1)
    assert (outcome.kept, outcome.made) == (len(before), 3 - len(before))
    assert digests(tmp_path) == digests(made)


def test_a_set_that_another_machine_began_is_refused_before_anything_is_added(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / PATIENTS[2])
    image = tmp_path / PATIENTS[0] / "series02-003.dcm"
    dataset = pydicom.dcmread(image)
    pixels = dataset.pixel_array
    pixels[30, 30] ^= 1
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(image)
    before = digests(tmp_path)

    with pytest.raises(PhantomSetError) as refused:
        make_set(RECIPE, tmp_path, processes=1)

    assert str(tmp_path / PATIENTS[0]) in str(refused.value)
    assert "this machine paints other grey values" in str(refused.value)
    assert "series02-003.dcm" in str(refused.value)
    assert "name another --out" in str(refused.value)
    assert digests(tmp_path) == before


def test_a_full_disk_ends_the_run_with_whole_patients_and_is_gone_on_with(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0

    def until_full(file: StudyFile, folder: Path) -> Path:
        nonlocal written
        written += 1
        if written > 40:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / file.name))
        return write_file(file, folder)

    monkeypatch.setattr(make, "write_file", until_full)
    with pytest.raises(PhantomSetError, match="is full; make room"):
        make_set(RECIPE, tmp_path, processes=1)
    there = sorted(path.name for path in tmp_path.iterdir())

    monkeypatch.undo()
    make_set(RECIPE, tmp_path, processes=1)

    assert there == [".lock", PATIENTS[0], "recipe.json"]
    assert digests(tmp_path) == digests(made)


def test_what_an_interrupted_patient_left_is_removed(tmp_path: Path) -> None:
    recipe = replace(RECIPE, count=1)
    make_set(recipe, tmp_path, processes=1)
    before = digests(tmp_path)
    leftover = tmp_path / f".{PATIENTS[0]}.77.part"
    leftover.mkdir()
    (leftover / "half.dcm").write_bytes(b"half")

    outcome = make_set(recipe, tmp_path, processes=1)

    assert (outcome.kept, outcome.made) == (1, 0)
    assert digests(tmp_path) == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 6}, "seed 5 there, 6 wanted"),
        ({"count": 4}, "count 3 there, 4 wanted"),
        ({"config": replace(SMALL, difficulty=0.5)}, "config.difficulty 1.0 there, 0.5 wanted"),
        ({"enhanced": True}, "enhanced False there, True wanted"),
    ],
)
def test_a_folder_of_another_recipe_is_refused(made: Path, change: dict[str, object], said: str) -> None:
    before = digests(made)

    with pytest.raises(PhantomSetError, match=said):
        make_set(replace(RECIPE, **change), made, processes=1)  # type: ignore[arg-type]

    assert digests(made) == before


def test_a_patient_whose_truth_is_gone_is_named_with_what_to_do(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(made, folder)
    (folder / PATIENTS[1] / "truth.json").unlink()

    with pytest.raises(PhantomSetError, match=f"remove the folder {PATIENTS[1]}, and the same command makes it again"):
        make_set(RECIPE, folder, processes=1)

    shutil.rmtree(folder / PATIENTS[1])
    make_set(RECIPE, folder, processes=1)
    assert digests(folder) == digests(made)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")

    with pytest.raises(PhantomSetError, match=r"holds other files \(thesis.tex\)"):
        make_set(RECIPE, tmp_path, processes=1)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with claimed(tmp_path, RECIPE), pytest.raises(PhantomSetError, match="another run"):
        make_set(RECIPE, tmp_path, processes=1)


def test_a_set_that_the_disk_cannot_hold_is_refused_at_once(tmp_path: Path) -> None:
    recipe = replace(RECIPE, first=0, count=10**6, config=replace(SMALL, matrix=2048))

    with pytest.raises(PhantomSetError, match="GB free"):
        make_set(recipe, tmp_path, processes=1)

    assert not (tmp_path / "recipe.json").exists()


def test_only_the_wanted_kinds_of_series_and_truth_are_written(tmp_path: Path) -> None:
    recipe = replace(RECIPE, count=1, kinds=(SequenceKind.T2,), truth=())

    make_set(recipe, tmp_path, processes=1)

    files = list((tmp_path / PATIENTS[0]).iterdir())
    images = [file for file in files if file.suffix == ".dcm"]
    assert {one.kind for one in select_series([read_head(file) for file in images]).eligible} == {SequenceKind.T2}
    assert [file.name for file in files if file.suffix != ".dcm"] == ["truth.json"]


def test_two_stations_are_twice_the_series_of_one_study(tmp_path: Path) -> None:
    recipe = replace(RECIPE, count=1, config=replace(SMALL, stations=2))

    make_set(recipe, tmp_path, processes=1)

    images = list(tmp_path.glob("PH-000003-*/series??-???.dcm"))
    kinds = [one.kind for one in select_series([read_head(file) for file in images]).eligible]
    assert kinds == [kind for kind in SequenceKind for _ in range(2)]
    assert len({pydicom.dcmread(file).StudyInstanceUID for file in images}) == 1


def test_the_outcome_counts_the_labels_of_the_whole_set(made: Path) -> None:
    outcome = make_set(RECIPE, made, processes=1)

    assert sum(outcome.labels.values()) == RECIPE.count
    assert list(outcome.labels) == [Verdict.BENIGN, Verdict.MALIGNANT, "none"]
