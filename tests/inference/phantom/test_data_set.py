import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.datasets import LabelledPatient
from inference.phantom import PhantomConfig, generate_patient
from inference.phantom.data_set import PhantomSet, make_data_set, windowed
from inference.phantom.lesions.families import Look

ROOT = Path(__file__).parents[3]
RECIPE = PhantomSet(first=5, count=3, seed=2, config=PhantomConfig(matrix=64))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("set")


@pytest.fixture(scope="module")
def patients(folder: Path) -> list[LabelledPatient]:
    return make_data_set([RECIPE], folder, processes=1)


def test_a_data_set_holds_what_the_phantom_paints(patients: list[LabelledPatient]) -> None:
    phantom = generate_patient(6, seed=2, config=RECIPE.config)

    assert [p.patient_id for p in patients] == ["PH-000005", "PH-000006", "PH-000007"]
    assert (patients[1].verdict, patients[1].age_years) == (phantom.truth.label, phantom.age_years)
    for stored, painted in zip(patients[1].series, phantom.series, strict=True):
        assert stored.boxes == painted.boxes
        assert np.array_equal(stored.images(), windowed(painted))


def test_a_data_set_says_where_the_lesions_lie_what_they_are_and_who_took_the_images(
    patients: list[LabelledPatient],
) -> None:
    for number, stored in zip((5, 6, 7), patients, strict=True):
        phantom = generate_patient(number, seed=2, config=RECIPE.config)

        assert set(stored.regions) == set(phantom.regions)
        assert (stored.site, stored.lesion_type) == (phantom.site, phantom.truth.family)
    assert any(p.regions for p in patients)


def test_a_set_may_leave_out_looks_and_then_holds_the_other_patients_as_they_are(tmp_path: Path) -> None:
    whole = PhantomSet(first=0, count=8, seed=2, config=RECIPE.config)
    looks = tuple(Look(truth.look) for truth in whole.truths().values() if truth.look)
    left_out = looks[0]
    part = replace(whole, looks=tuple(look for look in Look if look is not left_out))

    kept = make_data_set([part], tmp_path, processes=1)

    expected = [number for number, truth in whole.truths().items() if truth.look != left_out]
    assert [p.patient_id for p in kept] == [f"PH-{number:06d}" for number in expected]
    assert len(kept) < 8


def test_several_sets_make_one_data_set(tmp_path: Path) -> None:
    here = PhantomSet(first=0, count=2, seed=2, config=replace(RECIPE.config, sites=(1,)))
    there = PhantomSet(first=2, count=1, seed=2, config=replace(RECIPE.config, sites=(9,)))

    patients = make_data_set([here, there], tmp_path, processes=1)

    assert [(p.patient_id, p.site) for p in patients] == [
        ("PH-000000", "S01"),
        ("PH-000001", "S01"),
        ("PH-000002", "S09"),
    ]


def test_sets_that_share_a_patient_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="share patients"):
        make_data_set([RECIPE, replace(RECIPE, first=7)], tmp_path, processes=1)


def test_the_same_set_is_not_made_again(folder: Path, patients: list[LabelledPatient]) -> None:
    made = (folder / "patients.json").stat().st_mtime_ns

    assert make_data_set([RECIPE], folder, processes=1) == patients
    assert (folder / "patients.json").stat().st_mtime_ns == made


def test_a_set_painted_by_other_code_is_made_again(folder: Path, patients: list[LabelledPatient]) -> None:
    file = patients[0].series[0].file
    expected = patients[0].series[0].images().copy()
    np.save(file, expected // 2)

    make_data_set([RECIPE], folder, processes=1)

    assert np.array_equal(np.load(file), expected)


def test_a_killed_run_leaves_no_painters_behind_and_no_data_set(tmp_path: Path) -> None:
    program = f"""
import os, signal
from dataclasses import replace
from pathlib import Path
from tests.inference.phantom.test_data_set import RECIPE, make_data_set
def die(done, total):
    os.kill(os.getpid(), signal.SIGKILL)
if __name__ == "__main__":
    make_data_set([replace(RECIPE, count=12)], Path({str(tmp_path)!r}), processes=2, progress=die)
"""
    script = tmp_path.with_suffix(".py")
    script.write_text(program)

    # Returns when nobody holds the pipes any more: neither the parent nor its painters
    run = subprocess.run(
        [sys.executable, script], capture_output=True, timeout=120, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )

    assert run.returncode == -9, run.stderr.decode()
    assert len(list(tmp_path.glob("*.npy"))) < 12 * 3
    assert not (tmp_path / "patients.json").exists()


class StoppedError(Exception):
    """What a person's Ctrl-C, or a crash, does to a painting."""


def stop_after(count: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done == count:
            raise StoppedError

    return progress


def begun(folder: Path, recipe: PhantomSet, *, painted: int) -> None:
    with pytest.raises(StoppedError):
        make_data_set([recipe], folder, processes=1, progress=stop_after(painted))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def written_files(folder: Path) -> dict[str, tuple[int, int]]:
    """Of the arrays, what changes when one is written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("*.npy")}


def go_on(folder: Path, recipe: PhantomSet, *, processes: int = 1) -> list[int]:
    """Returns how many patients there were, after each that was painted."""
    told: list[int] = []
    make_data_set([recipe], folder, processes=processes, progress=lambda done, total: told.append(done))
    return told


FIVE = replace(RECIPE, count=5)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    make_data_set([FIVE], folder, processes=1)
    return content(folder)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_stopped_painting_goes_on_where_it_stopped_to_the_same_bytes(
    tmp_path: Path, uninterrupted: dict[str, bytes], processes: int
) -> None:
    begun(tmp_path, FIVE, painted=2)
    before = written_files(tmp_path)

    told = go_on(tmp_path, FIVE, processes=processes)

    assert len(before) == 2 * 3
    assert told == [3, 4, 5]
    assert before.items() <= written_files(tmp_path).items()
    assert content(tmp_path) == uninterrupted


def test_a_painting_may_be_stopped_again_and_again_and_at_its_very_end(
    tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    for painted in (1, 3, 5):
        begun(tmp_path, FIVE, painted=painted)

    assert go_on(tmp_path, FIVE) == []
    assert content(tmp_path) == uninterrupted


def test_the_patient_whose_line_was_cut_off_is_painted_again(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    begun(tmp_path, FIVE, painted=2)
    journal = tmp_path / "painted.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])

    assert go_on(tmp_path, FIVE) == [2, 3, 4, 5]
    assert content(tmp_path) == uninterrupted


def test_a_cut_line_does_not_spoil_those_that_follow_it(tmp_path: Path) -> None:
    begun(tmp_path, FIVE, painted=2)
    journal = tmp_path / "painted.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    begun(tmp_path, FIVE, painted=3)

    assert go_on(tmp_path, FIVE) == [4, 5]


def test_a_painting_of_another_recipe_is_never_gone_on_with(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    begun(tmp_path, replace(FIVE, seed=9), painted=3)

    assert go_on(tmp_path, FIVE) == [1, 2, 3, 4, 5]
    assert content(tmp_path) == uninterrupted


def test_a_painting_begun_over_a_whole_set_of_another_recipe_is_no_whole_set(
    tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    make_data_set([replace(FIVE, seed=9)], tmp_path, processes=1)
    begun(tmp_path, FIVE, painted=1)

    assert not (tmp_path / "patients.json").exists()
    assert go_on(tmp_path, FIVE) == [2, 3, 4, 5]
    assert content(tmp_path) == uninterrupted


def test_patients_that_other_code_painted_are_painted_anew(tmp_path: Path, uninterrupted: dict[str, bytes]) -> None:
    begun(tmp_path, FIVE, painted=3)
    for file in tmp_path.glob("*.npy"):
        np.save(file, np.load(file) // 2)

    assert go_on(tmp_path, FIVE) == [1, 2, 3, 4, 5]
    assert content(tmp_path) == uninterrupted


def test_patients_whom_other_code_describes_otherwise_are_painted_anew(
    tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    begun(tmp_path, FIVE, painted=3)
    journal = tmp_path / "painted.jsonl"
    journal.write_text(journal.read_text().replace('"age_years": ', '"age_years": 1'))

    assert go_on(tmp_path, FIVE) == [1, 2, 3, 4, 5]
    assert content(tmp_path) == uninterrupted
