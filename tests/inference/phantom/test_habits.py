"""Each habit of a site shows in the files, stays valid DICOM, and keeps no series from being read."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian

from inference.age import patient_age_years
from inference.phantom import PhantomPatient, write_study
from inference.phantom.data_set import windowed
from inference.phantom.dicom import StudyForm
from inference.phantom.dicom.habits import PLAIN, AgeSaid, BodyPartSaid, FatSaturationSaid, Habits, habits_of_site
from inference.phantom.dicom.wording import Wording
from inference.selection import read_head, select_series
from inference.volume import load_volume, window_to_uint8
from tests import dciodvfy
from tests.inference.phantom.small_patients import with_fat_saturation, with_lesion, with_stir

FORMS = pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])


def written(patient: PhantomPatient, folder: Path, *, enhanced: bool = False, **habits: Any) -> list[pydicom.Dataset]:
    """The images, valid, after every series was taken for what it is."""
    files = write_study(patient, folder, form=StudyForm(enhanced=enhanced, habits=Habits(**habits)))
    assert_valid(files)
    assert_all_series_are_read(patient, files)
    return [pydicom.dcmread(file) for file in files]


def assert_valid(files: Iterable[Path]) -> None:
    if dciodvfy.installed():
        firsts = {file.name[:8]: file for file in reversed(list(files))}
        assert {name: dciodvfy.errors_of(file) for name, file in firsts.items()} == {name: [] for name in firsts}


def assert_all_series_are_read(patient: PhantomPatient, files: Iterable[Path]) -> None:
    selection = select_series([read_head(file) for file in files])

    assert selection.left_out == ()
    assert Counter(one.kind for one in selection.eligible) == Counter(series.kind for series in patient.series)


@FORMS
def test_spacing_between_slices_may_be_absent(tmp_path: Path, enhanced: bool) -> None:
    images = written(with_lesion(), tmp_path, enhanced=enhanced, spacing_between_slices=False)

    assert not any("SpacingBetweenSlices" in str(image) for image in images)


def test_instance_numbers_may_run_against_the_positions(tmp_path: Path) -> None:
    first = [image for image in written(with_lesion(), tmp_path, reversed_numbers=True) if image.SeriesNumber == 1]

    numbers = [int(image.InstanceNumber) for image in first]
    assert numbers == list(range(len(first), 0, -1))


def test_frames_may_run_against_the_positions(tmp_path: Path) -> None:
    patient = with_lesion()

    image = written(patient, tmp_path, enhanced=True, reversed_numbers=True)[0]

    frames = image.PerFrameFunctionalGroupsSequence
    places = [frame.PlanePositionSequence[0].ImagePositionPatient for frame in frames]
    assert np.array(places, dtype=float) == pytest.approx(patient.series[0].positions_mm[::-1], abs=1e-6)
    assert np.array_equal(image.pixel_array, patient.series[0].pixels[::-1])


@FORMS
def test_a_window_may_have_two_values(tmp_path: Path, enhanced: bool) -> None:
    image = written(with_lesion(), tmp_path, enhanced=enhanced, two_windows=True)[0]

    window = image.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence[0] if enhanced else image
    assert len(window.WindowCenter) == len(window.WindowWidth) == 2


@FORMS
@pytest.mark.parametrize("two_windows", [False, True], ids=["one window", "two windows"])
def test_the_node_reads_the_grey_values_that_a_training_sees(tmp_path: Path, enhanced: bool, two_windows: bool) -> None:
    patient, habits = with_lesion(), Habits(two_windows=two_windows)

    files = write_study(patient, tmp_path, form=StudyForm(enhanced=enhanced, habits=habits))

    for series in select_series([read_head(file) for file in files]).eligible:
        (planted,) = (one for one in patient.series if one.kind is series.kind)
        assert np.array_equal(window_to_uint8(load_volume(series)), windowed(planted))


@FORMS
def test_values_may_be_rescaled_and_the_window_with_them(tmp_path: Path, enhanced: bool) -> None:
    patient, form = with_lesion(), StudyForm(enhanced=enhanced, habits=Habits(rescale=(2.5, 0.0)))

    written(patient, tmp_path / "seen", enhanced=enhanced, rescale=(2.5, 0.0))

    files = write_study(patient, tmp_path, form=form)
    for series in select_series([read_head(file) for file in files]).eligible:
        (planted,) = (one for one in patient.series if one.kind is series.kind)
        assert load_volume(series).pixels == pytest.approx(2.5 * planted.pixels)
        assert series.slices[0].window == pytest.approx((2.5 * planted.window[0], 2.5 * planted.window[1]))


@FORMS
def test_what_may_be_empty_may_be_empty(tmp_path: Path, enhanced: bool) -> None:
    image = written(with_lesion(), tmp_path, enhanced=enhanced, empty_type_2=True)[0]

    empty = {"PatientSex", "StudyTime", "StudyID", "SeriesNumber"}
    empty |= set() if enhanced else {"InstanceNumber", "AcquisitionNumber", "SliceThickness", "EchoTrainLength"}
    assert {keyword for keyword in empty if image[keyword].value not in (None, "")} == set()


@FORMS
def test_private_elements_may_stand_between_the_others(tmp_path: Path, enhanced: bool) -> None:
    image = written(with_lesion(), tmp_path, enhanced=enhanced, private_group=True)[0]

    assert [element.tag.group for element in image if element.tag.is_private].count(0x0019) == 5


@FORMS
@pytest.mark.parametrize("said", [AgeSaid.BIRTH_DATE, AgeSaid.ZERO])
def test_the_age_may_follow_from_the_birth_date_alone(tmp_path: Path, enhanced: bool, said: AgeSaid) -> None:
    patient = with_lesion()

    image = written(patient, tmp_path, enhanced=enhanced, age=said)[0]

    assert image.get("PatientAge") == (None if said is AgeSaid.BIRTH_DATE else "000Y")
    age = patient_age_years([read_head(file) for file in tmp_path.iterdir()])
    assert age is not None
    assert int(age) == patient.age_years


@FORMS
@pytest.mark.parametrize("utf_8", [False, True], ids=["own set", "UTF-8"])
@pytest.mark.parametrize(
    ("wording", "description", "study"),
    [
        (Wording.GERMAN, "t1_se_sag", "Synthetisches Phantom, Wirbelsäule"),
        (Wording.FRENCH, "SAG T1", "Fantôme synthétique, rachis"),
        (Wording.JAPANESE, "T1WI 矢状断", "合成ファントム 脊椎"),
        (Wording.TERSE, "T1WI", "SYNTHETIC PHANTOM SPINE"),
    ],
)
def test_descriptions_may_be_in_other_languages(
    tmp_path: Path, wording: Wording, description: str, study: str, utf_8: bool, enhanced: bool
) -> None:
    image = written(with_fat_saturation(), tmp_path, enhanced=enhanced, wording=wording, utf_8=utf_8)[0]

    assert (image.SeriesDescription, image.StudyDescription) == (description, study)
    assert (image.SpecificCharacterSet == "ISO_IR 192") is utf_8


def test_fat_saturation_may_be_told_by_the_scan_options_alone(tmp_path: Path) -> None:
    image = written(with_fat_saturation(), tmp_path, fat_saturation=FatSaturationSaid.TAGS)[-1]

    assert (image.ScanOptions, image.SeriesDescription) == ("FS", "T2 FSE SAG")


def test_fat_saturation_may_be_told_by_the_pulse_sequence_alone(tmp_path: Path) -> None:
    said = FatSaturationSaid.TAGS

    image = written(with_fat_saturation(), tmp_path, enhanced=True, fat_saturation=said)[-1]

    assert (image.SpectrallySelectedSuppression, image.SeriesDescription) == ("FAT", "T2 FSE SAG")


@FORMS
def test_fat_saturation_may_be_told_by_the_description_alone(tmp_path: Path, enhanced: bool) -> None:
    said = FatSaturationSaid.DESCRIPTION

    image = written(with_fat_saturation(), tmp_path, enhanced=enhanced, fat_saturation=said)[-1]

    assert not image.get("ScanOptions")
    assert image.get("SpectrallySelectedSuppression") == ("NONE" if enhanced else None)
    assert image.SeriesDescription == "T2 FSE FS SAG"


def test_an_inversion_may_lack_its_time(tmp_path: Path) -> None:
    image = written(with_stir(), tmp_path, inversion_time=False)[-1]

    assert "IR" in image.ScanningSequence
    assert image.InversionTime is None


@FORMS
def test_the_byte_stream_may_be_implicit(tmp_path: Path, enhanced: bool) -> None:
    image = written(with_lesion(), tmp_path, enhanced=enhanced, implicit_vr=True, private_group=True)[0]

    assert image.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian


@FORMS
@pytest.mark.parametrize(("said", "told"), [(BodyPartSaid.ABSENT, None), (BodyPartSaid.LUMBAR, "LSPINE")])
def test_the_body_part_may_be_absent_or_that_of_the_coil(
    tmp_path: Path, enhanced: bool, said: BodyPartSaid, told: str | None
) -> None:
    image = written(with_lesion(), tmp_path, enhanced=enhanced, body_part=said)[0]

    assert image.get("BodyPartExamined") == told


def test_an_image_type_may_go_on(tmp_path: Path) -> None:
    image = written(with_lesion(), tmp_path, image_type_tail=("AI",))[0]

    assert list(image.ImageType) == ["DERIVED", "SECONDARY", "OTHER", "AI"]


def test_a_classic_image_may_carry_functional_groups(tmp_path: Path) -> None:
    image = written(with_stir(), tmp_path, functional_groups=True)[-1]

    assert image.NumberOfFrames == 1
    assert image.SharedFunctionalGroupsSequence[0].MRModifierSequence[0].InversionTimes == image.InversionTime


def test_every_frame_may_repeat_what_all_share(tmp_path: Path) -> None:
    image = written(with_lesion(), tmp_path, enhanced=True, groups_per_frame=True)[0]

    assert len(image.SharedFunctionalGroupsSequence[0]) == 0
    assert all("PixelMeasuresSequence" in frame for frame in image.PerFrameFunctionalGroupsSequence)


@pytest.mark.parametrize("site", [f"S{number:02d}" for number in range(12)])
def test_the_habits_of_a_site_go_together(tmp_path: Path, site: str) -> None:
    patient, habits = with_lesion(), habits_of_site(site)

    files = write_study(patient, tmp_path, form=StudyForm(habits=habits))

    assert_valid(files)
    assert_all_series_are_read(patient, files)


def test_a_site_keeps_its_habits_and_sites_differ() -> None:
    sites = [habits_of_site(f"S{number:02d}") for number in range(20)]

    assert habits_of_site("S07") == sites[7]
    assert len(set(sites)) > 15
    for habit in PLAIN.__slots__:
        assert len({getattr(site, habit) for site in sites}) > 1, habit
