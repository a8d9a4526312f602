"""What a data set must be before anything is trained or measured on it; each fault names the patient and the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.checked_data_set import checked_data_set
from inference.datasets import INDEX, DataSetWriter, LabelledPatient, open_data_set
from inference.errors import LabelsError
from inference.findings import Box, SequenceKind, Verdict

ROWS, COLUMNS = 40, 50
BOX = Box(x0=0, y0=10.5, x1=COLUMNS, y1=20)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two patients, P0 and P1, with a T1 and a T2 series of three slices and a box on the second one."""
    writer, patients = DataSetWriter(tmp_path), []
    for name in ("P0", "P1"):
        images = np.zeros((3, ROWS, COLUMNS), dtype=np.uint8)
        series = tuple(
            writer.add_series(name, number, kind, images, [[], [BOX], []])
            for number, kind in enumerate((SequenceKind.T1, SequenceKind.T2))
        )
        patients.append(LabelledPatient(patient_id=name, age_years=50.0, verdict=Verdict.BENIGN, series=series))
    writer.close(patients)
    return tmp_path


def change_index(data: Path, change: Callable[[Any], object]) -> None:
    index = json.loads((data / INDEX).read_text())
    change(index)
    (data / INDEX).write_text(json.dumps(index))


def test_a_good_data_set_is_given_as_it_is(data: Path) -> None:
    change_index(data, lambda index: index[1].update(age_years=None))

    assert checked_data_set(data) == open_data_set(data)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'[{"patient_id": "P',
        b"{}",
        b"[]",
        b"7",
        b'["P0"]',
        b'[{"patient_id": "P0"}]',
        '[{"patient_id": "Jürgen"}]'.encode("latin-1"),
        b"[" * 100_000,
    ],
)
def test_a_damaged_index_is_named(data: Path, content: bytes) -> None:
    (data / INDEX).write_bytes(content)

    with pytest.raises(LabelsError, match=r"patients\.json"):
        checked_data_set(data)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("patient_id", 7),
        ("patient_id", ["P0"]),
        ("site", 3),
        ("lesion_type", None),
        ("verdict", "perhaps"),
        ("regions", ["knee"]),
        ("series", None),
        ("series", [{"kind": "T1", "file": 5, "boxes": []}]),
    ],
)
def test_an_entry_of_the_wrong_kind_is_told_as_damage_of_the_index(data: Path, key: str, value: object) -> None:
    change_index(data, lambda index: index[0].update({key: value}))

    with pytest.raises(LabelsError, match=r"patients\.json is damaged"):
        checked_data_set(data)


def test_a_patient_twice_is_told(data: Path) -> None:
    change_index(data, lambda index: index.append(index[0]))

    with pytest.raises(LabelsError, match="twice"):
        checked_data_set(data)


@pytest.mark.parametrize("file", ["/etc/passwd", "../P1.1.npy", "..", ""])
def test_a_file_outside_the_data_set_is_not_read(data: Path, file: str) -> None:
    change_index(data, lambda index: index[1]["series"][1].update(file=file))

    with pytest.raises(LabelsError, match=r"patient P1.*outside the data set"):
        checked_data_set(data)


def test_a_file_that_two_series_name_is_told(data: Path) -> None:
    change_index(data, lambda index: index[1]["series"][0].update(file="P0.1.npy"))

    with pytest.raises(LabelsError, match=r"patient P1: .*P0\.1\.npy.*also that of patient P0"):
        checked_data_set(data)


@pytest.mark.parametrize("age", [-1, float("nan"), float("inf"), "61", True, [50]])
def test_an_age_that_cannot_be_is_told(data: Path, age: object) -> None:
    change_index(data, lambda index: index[1].update(age_years=age))

    with pytest.raises(LabelsError, match=r"patient P1: age_years is .*patients\.json"):
        checked_data_set(data)


@pytest.mark.parametrize(
    "box",
    [
        [float("nan"), 10, 20, 20],
        [10, 10, float("inf"), 20],
        ["1", 10, 20, 20],
        [20, 10, 10, 20],
        [10, 20, 20, 20],
        [-0.5, 10, 20, 20],
        [10, 10, COLUMNS + 0.5, 20],
        [10, 10, 20, ROWS + 1],
        [300, 300, 310, 310],
    ],
)
def test_a_box_that_cannot_be_is_told_with_its_slice(data: Path, box: list[object]) -> None:
    change_index(data, lambda index: index[1]["series"][1]["boxes"][1].append(box))

    with pytest.raises(LabelsError, match=r"patient P1: .*P1\.1\.npy: box .* of slice 1 "):
        checked_data_set(data)


def test_a_lesion_free_patient_with_boxes_is_told(data: Path) -> None:
    change_index(data, lambda index: index[1].update(verdict=None))

    with pytest.raises(LabelsError, match=r"patient P1: .*P1\.0\.npy has boxes.*verdict is null"):
        checked_data_set(data)


def test_a_lesion_free_patient_without_boxes_is_good(data: Path) -> None:
    def freed(index: Any) -> None:
        index[1]["verdict"] = None
        for series in index[1]["series"]:
            series["boxes"] = [[], [], []]

    change_index(data, freed)

    assert [one.verdict for one in checked_data_set(data)] == [Verdict.BENIGN, None]


def deleted(file: Path) -> None:
    file.unlink()


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def of_text(file: Path) -> None:
    file.write_text("not an array")


def with_a_broken_head(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"'descr': '|u1'", b"'descr': ('|u1"))


def an_archive(file: Path) -> None:
    with file.open("wb") as out:
        np.savez(out, images=np.zeros((3, ROWS, COLUMNS), dtype=np.uint8))


def of_floats(file: Path) -> None:
    np.save(file, np.full((3, ROWS, COLUMNS), np.nan))


def of_one_slice(file: Path) -> None:
    np.save(file, np.zeros((ROWS, COLUMNS), dtype=np.uint8))


def of_two_slices(file: Path) -> None:
    np.save(file, np.zeros((2, ROWS, COLUMNS), dtype=np.uint8))


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (deleted, "cannot be read"),
        (a_folder, "cannot be read"),
        (emptied, "is damaged"),
        (cut, "is damaged"),
        (of_text, "is damaged"),
        (with_a_broken_head, "is damaged"),
        (an_archive, "is damaged"),
        (of_floats, "holds float64"),
        (of_one_slice, r"\(40, 50\)"),
        (of_two_slices, "2 slices and 3 lists of boxes"),
    ],
)
def test_a_series_that_cannot_be_used_is_told(data: Path, damage: Callable[[Path], None], told: str) -> None:
    damage(data / "P1.0.npy")

    with pytest.raises(LabelsError, match=rf"patient P1: .*P1\.0\.npy.*{told}"):
        checked_data_set(data)


def test_a_series_without_slices_is_told(data: Path) -> None:
    np.save(data / "P1.0.npy", np.zeros((0, ROWS, COLUMNS), dtype=np.uint8))
    change_index(data, lambda index: index[1]["series"][0].update(boxes=[]))

    with pytest.raises(LabelsError, match=r"patient P1: .*P1\.0\.npy"):
        checked_data_set(data)
