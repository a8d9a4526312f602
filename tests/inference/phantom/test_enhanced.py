"""Enhanced MR: one multi-frame object per series, which says all that the classic images say."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import EnhancedMRImageStorage

from inference.findings import Reason
from inference.phantom import PhantomPatient, write_study
from inference.phantom.dicom import StudyForm
from inference.selection import EligibleSeries, read_head, select_series
from inference.volume import load_volume
from tests import dciodvfy
from tests.inference.phantom.small_patients import with_fat_saturation, with_lesion, with_stir

ENHANCED = StudyForm(enhanced=True)


def read(files: tuple[Path, ...]) -> tuple[EligibleSeries, ...]:
    return select_series([read_head(file) for file in files]).eligible


def test_a_series_is_one_valid_object(tmp_path: Path) -> None:
    if not dciodvfy.installed():
        pytest.skip("dciodvfy (dicom3tools) is not installed")

    for patient in (with_fat_saturation(), with_stir()):
        files = write_study(patient, tmp_path / str(patient.index), form=ENHANCED)

        assert len(files) == len(patient.series)
        assert [dciodvfy.errors_of(file) for file in files] == [[] for _ in files]


def test_frames_are_the_slices_in_their_places(tmp_path: Path) -> None:
    patient = with_lesion()

    files = write_study(patient, tmp_path, form=ENHANCED)

    for series, file in zip(patient.series, files, strict=True):
        image = pydicom.dcmread(file)
        frames = image.PerFrameFunctionalGroupsSequence
        places = [frame.PlanePositionSequence[0].ImagePositionPatient for frame in frames]
        assert image.SOPClassUID == EnhancedMRImageStorage
        assert np.array_equal(image.pixel_array, series.pixels)
        assert np.array(places, dtype=float) == pytest.approx(series.positions_mm, abs=1e-6)
        assert [frame.FrameContentSequence[0].InStackPositionNumber for frame in frames] == [
            number + 1 for number in range(len(frames))
        ]


def test_both_forms_are_read_as_the_same_volumes(tmp_path: Path) -> None:
    patient = with_stir()

    classic = read(write_study(patient, tmp_path / "classic"))
    enhanced = read(write_study(patient, tmp_path / "enhanced", form=ENHANCED))

    assert [one.kind for one in enhanced] == [one.kind for one in classic]
    for one, other in zip(classic, enhanced, strict=True):
        a, b = load_volume(one), load_volume(other)
        assert np.array_equal(a.pixels, b.pixels)
        assert b.affine_lps == pytest.approx(a.affine_lps)
        assert one.slices[0].window == other.slices[0].window


def test_both_forms_are_studies_of_one_patient_in_one_space_without_a_common_object(tmp_path: Path) -> None:
    patient = with_lesion()

    images = [
        pydicom.dcmread(file, stop_before_pixels=True)
        for form in (StudyForm(), ENHANCED)
        for file in write_study(patient, tmp_path / str(form.enhanced), form=form)
    ]

    assert len({image.PatientID for image in images}) == 1
    assert len({image.StudyInstanceUID for image in images}) == 2
    assert len({image.FrameOfReferenceUID for image in images}) == 1
    assert len({image.SeriesInstanceUID for image in images}) == 2 * len(patient.series)
    assert len({image.SOPInstanceUID for image in images}) == len(images)


def test_the_study_names_itself_a_phantom_everywhere(tmp_path: Path) -> None:
    for file in write_study(with_lesion(), tmp_path, form=ENHANCED):
        header = pydicom.dcmread(file, stop_before_pixels=True)

        assert header.Manufacturer == "PHANTOM"
        assert header.PatientID.startswith("PH-")
        assert header.PatientIdentityRemoved == "YES"
        assert header.QualityControlImage == "YES"
        assert header.BurnedInAnnotation == "NO"
        assert header.ContentQualification == "RESEARCH"


def test_distractors_stay_classic_and_are_left_out(tmp_path: Path) -> None:
    files = write_study(with_lesion(), tmp_path, form=StudyForm(enhanced=True, distractors=True))

    selection = select_series([read_head(file) for file in files])

    assert len(selection.eligible) == len(with_lesion().series)
    assert {left.reason for left in selection.left_out} == {Reason.LOCALIZER, Reason.WRONG_PLANE}


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    patient: PhantomPatient = with_lesion()

    first, second = (write_study(patient, tmp_path / name, form=ENHANCED) for name in ("a", "b"))

    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]
