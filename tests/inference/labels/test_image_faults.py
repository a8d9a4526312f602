"""Images that are broken, doubled or of a plane that is not read, and files that are none."""

import math
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from inference.labels.faults import FaultCode, PatientKey, Severity
from tests.inference.labels.hospital_folder import SLICES, HospitalFolder, only
from tests.inference.mr_images import AXIAL, stored_pixels

A = PatientKey("A")


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


@pytest.mark.parametrize("window", [{"WindowCenter": None, "WindowWidth": None}, {"WindowCenter": [1, 2]}])
def test_a_series_without_a_usable_window_is_an_info(hospital: HospitalFolder, window: dict[str, Any]) -> None:
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
