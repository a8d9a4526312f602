"""Phantom studies as DICOM files."""

import re
from pathlib import Path

import numpy as np
import pydicom
import pytest

from inference.findings import Reason, SequenceKind
from inference.phantom import PhantomPatient, write_study
from inference.selection import read_head, select_series
from tests import dciodvfy


@pytest.fixture(scope="module")
def study(with_lesion: PhantomPatient, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return write_study(with_lesion, tmp_path_factory.mktemp("study"), distractors=True)


def test_writing_twice_gives_the_same_bytes(
    study: tuple[Path, ...], with_lesion: PhantomPatient, tmp_path: Path
) -> None:
    again = write_study(with_lesion, tmp_path, distractors=True)

    assert [path.name for path in again] == [path.name for path in study]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in study]


def test_every_file_is_a_valid_mr_image(study: tuple[Path, ...]) -> None:
    if not dciodvfy.installed():
        pytest.skip("dciodvfy (dicom3tools) is not installed")

    first_of_each = {path.name[:8]: path for path in reversed(study)}.values()

    assert {path.name: dciodvfy.errors_of(path) for path in first_of_each} == {path.name: [] for path in first_of_each}


def test_the_study_names_itself_a_phantom_everywhere(study: tuple[Path, ...]) -> None:
    for path in study:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        assert header.Manufacturer == "PHANTOM"
        assert re.fullmatch("PH-000000-[0-9a-f]{8}", header.PatientID)
        assert str(header.PatientName) == "Phantom^000000"
        assert header.PatientIdentityRemoved == "YES"
        assert header.QualityControlImage == "YES"
        assert header.BurnedInAnnotation == "NO"


def test_one_study_one_frame_of_reference_and_unique_instances(study: tuple[Path, ...]) -> None:
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in study]

    assert len({header.StudyInstanceUID for header in headers}) == 1
    assert len({header.FrameOfReferenceUID for header in headers}) == 1
    assert len({header.SOPInstanceUID for header in headers}) == len(study)
    assert len({header.SeriesInstanceUID for header in headers}) == 5


def test_another_patient_shares_no_uid(
    with_lesion: PhantomPatient, lesion_free: PhantomPatient, tmp_path: Path
) -> None:
    uids = []
    for number, patient in enumerate((with_lesion, lesion_free)):
        header = pydicom.dcmread(write_study(patient, tmp_path / str(number))[0], stop_before_pixels=True)
        uids.append({header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID})

    assert not uids[0] & uids[1]


def test_pixels_and_places_come_back_from_the_files(study: tuple[Path, ...], with_lesion: PhantomPatient) -> None:
    position = 0
    for series in with_lesion.series:
        for k, pixels in enumerate(series.pixels):
            image = pydicom.dcmread(study[position])
            assert np.array_equal(image.pixel_array, pixels)
            assert [float(v) for v in image.ImagePositionPatient] == pytest.approx(series.positions_mm[k], abs=1e-6)
            assert [float(v) for v in image.ImageOrientationPatient] == pytest.approx(series.orientation, abs=1e-9)
            position += 1


def test_the_three_sagittal_series_are_selected_and_the_distractors_left_out(study: tuple[Path, ...]) -> None:
    selection = select_series([read_head(path) for path in study])

    assert sorted(series.kind for series in selection.eligible) == sorted(SequenceKind)
    assert {left.reason for left in selection.left_out} == {Reason.LOCALIZER, Reason.WRONG_PLANE}


def test_the_stated_age_is_the_drawn_age(study: tuple[Path, ...], with_lesion: PhantomPatient) -> None:
    header = pydicom.dcmread(study[0], stop_before_pixels=True)

    assert header.PatientAge == f"{with_lesion.age_years:03d}Y"
