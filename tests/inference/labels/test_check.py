"""`check_folder`: every fault is found, and says whose it is and where."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from inference.errors import LabelsError
from inference.findings import Box, Verdict
from inference.labels.check import check_folder
from inference.labels.faults import RULES, Fault, FaultCode, PatientKey, Severity
from inference.labels.labelme import write_labelme
from inference.phantom import generate_patient
from tests.inference.labels.hospital_folder import LESION, SLICES, HospitalFolder, silent
from tests.inference.labels.phantom_folder import SEED, TINY, write_labelled_folder
from tests.inference.mr_images import AXIAL, COLUMNS, ROWS, enhanced_mr, save, stored_pixels

A, B = PatientKey("A"), PatientKey("B")


def only(faults: Any) -> Fault:
    [fault] = faults
    assert isinstance(fault, Fault)
    return fault


def test_every_code_has_a_severity_and_a_remedy() -> None:
    assert set(RULES) == set(FaultCode)


def test_a_clean_folder_has_no_faults_and_gives_class_age_and_boxes(hospital: HospitalFolder) -> None:
    hospital.patient("A", "benign")
    hospital.patient("B", "malignant", PatientAge="061Y")
    hospital.pathology("A,benign", "B,malignant")

    checked = hospital.check()

    assert checked.faults == ()
    assert [(one.key, one.verdict, one.age_years) for one in checked.patients] == [
        (A, Verdict.BENIGN, 50.0),
        (B, Verdict.MALIGNANT, 61.0),
    ]
    assert [[len(boxes) for boxes in stack.boxes] for stack in checked.patients[0].stacks] == [[0, 0, 1, 1, 0, 0]]


def test_a_folder_of_labelled_phantoms_is_clean_and_keeps_every_box_on_its_slice(tmp_path: Path) -> None:
    """The phantom's truth against what is read back, slice by slice."""
    written = write_labelled_folder(tmp_path, [Verdict.BENIGN, Verdict.MALIGNANT, None])

    checked = check_folder(tmp_path, silent)

    assert checked.faults == ()
    phantoms = {one.patient_id: one for one in written}
    for patient in checked.patients:
        phantom = phantoms[patient.key.patient_id]
        assert patient.verdict is phantom.truth.label
        assert [stack.series.kind for stack in patient.stacks] == [series.kind for series in phantom.series]
        assert [stack.boxes for stack in patient.stacks] == [series.boxes for series in phantom.series]


def test_the_phantoms_of_a_folder_are_the_same_every_time(tmp_path: Path) -> None:
    [patient] = write_labelled_folder(tmp_path, [Verdict.MALIGNANT])

    assert patient.truth == generate_patient(patient.index, seed=SEED, config=TINY).truth


def test_without_pathology_file_the_labels_give_the_class(hospital: HospitalFolder) -> None:
    hospital.patient("A", "benign")
    hospital.patient("B", "malignant")

    checked = hospital.check()

    assert [one.verdict for one in checked.patients] == [Verdict.BENIGN, Verdict.MALIGNANT]
    assert checked.faults == ()


def test_without_pathology_file_nobody_is_taken_for_lesion_free(hospital: HospitalFolder) -> None:
    hospital.patient("A", None)

    assert hospital.check().faulty == {A}
    assert only(hospital.faults()).code is FaultCode.PATHOLOGY_MISSING


def test_labels_of_one_patient_must_agree(hospital: HospitalFolder) -> None:
    images = hospital.patient("A", "benign")
    hospital.labelme(images[3], label="malignant")

    fault = only(hospital.faults())

    assert fault.code is FaultCode.LABELS_DISAGREE
    assert fault.patients == (A,)


def test_a_patient_without_pathology_is_an_error(hospital: HospitalFolder) -> None:
    hospital.patient("A")
    hospital.patient("B")
    hospital.pathology("A,benign")

    fault = only(hospital.faults())

    assert (fault.code, fault.patients, fault.severity) == (FaultCode.PATHOLOGY_MISSING, (B,), Severity.ERROR)


def test_a_row_without_images_is_a_warning_with_its_line(hospital: HospitalFolder) -> None:
    hospital.patient("A")
    hospital.pathology("A,benign", "0B,malignant")

    fault = only(hospital.faults())

    assert (fault.code, fault.severity) == (FaultCode.PATHOLOGY_WITHOUT_IMAGES, Severity.WARNING)
    assert (fault.place.file, fault.place.line) == ("pathology.csv", 3)


def test_a_row_that_does_not_say_whose_number_it_is_helps_neither_of_two_issuers(hospital: HospitalFolder) -> None:
    hospital.patient("A", IssuerOfPatientID="North")
    hospital.series("A", IssuerOfPatientID="South", StudyInstanceUID="1.2.9.1", FrameOfReferenceUID="1.2.9.2")
    hospital.pathology("A,benign")

    faults = hospital.faults(FaultCode.PATHOLOGY_MISSING)

    assert {patient.issuer for fault in faults for patient in fault.patients} == {"North", "South"}
    assert all("issuer" in fault.what for fault in faults)


def test_a_lesion_without_any_box_is_an_error(hospital: HospitalFolder) -> None:
    hospital.patient("A", None)
    hospital.pathology("A,malignant")

    fault = only(hospital.faults())

    assert (fault.code, fault.patients) == (FaultCode.NO_BOX, (A,))


def test_a_patient_listed_as_none_is_lesion_free(hospital: HospitalFolder) -> None:
    hospital.patient("A", None)
    hospital.pathology("A,none")

    checked = hospital.check()

    assert checked.faults == ()
    assert checked.patients[0].verdict is None


@pytest.mark.parametrize("row", ["A,malignant", "A,none"])
def test_a_label_against_the_pathology_names_the_file(hospital: HospitalFolder, row: str) -> None:
    hospital.patient("A", "benign")
    hospital.pathology(row)

    faults = hospital.faults()

    assert {fault.code for fault in faults} == {FaultCode.LABEL_AGAINST_PATHOLOGY}
    assert [fault.place.file for fault in faults] == ["A/series1-3.json", "A/series1-4.json"]


@pytest.mark.parametrize(
    ("box", "code"),
    [
        (Box(x0=5, y0=5, x1=COLUMNS + 4, y1=12), FaultCode.BOX_OUTSIDE_IMAGE),
        (Box(x0=-9, y0=5, x1=8, y1=12), FaultCode.BOX_OUTSIDE_IMAGE),
        (Box(x0=5, y0=ROWS + 40, x1=9, y1=ROWS + 50), FaultCode.BOX_OUTSIDE_IMAGE),
        (Box(x0=5, y0=5, x1=7.9, y1=12), FaultCode.BOX_WITHOUT_AREA),
        (Box(x0=5, y0=5, x1=5, y1=5), FaultCode.BOX_WITHOUT_AREA),
        (Box(x0=COLUMNS - 2, y0=5, x1=COLUMNS + 1, y1=12), FaultCode.BOX_WITHOUT_AREA),
    ],
)
def test_a_bad_box_is_an_error_that_names_file_series_and_slice(
    hospital: HospitalFolder, box: Box, code: FaultCode
) -> None:
    images = hospital.patient("A")
    hospital.labelme(images[3], box)

    fault = only(hospital.faults())

    assert (fault.code, fault.patients) == (code, (A,))
    assert (fault.place.file, fault.place.series_number, fault.place.slice) == ("A/series1-3.json", 1, 4)
    assert fault.place.sop_instance_uid == "1.2.826.0.1.1.4"


def test_a_box_that_ends_less_than_a_pixel_outside_is_cut_at_the_edge(hospital: HospitalFolder) -> None:
    images = hospital.patient("A")
    hospital.labelme(images[3], Box(x0=-0.5, y0=4, x1=COLUMNS + 0.75, y1=ROWS + 1))

    checked = hospital.check()

    assert checked.faults == ()
    stack = checked.patients[0].stacks[0]
    assert stack.boxes[3] == (Box(x0=0, y0=4, x1=COLUMNS, y1=ROWS),)


def test_an_annotation_without_image_is_an_error(hospital: HospitalFolder) -> None:
    images = hospital.patient("A")
    images[3].unlink()

    fault = only(hospital.faults())

    assert (fault.code, fault.place.file) == (FaultCode.ANNOTATION_WITHOUT_IMAGE, f"A/{images[3].stem}.json")


def test_broken_json_is_an_error_of_the_patient_whose_image_it_lies_beside(hospital: HospitalFolder) -> None:
    images = hospital.patient("A")
    images[3].with_suffix(".json").write_text('{"shapes": [')

    fault = only(hospital.faults())

    assert (fault.code, fault.patients) == (FaultCode.ANNOTATION_UNREADABLE, (A,))


def test_a_slice_without_box_between_slices_with_boxes_is_a_warning(hospital: HospitalFolder) -> None:
    images = hospital.patient("A")
    hospital.labelme(images[5])  # 2 and 3 have boxes, too

    fault = only(hospital.faults())

    assert (fault.code, fault.severity, fault.place.slice) == (FaultCode.BOX_GAP, Severity.WARNING, 5)


def test_a_series_without_box_beside_one_with_boxes_is_a_warning(hospital: HospitalFolder) -> None:
    hospital.patient("A")
    hospital.series("A")

    fault = only(hospital.faults())

    assert (fault.code, fault.place.series_number) == (FaultCode.SERIES_WITHOUT_BOX, 2)


def test_a_series_of_another_plane_is_told_with_the_reason_and_its_boxes_are_not_used(
    hospital: HospitalFolder,
) -> None:
    hospital.patient("A")
    axial = hospital.series("A", ImageOrientationPatient=list(AXIAL))
    hospital.labelme(axial[2])
    hospital.labelme(axial[3])

    unread, info = hospital.faults()

    assert (unread.code, unread.severity, unread.place.series_number) == (
        FaultCode.BOX_NOT_USED,
        Severity.WARNING,
        2,
    )
    assert "2 boxes" in unread.what
    assert (info.code, info.severity) == (FaultCode.SERIES_NOT_ELIGIBLE, Severity.INFO)
    assert "wrong_plane" in info.what


def test_a_lesion_with_boxes_on_unread_images_only_has_no_box(hospital: HospitalFolder) -> None:
    hospital.series("A")
    axial = hospital.series("A", ImageOrientationPatient=list(AXIAL))
    hospital.labelme(axial[2])

    assert {fault.code for fault in hospital.check().faults if fault.severity is Severity.ERROR} == {FaultCode.NO_BOX}


def test_mixed_orientation_in_one_series_is_a_warning_of_its_own(hospital: HospitalFolder) -> None:
    hospital.patient("A")
    series = {"SeriesInstanceUID": "1.2.826.0.2.77", "SeriesNumber": 77}
    hospital.series("A", **series)
    tilted = [math.sin(math.radians(20)), math.cos(math.radians(20)), 0.0, 0.0, 0.0, -1.0]
    hospital.series("A", ImageOrientationPatient=tilted, **series)

    fault = only(hospital.faults(FaultCode.MIXED_ORIENTATION))

    assert (fault.severity, fault.place.series_number) == (Severity.WARNING, 77)


def test_a_patient_without_any_series_to_read_is_an_error(hospital: HospitalFolder) -> None:
    hospital.series("A", ImageOrientationPatient=list(AXIAL))
    hospital.pathology("A,none")

    fault = only(hospital.faults(FaultCode.NO_ELIGIBLE_SERIES))

    assert fault.patients == (A,)
    assert "wrong_plane" in fault.what


def test_pixels_that_cannot_be_decoded_leave_the_series_out(hospital: HospitalFolder) -> None:
    hospital.patient("A")
    broken = hospital.series("A")
    dataset = dcmread(broken[2])
    dataset.PixelData = dataset.PixelData[:100]
    dataset.save_as(broken[2])

    checked = hospital.check()

    fault = only(fault for fault in checked.faults if fault.code is FaultCode.PIXELS_BROKEN)
    assert (fault.severity, fault.place.series_number) == (Severity.WARNING, 2)
    assert len(checked.patients[0].stacks) == 1


def test_an_unknown_age_is_a_warning_and_the_pathology_file_mends_it(hospital: HospitalFolder) -> None:
    hospital.patient("A", PatientAge=None, PatientBirthDate=None)
    hospital.pathology("A,benign")
    before = hospital.check()
    hospital.pathology("A,benign,44", header="patient_id,label,age_years")
    after = hospital.check()

    assert [fault.code for fault in before.faults] == [FaultCode.AGE_UNKNOWN]
    assert before.patients[0].age_years is None
    assert (after.faults, after.patients[0].age_years) == ((), 44.0)


def test_the_age_of_the_pathology_file_comes_before_that_of_the_images(hospital: HospitalFolder) -> None:
    hospital.patient("A", PatientAge="050Y")
    hospital.pathology("A,benign,44", header="patient_id,label,age_years")

    assert hospital.check().patients[0].age_years == 44.0


def test_several_study_dates_of_a_patient_are_a_warning(hospital: HospitalFolder) -> None:
    hospital.patient("A")
    hospital.patient("A", StudyDate="20200601", StudyInstanceUID="1.2.826.0.3.99")

    assert only(hospital.faults()).code is FaultCode.SEVERAL_STUDY_DATES


@pytest.mark.parametrize("window", [{"WindowCenter": None, "WindowWidth": None}, {"WindowCenter": [1, 2]}])
def test_a_series_without_a_single_window_is_an_info(hospital: HospitalFolder, window: dict[str, Any]) -> None:
    hospital.patient("A", **window)

    fault = only(hospital.faults())

    assert (fault.code, fault.severity) == (FaultCode.WINDOW_MISSING, Severity.INFO)


def test_a_copy_of_an_image_is_a_warning(hospital: HospitalFolder) -> None:
    images = hospital.patient("A")
    (hospital.root / "copy.dcm").write_bytes(images[0].read_bytes())

    fault = only(hospital.faults())

    assert (fault.code, fault.severity) == (FaultCode.IMAGE_TWICE, Severity.WARNING)
    assert fault.place.file == "A/series1-6.dcm"
    assert "copy.dcm" in fault.what


def test_two_images_that_claim_to_be_one_are_an_error(hospital: HospitalFolder) -> None:
    images = hospital.patient("A")
    other = dcmread(images[0])
    other.PixelData = stored_pixels(40).tobytes()
    other.save_as(hospital.root / "other.dcm")

    assert only(hospital.faults()).code is FaultCode.SAME_INSTANCE_TWO_IMAGES


def test_a_series_exported_twice_under_new_uids_is_found_by_its_pixels(hospital: HospitalFolder) -> None:
    for image in hospital.patient("A"):
        again = dcmread(image)
        again.SOPInstanceUID += ".9"
        again.SeriesInstanceUID, again.SeriesNumber = "1.2.826.0.2.50", 50
        again.save_as(image.with_name(f"again-{image.name}"))

    fault = only(hospital.faults(FaultCode.IMAGE_TWICE))

    assert f"{SLICES} images" in fault.what


def test_files_that_are_not_dicom_are_passed_over(hospital: HospitalFolder) -> None:
    hospital.patient("A")
    (hospital.root / "notes.txt").write_text("read me")
    (hospital.root / "settings.json").write_text('{"colour": "red"}')
    (hospital.root / ".hidden.dcm").write_text("left by a viewer")

    assert hospital.faults() == []


def test_images_are_found_whatever_their_file_name(hospital: HospitalFolder) -> None:
    for number, image in enumerate(hospital.patient("A")):
        image.with_suffix(".json").unlink(missing_ok=True)
        image.rename(image.with_name(f"IM{number:05d}"))
    hospital.pathology("A,none")

    checked = hospital.check()

    assert checked.faults == ()
    assert len(checked.patients[0].stacks[0].series.slices) == SLICES


def test_a_directory_file_of_a_disc_is_passed_over(hospital: HospitalFolder) -> None:
    hospital.patient("A")
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.8.1"
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.FileSetID = "DISC"
    directory.save_as(hospital.root / "DICOMDIR", enforce_file_format=True)

    assert hospital.faults() == []


@pytest.mark.parametrize("content", [b"", b"no DICOM at all", bytes(128) + b"DICM" + b"\x08\x00\x05\x00CS\x0a"])
def test_a_broken_dicom_file_is_told(hospital: HospitalFolder, content: bytes) -> None:
    hospital.patient("A")
    (hospital.root / "broken.dcm").write_bytes(content)

    fault = only(hospital.faults())

    assert (fault.code, fault.place.file) == (FaultCode.FILE_UNREADABLE, "broken.dcm")


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="holds no DICOM image"):
        check_folder(tmp_path, silent)
    with pytest.raises(LabelsError, match="is no folder"):
        check_folder(tmp_path / "nowhere", silent)


def test_errors_come_first_then_warnings_then_infos(hospital: HospitalFolder) -> None:
    hospital.patient("A", None, WindowCenter=None)
    hospital.patient("B", PatientAge=None, PatientBirthDate=None)
    hospital.pathology("A,benign", "B,benign")

    severities = [fault.severity for fault in hospital.faults()]

    assert severities == [Severity.ERROR, Severity.WARNING, Severity.INFO]


def test_enhanced_mr_frames_carry_their_boxes_to_the_right_slices(hospital: HospitalFolder) -> None:
    order = [2, 0, 5, 1, 4, 3]
    dataset = enhanced_mr(np.stack([stored_pixels(k) for k in range(SLICES)]), order)
    dataset.PatientID, dataset.PatientName, dataset.PatientAge = "A", "A^B", "050Y"
    save(dataset, hospital.root / "many.dcm")
    drawn = hospital.root / "many-frame3.json"  # frame 3 shows the last slice
    write_labelme(drawn, "many-frame3.png", [LESION], label="benign", rows=ROWS, columns=COLUMNS)

    [patient] = hospital.check().patients

    assert [len(boxes) for boxes in patient.stacks[0].boxes] == [0, 0, 0, 0, 0, 1]
