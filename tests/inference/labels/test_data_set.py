"""From a folder to a data set: the images of the service, pseudonyms, and a key of its own."""

import csv
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.datasets import INDEX, DataSetWriter, LabelledPatient, SpineRegion, open_data_set
from inference.errors import LabelsError
from inference.findings import Verdict
from inference.labels import data_set
from inference.labels.data_set import Imported, write_data_set
from inference.labels.faults import PatientKey
from inference.labels.pseudonyms import pseudonyms
from inference.selection import read_head, select_series
from inference.volume import load_volume, window_to_uint8
from tests.inference.labels.hospital_folder import HospitalFolder, silent


def write(hospital: HospitalFolder, out: Path, *, key: Path | None = None, leave_out_faulty: bool = False) -> Imported:
    return write_data_set(hospital.check(), out, key_file=key, leave_out_faulty=leave_out_faulty, progress=silent)


def test_patients_come_back_with_class_age_boxes_and_what_parts_them(hospital: HospitalFolder, tmp_path: Path) -> None:
    hospital.patient("A", "malignant")
    hospital.pathology(
        "A,malignant,61,cervical;lumbar,North,metastasis", header="patient_id,label,age_years,regions,site,lesion_type"
    )

    imported = write(hospital, tmp_path / "set")

    [patient] = open_data_set(tmp_path / "set")
    assert (patient,) == imported.patients
    assert (patient.verdict, patient.age_years) == (Verdict.MALIGNANT, 61.0)
    assert patient.regions == (SpineRegion.CERVICAL, SpineRegion.LUMBAR)
    assert (patient.site, patient.lesion_type) == ("North", "metastasis")
    assert patient.series[0].labelled_slices == [2, 3]


def test_the_images_are_those_that_the_node_gives_to_the_networks(hospital: HospitalFolder, tmp_path: Path) -> None:
    files = hospital.patient("A", WindowCenter=2000, WindowWidth=1500)
    [series] = select_series([read_head(file) for file in files]).eligible

    write(hospital, tmp_path / "set")

    [patient] = open_data_set(tmp_path / "set")
    assert np.array_equal(patient.series[0].images(), window_to_uint8(load_volume(series)))


def test_no_file_and_no_byte_of_the_index_names_a_patient(hospital: HospitalFolder, tmp_path: Path) -> None:
    hospital.patient("MRN-4711")

    write(hospital, tmp_path / "set", key=tmp_path / "key.csv")

    assert sorted(file.name for file in (tmp_path / "set").iterdir()) == ["P0001.0.npy", "patients.json"]
    assert "4711" not in (tmp_path / "set" / INDEX).read_text()


def test_the_key_leads_back_and_is_for_the_user_alone(hospital: HospitalFolder, tmp_path: Path) -> None:
    hospital.patient("A", "benign", IssuerOfPatientID="North")
    hospital.patient("B", "malignant")
    key = tmp_path / "key.csv"

    write(hospital, tmp_path / "set", key=key)

    with key.open(newline="", encoding="utf-8") as file:
        rows = {row["pseudonym"]: (row["patient_id"], row["issuer"]) for row in csv.DictReader(file)}
    verdicts = {rows[one.patient_id]: one.verdict for one in open_data_set(tmp_path / "set")}
    assert verdicts == {("A", "North"): Verdict.BENIGN, ("B", ""): Verdict.MALIGNANT}
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_without_a_key_nothing_is_written_beside_the_data_set(hospital: HospitalFolder, tmp_path: Path) -> None:
    hospital.patient("A")

    write(hospital, tmp_path / "made" / "set")

    assert [one.name for one in (tmp_path / "made").iterdir()] == ["set"]


def test_pseudonyms_do_not_depend_on_the_order_of_the_patients() -> None:
    keys = [PatientKey(str(number)) for number in range(30)]

    names = pseudonyms(keys)

    assert pseudonyms(reversed(keys)) == names
    assert sorted(names.values()) == [f"P{number:04d}" for number in range(1, 31)]
    assert list(names.values()) != [names[key] for key in keys]  # nor in the order of the numbers


def test_a_folder_with_errors_is_refused_with_the_next_step(hospital: HospitalFolder, tmp_path: Path) -> None:
    hospital.patient("A")
    hospital.patient("B", None)

    with pytest.raises(LabelsError, match="--leave-out-faulty"):
        write(hospital, tmp_path / "set")

    assert not (tmp_path / "set").exists()


def test_faulty_patients_can_be_left_out_and_are_named(hospital: HospitalFolder, tmp_path: Path) -> None:
    hospital.patient("A")
    hospital.patient("B", None)

    imported = write(hospital, tmp_path / "set", key=tmp_path / "key.csv", leave_out_faulty=True)

    assert imported.left_out == (PatientKey("B"),)
    assert len(open_data_set(tmp_path / "set")) == 1
    assert "B" not in (tmp_path / "key.csv").read_text().splitlines()[1]


@pytest.mark.parametrize("boxes", ["malignant", None])
@pytest.mark.parametrize(
    "rows",
    [("A,malignent,,",), ("A,malignant,old,",), ("A,malignant,,knee",), ("A,none,,", "A,malignant,,")],
)
def test_a_patient_whose_row_is_faulty_is_left_out_though_the_row_names_no_issuer(
    hospital: HospitalFolder, tmp_path: Path, rows: tuple[str, ...], boxes: str | None
) -> None:
    hospital.patient("A", boxes, IssuerOfPatientID="North")
    hospital.patient("B", IssuerOfPatientID="North")
    hospital.pathology(*rows, "B,benign,,", header="patient_id,label,age_years,regions")

    imported = write(hospital, tmp_path / "set", leave_out_faulty=True)

    assert imported.left_out == (PatientKey("A", "North"),)
    assert [one.verdict for one in open_data_set(tmp_path / "set")] == [Verdict.BENIGN]


def test_a_patient_of_unknown_class_is_not_written_even_when_no_fault_names_the_patient(
    hospital: HospitalFolder, tmp_path: Path
) -> None:
    hospital.patient("A", None)
    without_faults = replace(hospital.check(), faults=())

    with pytest.raises(LabelsError, match="class"):
        write_data_set(without_faults, tmp_path / "set", key_file=None, leave_out_faulty=True, progress=silent)

    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    "of_nobody",
    [
        "C,bening",  # has no images: whose spelling is it?
        f'"{200_000 * "x"}",benign',  # more than a cell can hold
    ],
)
def test_an_error_that_concerns_no_patient_of_the_folder_refuses_the_import_even_without_the_faulty(
    hospital: HospitalFolder, tmp_path: Path, of_nobody: str
) -> None:
    hospital.patient("A")
    hospital.pathology("A,benign", of_nobody)

    with pytest.raises(LabelsError, match="1 error that concerns no patient with images"):
        write(hospital, tmp_path / "set", leave_out_faulty=True)

    assert not (tmp_path / "set").exists()


def test_the_patients_of_a_folder_with_a_lost_annotation_are_left_out(hospital: HospitalFolder, tmp_path: Path) -> None:
    images = hospital.patient("A")
    hospital.patient("B")
    images[2].with_suffix(".json").rename(images[2].with_name("lost.json"))
    images[2].unlink()

    imported = write(hospital, tmp_path / "set", leave_out_faulty=True)

    assert imported.left_out == (PatientKey("A"),)


def test_both_numbers_of_one_person_are_left_out(hospital: HospitalFolder, tmp_path: Path) -> None:
    for number in ("A", "B", "C"):
        shared = {} if number == "C" else {"StudyInstanceUID": "1.2.826.0.3.8"}
        hospital.patient(number, **shared)

    imported = write(hospital, tmp_path / "set", leave_out_faulty=True)

    assert imported.left_out == (PatientKey("A"), PatientKey("B"))


def test_when_every_patient_is_faulty_there_is_no_data_set(hospital: HospitalFolder, tmp_path: Path) -> None:
    hospital.patient("A", None)

    with pytest.raises(LabelsError, match="no patient without errors"):
        write(hospital, tmp_path / "set", leave_out_faulty=True)


def test_a_folder_that_is_not_empty_is_left_alone(hospital: HospitalFolder, tmp_path: Path) -> None:
    hospital.patient("A")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").write_text("keep")

    with pytest.raises(LabelsError, match="not empty"):
        write(hospital, tmp_path / "set")

    assert [file.name for file in (tmp_path / "set").iterdir()] == ["mine.txt"]


def test_a_key_is_never_replaced_and_never_put_into_the_data_set(hospital: HospitalFolder, tmp_path: Path) -> None:
    hospital.patient("A")
    (tmp_path / "key.csv").write_text("of another data set")

    with pytest.raises(LabelsError, match="never replaced"):
        write(hospital, tmp_path / "set", key=tmp_path / "key.csv")
    with pytest.raises(LabelsError, match="inside the data set"):
        write(hospital, tmp_path / "set", key=tmp_path / "set" / "key.csv")

    assert (tmp_path / "key.csv").read_text() == "of another data set"


def test_an_import_that_breaks_off_leaves_no_index(
    hospital: HospitalFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hospital.patient("A")
    hospital.patient("B", "malignant")
    checked = hospital.check()
    loads: list[int] = []

    def breaks_at_the_second(series: object) -> object:
        loads.append(1)
        if len(loads) == 2:
            raise OSError(5, "Input/output error")
        return load_volume(series)  # type: ignore[arg-type]

    monkeypatch.setattr(data_set, "load_volume", breaks_at_the_second)
    with pytest.raises(OSError, match="Input/output"):
        write_data_set(
            checked, tmp_path / "set", key_file=tmp_path / "key.csv", leave_out_faulty=False, progress=silent
        )

    assert [file.suffix for file in (tmp_path / "set").iterdir()] == [".npy"]
    with pytest.raises(FileNotFoundError):
        open_data_set(tmp_path / "set")


def test_an_index_that_could_not_be_written_whole_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    patients: Sequence[LabelledPatient] = []
    with pytest.raises(OSError, match="No space"):
        DataSetWriter(tmp_path).close(patients)

    assert not (tmp_path / INDEX).exists()
