"""`spinenode data` as a data scientist types it."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from inference.datasets import open_data_set
from inference.findings import Box, Verdict
from inference.labels.faults import FaultCode
from node.cli import main
from tests.inference.labels.drawn_objects import drawn_segmentation, finding, group, region, viewer_report
from tests.inference.labels.hospital_folder import HospitalFolder
from tests.inference.labels.phantom_folder import write_labelled_folder
from tests.node.fresh_interpreter import torch_is_loaded_by
from tests.node.report.report_sources import classic_study

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, logging_as_before: None) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def hospital(tmp_path: Path) -> HospitalFolder:
    root = tmp_path / "studies"
    root.mkdir()
    return HospitalFolder(root)


def test_a_folder_of_labelled_phantoms_becomes_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = write_labelled_folder(tmp_path / "studies")

    assert main(["data", "check", "studies"]) == 0
    assert main(["data", "import", "studies", "--out", "set"]) == 0

    assert "3 patients (1 benign, 1 malignant, 1 lesion-free), 9 series" in capsys.readouterr().out
    assert len(open_data_set(tmp_path / "set")) == len(written)
    assert (tmp_path / "patients-key.csv").is_file()


def test_check_fails_and_says_whose_where_and_what_to_do(
    hospital: HospitalFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    images = hospital.patient("MRN-7")
    hospital.labelme(images[3], Box(x0=1, y0=1, x1=2, y1=2))

    assert main(["data", "check", "studies"]) == 1

    out = capsys.readouterr().out
    assert "box-without-area" in out
    assert "MRN-7" in out
    assert "MRN-7/series1-3.json, series 1, slice 4" in out
    assert "3 pixels is the least" in out
    assert "1 patient, 1 with errors: 1 error, 0 warnings, 0 infos" in out


def test_check_answers_programs_in_json(hospital: HospitalFolder, capsys: pytest.CaptureFixture[str]) -> None:
    images = hospital.patient("A")
    hospital.labelme(images[3], Box(x0=1, y0=1, x1=2, y1=2))

    assert main(["data", "check", "studies", "--json"]) == 1

    data = json.loads(capsys.readouterr().out)
    [fault] = data["faults"]
    assert data["counts"] == {"error": 1, "warning": 0, "info": 0}
    assert (fault["code"], fault["severity"]) == ("box-without-area", "error")
    assert fault["patients"] == [{"patient_id": "A", "issuer": ""}]
    assert (fault["file"], fault["series_number"], fault["slice"]) == ("A/series1-3.json", 1, 4)
    assert fault["sop_instance_uid"] == "1.2.826.0.1.1.4"


def test_many_faults_of_one_kind_are_counted_and_infos_are_listed_when_asked_for(
    hospital: HospitalFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    for image in hospital.series("A", WindowCenter=None, slices=9):
        hospital.labelme(image, label="malignant")
    hospital.pathology("A,benign")

    main(["data", "check", "studies"])
    short = capsys.readouterr().out
    main(["data", "check", "studies", "--info"])
    long = capsys.readouterr().out

    assert "... and 4 more like it" in short
    assert "window-missing" not in short
    assert "--info lists them" in short
    assert "window-missing" in long


@pytest.mark.parametrize(("first", "second"), [("drawn", "viewer"), ("viewer", "drawn")])
def test_a_lesion_that_a_mask_and_a_report_both_give_is_imported_once_with_the_class_that_one_of_them_says(
    tmp_path: Path, first: str, second: str
) -> None:
    """The mask names no class, and without pathology.csv the labels must."""
    (tmp_path / "studies").mkdir()
    study = classic_study(tmp_path / "studies", BodyPartExamined="LSPINE", RepetitionTime=3000.0, EchoTime=100.0)
    images = [study.images[one.sop_instance_uid] for one in study.references(0)]
    masks = np.zeros((len(images), 96, 64, 1), dtype=np.uint8)
    masks[1, 10:30, 20:40] = 1
    names = {first: "1.dcm", second: "2.dcm"}
    drawn_segmentation(tmp_path / "studies" / names["drawn"], images, masks, "lesion")
    corners = (20, 10, 40, 10, 40, 30, 20, 30, 20, 10)
    marked = group(finding("malignant"), region(images[1].SOPInstanceUID, corners))
    viewer_report(tmp_path / "studies" / names["viewer"], marked)

    assert main(["data", "import", "studies", "--out", "set"]) == 0

    [patient] = open_data_set(tmp_path / "set")
    boxes = [box for series in patient.series for on_slice in series.boxes for box in on_slice]
    assert patient.verdict is Verdict.MALIGNANT
    assert boxes == [Box(x0=20, y0=10, x1=40, y1=30)]


def test_import_lists_the_faults_and_refuses(hospital: HospitalFolder, capsys: pytest.CaptureFixture[str]) -> None:
    hospital.patient("A")
    hospital.patient("B", None)

    assert main(["data", "import", "studies", "--out", "set"]) == 1

    out, err = capsys.readouterr()
    assert "pathology-missing" in out
    assert err.count("\n") == 1
    assert "--leave-out-faulty" in err
    assert not Path("set").exists()


def test_import_names_whom_it_leaves_out(hospital: HospitalFolder, capsys: pytest.CaptureFixture[str]) -> None:
    hospital.patient("A")
    hospital.patient("B", None)

    assert main(["data", "import", "studies", "--out", "set", "--leave-out-faulty", "--no-key"]) == 0

    assert "left out, with errors: 1 patient (B)" in capsys.readouterr().out
    assert not Path("patients-key.csv").exists()


def test_import_answers_programs_in_json(hospital: HospitalFolder, capsys: pytest.CaptureFixture[str]) -> None:
    hospital.patient("A")

    assert main(["data", "import", "studies", "--out", "set", "--key", "who.csv", "--json"]) == 0

    data = json.loads(capsys.readouterr().out)
    assert data["imported"] == {
        "patients": 1,
        "benign": 1,
        "malignant": 0,
        "lesion_free": 0,
        "series": 1,
        "images": 6,
        "images_with_boxes": 2,
        "boxes": 2,
    }
    assert data["key"] == "who.csv"
    assert Path("who.csv").is_file()


def test_a_key_that_would_be_replaced_is_refused_before_the_long_check(
    hospital: HospitalFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    hospital.patient("A")
    Path("patients-key.csv").write_text("of another data set")

    assert main(["data", "import", "studies", "--out", "set"]) == 1

    out, err = capsys.readouterr()
    assert out == ""
    assert "--key" in err
    assert main(["data", "import", "studies", "--out", "set", "--key", "k.csv", "--no-key"]) == 2


def test_a_folder_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "nowhere"]) == 1

    assert capsys.readouterr().err == "spinenode: nowhere is no folder: name the one that holds the DICOM files\n"


def test_neither_names_nor_birth_dates_are_shown_and_numbers_reach_no_log(
    hospital: HospitalFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    # a birth date that pydicom warns about with its value
    hospital.patient("MRN-7", PatientName="Doe^Jane", PatientBirthDate="19620304")
    hospital.patient("MRN-8", PatientName="Doe^Jane", PatientBirthDate="19620304")
    hospital.patient("MRN-7", PatientName="Roe^Rob", PatientBirthDate="1950.06.07", AccessionNumber="x" * 40)

    assert main(["data", "check", "studies", "--info"]) == 1
    assert main(["data", "check", "studies", "--json"]) == 1

    out, err = capsys.readouterr()
    for secret in ("Doe", "Jane", "Roe", "Rob", "1962", "1950"):
        assert secret.lower() not in (out + err).lower()
    assert "MRN-7" in out
    assert "MRN-7" not in err


def test_the_commands_load_no_torch(hospital: HospitalFolder) -> None:
    hospital.patient("A")

    assert not torch_is_loaded_by("data", "import", "studies", "--out", "set")


def test_the_training_page_names_every_fault() -> None:
    page = (ROOT / "docs" / "training.md").read_text()

    assert [code.value for code in FaultCode if f"`{code.value}`" not in page] == []


def test_what_is_no_regular_file_is_told_and_never_opened(
    hospital: HospitalFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """A FIFO has no end to wait for, and a link may lead nowhere."""
    hospital.patient("A")
    os.mkfifo(hospital.root / "A" / "pipe")
    (hospital.root / "A" / "gone.dcm").symlink_to("nowhere")

    assert main(["data", "check", "studies", "--json"]) == 0

    faults = json.loads(capsys.readouterr().out)["faults"]
    assert [(one["code"], one["file"]) for one in faults] == [
        ("file-unreadable", "A/gone.dcm"),
        ("file-unreadable", "A/pipe"),
    ]


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_a_name_that_is_no_utf_8_is_shown_with_a_replacement_character(
    hospital: HospitalFolder, capfdbinary: pytest.CaptureFixture[bytes], as_json: tuple[str, ...]
) -> None:
    hospital.patient("A")
    (hospital.root / os.fsdecode(b"f\xfc.dcm")).write_bytes(b"no DICOM")

    assert main(["data", "check", "studies", *as_json]) == 0

    assert "f\ufffd.dcm" in capfdbinary.readouterr().out.decode()


def test_a_number_or_a_cell_beyond_all_measure_is_a_fault_with_its_file(
    hospital: HospitalFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    images = hospital.patient("A")
    labels = images[3].with_suffix(".json")
    drawn = json.loads(labels.read_text())
    drawn["shapes"][0]["points"][0][0] = 10**400
    labels.write_text(json.dumps(drawn))
    hospital.pathology("A,benign", f'B,"{200_000 * "x"}"', "C,benign")

    assert main(["data", "check", "studies", "--json"]) == 1

    faults = {one["code"]: one for one in json.loads(capsys.readouterr().out)["faults"]}
    assert (faults["pathology-value"]["file"], faults["pathology-value"]["line"]) == ("pathology.csv", 3)
    assert faults["pathology-without-images"]["line"] == 4  # what follows is read
    assert [one["file"] for one in faults.values() if "no finite number" in one["what"]] == ["A/series1-3.json"]
