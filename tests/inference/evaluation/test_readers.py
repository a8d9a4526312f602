from pathlib import Path

import pytest

from inference.errors import EvaluationError
from inference.evaluation.comparison import EXACT
from inference.evaluation.metrics import Confusion
from inference.evaluation.readers import read_readers, reader_rows
from inference.findings import Verdict
from tests.inference.evaluation.diagnoses import diagnosis

MODEL = [
    diagnosis("P1", malignant=True, said=True),
    diagnosis("P2", malignant=True, said=True),
    diagnosis("P3", malignant=False, said=True),
    diagnosis("P4", malignant=False, said=False),
]
NAMES = {"P1", "P2", "P3", "P4", "P5"}
DATA_SHA256 = 4 * "0123456789abcdef"


def file(folder: Path, *lines: str, head: str = "patient,reader,with_age,verdict") -> Path:
    path = folder / "readers.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def test_readings_with_and_without_age_are_two_rows(tmp_path: Path) -> None:
    path = file(tmp_path, "P1,D1,no,malignant", "P1,D1,yes,benign", "P3,D1,no,Benign", " P3 ,D1,yes,benign")

    first, second = read_readers(path, NAMES, data_sha256=DATA_SHA256)

    assert (first.reader, first.with_age, second.with_age) == ("D1", False, True)
    assert first.verdicts == {"P1": Verdict.MALIGNANT, "P3": Verdict.BENIGN}
    assert second.verdicts == {"P1": Verdict.BENIGN, "P3": Verdict.BENIGN}


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffpatient,reader,with_age,verdict\r\nP1,D1,no,malignant\r\n",
        "patient;reader;with_age;verdict\nP1;D1;no;malignant\n;;;\n",
    ],
)
def test_a_file_saved_by_a_spreadsheet_is_read(tmp_path: Path, content: str) -> None:
    path = tmp_path / "readers.csv"
    path.write_bytes(content.encode())

    (only,) = read_readers(path, NAMES, data_sha256=DATA_SHA256)

    assert only.verdicts == {"P1": Verdict.MALIGNANT}


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "readers.csv"
    path.write_bytes("patient,reader,with_age,verdict\nP1,Müller,no,benign\n".encode("latin-1"))

    with pytest.raises(EvaluationError, match="no UTF-8 text"):
        read_readers(path, NAMES, data_sha256=DATA_SHA256)


def test_a_reader_stands_beside_the_model_on_the_patients_that_both_read(tmp_path: Path) -> None:
    """P4 was not read; on the other three the reader is right where the model is wrong, and once the other way."""
    path = file(tmp_path, "P1,D1,no,malignant", "P2,D1,no,benign", "P3,D1,no,benign", "P5,D1,no,benign")

    (row,) = reader_rows(read_readers(path, NAMES, data_sha256=DATA_SHA256), MODEL)

    assert row.readings == 4
    assert row.counts == Confusion(true_malignant=1, missed_malignant=1, true_benign=1, false_malignant=0)
    assert row.model_counts == Confusion(true_malignant=2, missed_malignant=0, true_benign=0, false_malignant=1)
    assert (row.against_model.only_first_right, row.against_model.only_second_right) == (1, 1)
    assert (row.against_model.method, row.against_model.p_value) == (EXACT, 1.0)


def test_of_the_patients_that_both_read_those_without_a_detection_of_the_model_are_counted(tmp_path: Path) -> None:
    path = file(tmp_path, "P1,D1,no,malignant", "P3,D1,no,benign", "P5,D1,no,benign")
    model = [*MODEL, diagnosis("P5", malignant=True)]

    (without_p5,) = reader_rows(read_readers(path, NAMES, data_sha256=DATA_SHA256), MODEL)
    (with_p5,) = reader_rows(read_readers(path, NAMES, data_sha256=DATA_SHA256), model)

    assert (without_p5.model_undetected, with_p5.model_undetected) == (0, 1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("P9,D1,no,benign", r"line 3: patient 'P9' is not in the data set"),
        ("P2,D1,perhaps,benign", r"line 3: with_age is 'perhaps', expected one of \['no', 'yes'\]"),
        ("P2,D1,no,cyst", r"line 3: verdict is 'cyst', expected one of \['benign', 'malignant'\]"),
        ("P2,,no,benign", r"line 3: reader is empty"),
        ("P2,D1,no", r"line 3: verdict is empty"),
        ("P1,D1,no,benign", r"line 3: reader 'D1' has read patient 'P1' before"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = file(tmp_path, "P1,D1,no,malignant", line)

    with pytest.raises(EvaluationError, match=message):
        read_readers(path, NAMES, data_sha256=DATA_SHA256)


@pytest.mark.parametrize("named", [DATA_SHA256, DATA_SHA256.upper(), f" {DATA_SHA256} "])
def test_readings_of_this_very_data_set_are_read(tmp_path: Path, named: str) -> None:
    path = file(tmp_path, f"P1,D1,no,malignant,{named}", head="patient,reader,with_age,verdict,data_sha256")

    (only,) = read_readers(path, NAMES, data_sha256=DATA_SHA256)

    assert only.verdicts == {"P1": Verdict.MALIGNANT}


def test_readings_of_another_data_set_are_refused_although_its_names_fit(tmp_path: Path) -> None:
    """Patients are numbered anew in each data set: the same name is somebody else."""
    lines = [f"P1,D1,no,malignant,{DATA_SHA256}", f"P3,D1,no,benign,{64 * 'f'}"]
    path = file(tmp_path, *lines, head="patient,reader,with_age,verdict,data_sha256")

    told = "line 3: .* another data set \\(sha256 ffffffffffffffff, not 0123456789abcdef\\).* other patients"
    with pytest.raises(EvaluationError, match=told):
        read_readers(path, NAMES, data_sha256=DATA_SHA256)


def test_where_the_data_set_is_named_every_line_names_it(tmp_path: Path) -> None:
    lines = [f"P1,D1,no,malignant,{DATA_SHA256}", "P3,D1,no,benign,"]
    path = file(tmp_path, *lines, head="patient,reader,with_age,verdict,data_sha256")

    with pytest.raises(EvaluationError, match="line 3: data_sha256 is empty"):
        read_readers(path, NAMES, data_sha256=DATA_SHA256)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = file(tmp_path, "P1,D1,benign", head="patient,reader,verdict")

    with pytest.raises(EvaluationError, match="no column with_age"):
        read_readers(path, NAMES, data_sha256=DATA_SHA256)


def test_a_reader_of_one_class_is_refused(tmp_path: Path) -> None:
    path = file(tmp_path, "P1,D1,no,malignant", "P2,D1,no,malignant")

    with pytest.raises(EvaluationError, match="'D1' has read 2 malignant and 0 benign"):
        reader_rows(read_readers(path, NAMES, data_sha256=DATA_SHA256), MODEL)


def test_a_cell_beyond_all_measure_is_refused_with_its_line(tmp_path: Path) -> None:
    path = file(tmp_path, "P1,D1,no,malignant", f"P2,{200_000 * 'D'},no,malignant")

    with pytest.raises(EvaluationError, match="line 3: field larger"):
        read_readers(path, NAMES, data_sha256=DATA_SHA256)
