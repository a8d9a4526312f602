"""All overlays of a case in one object: the same pictures as the single ones, padded to one size."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import MultiFrameTrueColorSecondaryCaptureImageStorage

from config.settings import ReportSettings
from inference.findings import SequenceKind
from node.report import ReportObject, build_report, material
from node.report.captures import frames as overlay_frames
from node.report.pictures import drawing, overlay
from tests import dciodvfy
from tests.node.report.conftest import STYLES
from tests.node.report.report_sources import Study, classic_study, context_of, findings_of
from tests.node.report.test_report_structured import items

BOTH = ReportSettings(objects=("overlays", "overlay_frames"))


def of_kind(objects: Sequence[ReportObject], kind: str) -> list[Dataset]:
    return [made.dataset for made in objects if made.kind == kind]


def objects_of(study: Study, verdict: str = "malignant") -> list[ReportObject]:
    return build_report(findings_of(study, verdict), study.images, context_of(study, settings=BOTH))


@pytest.mark.parametrize("style", STYLES)
def test_each_frame_is_the_single_overlay_in_its_order(studies: dict[str, Study], style: str) -> None:
    objects = objects_of(studies[style])

    (frames,) = of_kind(objects, "overlay_frames")

    singles = of_kind(objects, "overlay")
    assert frames.SOPClassUID == MultiFrameTrueColorSecondaryCaptureImageStorage
    assert frames.pixel_array.shape == (3, frames.Rows, frames.Columns, 3)
    for frame, single in zip(frames.pixel_array, singles, strict=True):
        np.testing.assert_array_equal(frame[: single.Rows, : single.Columns], single.pixel_array)
        assert (frame[single.Rows :] == drawing.BACKGROUND).all()


@pytest.mark.parametrize("verdict", ["negative", "not_analysed"])
def test_without_a_lesion_there_is_none(studies: dict[str, Study], verdict: str) -> None:
    objects = objects_of(studies["classic"], verdict)

    assert [made.kind for made in objects] == ["sr"]
    assert not any("could not be made" in item.TextValue for item in items(objects[0].dataset, "Comment"))


def test_frames_of_images_of_other_sizes_are_padded_at_both_sides_and_below(tmp_path: Path) -> None:
    tall = classic_study(tmp_path, kinds=[SequenceKind.T1])
    wide = classic_study(tmp_path, kinds=[SequenceKind.T2], study="1.2.3.4", PixelSpacing=[1.0, 3.0])
    findings = findings_of(classic_study(tmp_path, kinds=list(SequenceKind)[:2]), "malignant")
    image, series = wide.references(0)[2], wide.series[0].series_instance_uid
    moved = replace(findings.lesions[3], image=image, series_instance_uid=series)
    both = replace(
        findings,
        lesions=(findings.lesions[0], moved),
        series_used=(tall.series[0], wide.series[0]),
        sequences=(),
    )
    study = Study(images=tall.images | wide.images, files=tall.files | wide.files)

    objects = build_report(both, study.images, context_of(study, settings=BOTH))

    (frames,) = of_kind(objects, "overlay_frames")
    singles = [single.pixel_array for single in of_kind(objects, "overlay")]
    assert frames.Columns == max(single.shape[1] for single in singles)
    assert frames.Rows == max(single.shape[0] for single in singles)
    assert singles[0].shape[1] < singles[1].shape[1]
    left = (frames.Columns - singles[0].shape[1]) // 2
    narrow = frames.pixel_array[0]
    np.testing.assert_array_equal(narrow[: singles[0].shape[0], left : left + singles[0].shape[1]], singles[0])
    assert (narrow[:, :left] == drawing.BACKGROUND).all()
    assert (narrow[:, left + singles[0].shape[1] :] == drawing.BACKGROUND).all()


@pytest.mark.parametrize("style", STYLES)
def test_it_refers_to_the_images_that_its_frames_show(studies: dict[str, Study], style: str) -> None:
    study = studies[style]
    shown = dict.fromkeys(lesion.image for lesion in findings_of(study, "malignant").lesions)

    (frames,) = of_kind(objects_of(study), "overlay_frames")

    referred = [
        (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID, item.get("ReferencedFrameNumber"))
        for item in frames.SourceImageSequence
    ]
    assert referred == [(one.sop_class_uid, one.sop_instance_uid, one.frame_number) for one in shown]
    assert {item.SpatialLocationsPreserved for item in frames.SourceImageSequence} == {"NO"}


def test_frames_are_told_apart_by_sequence_and_slice(studies: dict[str, Study]) -> None:
    (frames,) = of_kind(objects_of(studies["classic"]), "overlay_frames")

    assert list(frames.FrameLabelVector) == ["T1 2/5", "T1 3/5", "T2 1/5"]
    assert frames.FrameIncrementPointer == Tag("FrameLabelVector")
    assert frames.NumberOfFrames == 3


def test_two_sequences_of_one_kind_have_labels_of_their_own(tmp_path: Path) -> None:
    study = classic_study(tmp_path, kinds=[SequenceKind.T2FS, SequenceKind.T2FS])

    (frames,) = of_kind(objects_of(study), "overlay_frames")

    assert list(frames.FrameLabelVector) == ["T2FS-1 2/5", "T2FS-1 3/5", "T2FS-2 1/5"]


def test_it_is_a_picture_without_patient_that_says_what_the_model_is(studies: dict[str, Study]) -> None:
    (frames,) = of_kind(objects_of(studies["classic"]), "overlay_frames")

    assert (frames.BurnedInAnnotation, frames.ConversionType, frames.BodyPartExamined) == ("NO", "WSD", "SPINE")
    assert list(frames.PatientOrientation) == ["P", "F"]
    assert "Synthetic phantom" in frames.ImageComments


def test_a_slice_that_cannot_be_read_is_missed_by_name_not_by_silence(tmp_path: Path) -> None:
    study = classic_study(tmp_path)
    del study.files[study.references(0)[1].sop_instance_uid]

    objects = objects_of(study)

    (frames,) = of_kind(objects, "overlay_frames")
    assert list(frames.FrameLabelVector) == ["T1 3/5", "T2 1/5"]
    assert frames.DerivationDescription.endswith("1 of 3 slices unreadable")
    said = [item.TextValue for item in items(objects[0].dataset, "Comment")]
    assert "The overlays lack 1 of 3 images with a box: the pixels cannot be read." in said


def test_when_no_slice_can_be_read_the_report_says_so(tmp_path: Path) -> None:
    study = classic_study(tmp_path)
    study.files.clear()

    objects = objects_of(study)

    said = [item.TextValue for item in items(objects[0].dataset, "Comment")]
    assert of_kind(objects, "overlay_frames") == []
    assert "The overlay pictures could not be made. The pixels of the images with a box cannot be read." in said


def test_of_very_many_images_with_a_box_the_most_telling_are_drawn_and_the_report_says_so(
    studies: dict[str, Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlay, "MOST_OVERLAYS", 2)
    monkeypatch.setattr(material, "MOST_OVERLAYS", 2)
    study = studies["classic"]
    findings = findings_of(study, "malignant")
    first, *others = findings.lesions
    lesions = (replace(first, probability_malignant=0.6), *others)

    objects = build_report(replace(findings, lesions=lesions), study.images, context_of(study, settings=BOTH))

    said = [item.TextValue for item in items(objects[0].dataset, "Comment")]
    (frames,) = of_kind(objects, "overlay_frames")
    shown = [item.ReferencedSOPInstanceUID for item in frames.SourceImageSequence]
    assert len(of_kind(objects, "overlay")) == len(shown) == 2
    assert first.image.sop_instance_uid not in shown
    assert "The overlays lack 1 of 3 images with a box: at most 2 are made, of the highest probabilities." in said


def test_frames_that_no_archive_would_take_are_not_made(
    studies: dict[str, Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlay_frames, "_LARGEST_BYTES", 1_000_000)

    objects = objects_of(studies["classic"])

    said = " ".join(item.TextValue for item in items(objects[0].dataset, "Comment"))
    assert of_kind(objects, "overlay_frames") == []
    assert "are too large for one object" in said


@pytest.mark.skipif(not dciodvfy.installed(), reason="dicom3tools is not installed (dciodvfy)")
@pytest.mark.parametrize("verdict", ["benign", "malignant"])
@pytest.mark.parametrize("style", STYLES)
def test_dciodvfy_finds_no_error(studies: dict[str, Study], tmp_path: Path, style: str, verdict: str) -> None:
    (frames,) = of_kind(objects_of(studies[style], verdict), "overlay_frames")

    frames.save_as(tmp_path / "frames.dcm", enforce_file_format=True)

    assert dciodvfy.errors_of(tmp_path / "frames.dcm") == []
