"""The boxes as segmentations: the right pixels of the right images, and the same lesions as the report."""

import gzip
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from config.settings import ReportSettings
from inference.findings import Box, Findings, Lesion, SequenceKind, Verdict
from node.report import build_report
from node.report.pictures import drawing
from node.report.segments.masks import pixels_of
from node.report.tracking import with_tracking
from tests import dciodvfy
from tests.node.report.conftest import STYLES
from tests.node.report.report_sources import (
    COLUMNS,
    FRAME_OF_REFERENCE,
    ROOT,
    ROWS,
    Study,
    classic_study,
    context_of,
    findings_of,
    headers_without,
)
from tests.node.report.test_report_structured import items

READER = Path(sys.executable).with_name("segimage2itkimage")
ONLY_SEGMENTATIONS = ReportSettings(objects=("segmentations",))

Edit = Callable[[Dataset], None]


def built(
    study: Study, findings: Findings, images: dict[str, Dataset] | None = None, **context: object
) -> list[Dataset]:
    """The data sets of a report with segmentations, the structured report first."""
    settings = {"settings": ONLY_SEGMENTATIONS} | context
    made = build_report(findings, images or study.images, context_of(study, **settings))
    return [one.dataset for one in made]


def tracked(study: Study, verdict: str = "malignant") -> Findings:
    return with_tracking(findings_of(study, verdict), context_of(study).group_key)


def lesions_of(findings: Findings, segmentation: Dataset) -> list[Lesion]:
    """In the order of the segments."""
    by_uid = {lesion.tracking_uid: lesion for lesion in findings.lesions}
    return [by_uid[segment.TrackingUID] for segment in segmentation.SegmentSequence]


def centres_in(box: Box) -> NDArray[np.bool_]:
    """(rows, columns): whether the centre of a pixel lies in the box."""
    x, y = np.arange(COLUMNS) + 0.5, np.arange(ROWS) + 0.5
    return ((y >= box.y0) & (y < box.y1))[:, None] & ((x >= box.x0) & (x < box.x1))[None, :]


def comments(sr: Dataset) -> str:
    return " ".join(item.TextValue for item in items(sr, "Comment"))


def edited(study: Study, edit: Edit) -> dict[str, Dataset]:
    images = deepcopy(study.images)
    for header in images.values():
        edit(header)
    return images


@pytest.mark.parametrize("style", STYLES)
def test_there_is_one_segmentation_per_series_with_a_lesion(studies: dict[str, Study], style: str) -> None:
    study = studies[style]
    findings = findings_of(study, "malignant")

    made = built(study, findings)[1:]

    assert {one.SOPClassUID for one in made} == {SegmentationStorage}
    referred = [one.ReferencedSeriesSequence[0].SeriesInstanceUID for one in made]
    assert referred == list(dict.fromkeys(lesion.series_instance_uid for lesion in findings.lesions))
    assert len({one.SeriesInstanceUID for one in made}) == len(made)  # viewers open one object of a series alone
    assert len({one.SeriesNumber for one in made}) == 1
    assert {one.FrameOfReferenceUID for one in made} == {FRAME_OF_REFERENCE}


@pytest.mark.parametrize("verdict", ["negative", "not_analysed"])
def test_without_a_lesion_there_is_none_and_the_report_does_not_miss_it(
    studies: dict[str, Study], verdict: str
) -> None:
    study = studies["classic"]

    sr, *made = built(study, findings_of(study, verdict))

    assert made == []
    assert "segmentation could not be made" not in comments(sr)


def test_the_pixels_of_a_segment_are_those_whose_centres_lie_in_the_box(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    findings = tracked(study)

    for made in built(study, findings)[1:]:
        read = Segmentation.from_dataset(made)
        for number, lesion in enumerate(lesions_of(findings, made), start=1):
            masks = read.get_pixels_by_source_instance(
                [image.sop_instance_uid for image in study.references(0) + study.references(1)],
                segment_numbers=[number],
                ignore_spatial_locations=True,
                assert_missing_frames_are_empty=True,
            )[..., 0]
            for image, mask in zip(study.references(0) + study.references(1), masks, strict=True):
                expected = centres_in(lesion.box) if image == lesion.image else np.zeros((ROWS, COLUMNS), bool)
                np.testing.assert_array_equal(mask.astype(bool), expected)


def test_the_segments_of_an_enhanced_image_lie_on_their_frames(studies: dict[str, Study]) -> None:
    study = studies["enhanced"]
    findings = tracked(study)

    for made in built(study, findings)[1:]:
        read = Segmentation.from_dataset(made)
        (source,) = made.ReferencedSeriesSequence[0].ReferencedInstanceSequence
        masks = read.get_pixels_by_source_frame(
            source.ReferencedSOPInstanceUID,
            [1, 2, 3, 4, 5],
            ignore_spatial_locations=True,
            assert_missing_frames_are_empty=True,
        )
        for number, lesion in enumerate(lesions_of(findings, made)):
            for frame in range(5):
                on_it = frame + 1 == lesion.image.frame_number
                expected = centres_in(lesion.box) if on_it else np.zeros((ROWS, COLUMNS), bool)
                np.testing.assert_array_equal(masks[frame, ..., number].astype(bool), expected)


@pytest.mark.parametrize("style", STYLES)
def test_frames_exist_only_where_a_box_lies_and_say_where_that_is(studies: dict[str, Study], style: str) -> None:
    study = studies[style]
    findings = tracked(study)

    for made in built(study, findings)[1:]:
        lesions = lesions_of(findings, made)
        frames = made.PerFrameFunctionalGroupsSequence
        series = next(one for one in study.series if one.series_instance_uid == lesions[0].series_instance_uid)
        assert made.NumberOfFrames == len(lesions)
        for lesion, frame in zip(lesions, frames, strict=True):
            (source,) = frame.DerivationImageSequence[0].SourceImageSequence
            assert source.ReferencedSOPInstanceUID == lesion.image.sop_instance_uid
            assert source.ReferencedSOPClassUID == lesion.image.sop_class_uid
            assert source.get("ReferencedFrameNumber") == lesion.image.frame_number
            at = [4.0 * series.images.index(lesion.image), 0, 0]
            assert list(frame.PlanePositionSequence[0].ImagePositionPatient) == at
        shared = made.SharedFunctionalGroupsSequence[0]
        measures = shared.PixelMeasuresSequence[0]
        assert list(shared.PlaneOrientationSequence[0].ImageOrientationPatient) == [0, 1, 0, 0, 0, -1]
        assert (list(measures.PixelSpacing), measures.SliceThickness, measures.SpacingBetweenSlices) == ([1, 1], 4, 4)


@pytest.mark.parametrize("style", STYLES)
def test_segments_are_the_lesions_of_the_report(studies: dict[str, Study], style: str) -> None:
    study = studies[style]

    sr, *made = built(study, findings_of(study, "malignant"))

    said = zip(items(sr, "Tracking Identifier"), items(sr, "Tracking Unique Identifier"), strict=True)
    segments = [segment for one in made for segment in one.SegmentSequence]
    assert [(one.TrackingID, one.TrackingUID) for one in segments] == [(name.TextValue, uid.UID) for name, uid in said]
    assert [one.SegmentLabel for one in segments] == [f"Lesion {number}, malignant" for number in range(1, 5)]


def test_a_segment_says_what_it_is_and_who_made_it(studies: dict[str, Study]) -> None:
    study = studies["classic"]

    sr, made, _ = built(study, findings_of(study, "malignant"))

    segment = made.SegmentSequence[0]
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "52988006"
    assert segment.AnatomicRegionSequence[0].CodeMeaning == "Spine"
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    assert segment.SegmentAlgorithmName == items(sr, "Algorithm Name")[0].TextValue
    assert algorithm.AlgorithmVersion == items(sr, "Algorithm Version")[0].TextValue
    assert "no outline" in segment.SegmentDescription
    assert "For research use only" in segment.SegmentDescription
    assert (made.SegmentationType, made.Modality, made.BodyPartExamined) == ("BINARY", "SEG", "SPINE")
    assert str(made.ContentCreatorName) == "SpineNode^"
    assert "Synthetic phantom" in made.ImageComments
    assert "Laterality" not in made


@pytest.mark.parametrize("palette", ["paper", "colour_blind_safe"])
@pytest.mark.parametrize("verdict", ["benign", "malignant"])
def test_a_segment_is_shown_in_the_colour_of_its_verdict(
    studies: dict[str, Study], palette: drawing.Palette, verdict: str
) -> None:
    study = studies["classic"]
    settings = ReportSettings(objects=("segmentations",), palette=palette)

    made = built(study, findings_of(study, verdict), settings=settings)[1]

    colour = drawing.verdict_colours(palette)[Verdict(verdict)]
    assert list(made.SegmentSequence[0].RecommendedDisplayCIELabValue) == list(CIELabColor.from_rgb(*colour).value)


@given(
    x=st.tuples(st.floats(0, 30), st.floats(0.01, 40)),
    y=st.tuples(st.floats(0, 20), st.floats(0.01, 30)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 60)),
)
def test_a_box_takes_every_pixel_centre_inside_it_and_never_none(
    x: tuple[float, float], y: tuple[float, float], size: tuple[int, int]
) -> None:
    box = Box(x0=x[0], y0=y[0], x1=x[0] + x[1], y1=y[0] + y[1])

    taken = pixels_of(box, size)

    for pixels, start, end, length in zip(taken, (box.y0, box.x0), (box.y1, box.x1), size, strict=True):
        inside = [i for i in range(length) if start <= i + 0.5 < end]
        nearest = min(length - 1, math.floor((start + end) / 2))
        assert list(range(pixels.start, pixels.stop)) == (inside or [nearest])


def test_boxes_side_by_side_share_no_pixel() -> None:
    left, right = Box(x0=2, y0=2, x1=5.5, y1=9), Box(x0=5.5, y0=2, x1=8, y1=9)

    columns = [pixels_of(box, (20, 20))[1] for box in (left, right)]

    assert columns[0].stop == columns[1].start


def test_overlapping_boxes_keep_all_their_pixels(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    findings = findings_of(study, "malignant")
    boxes = [Box(x0=x, y0=10, x1=x + 20, y1=40) for x in (5, 12, 19, 40)]
    lesions = tuple(replace(findings.lesions[0], box=box) for box in boxes)

    made = built(study, replace(findings, lesions=lesions))[1]

    assert made.SegmentsOverlap == "YES"
    assert made.NumberOfFrames == 4
    for box, frame in zip(boxes, made.pixel_array, strict=True):
        np.testing.assert_array_equal(frame.astype(bool), centres_in(box))
    positions = {
        tuple(one.PlanePositionSequence[0].ImagePositionPatient) for one in made.PerFrameFunctionalGroupsSequence
    }
    assert positions == {(4.0, 0.0, 0.0)}
    indices = [list(one.FrameContentSequence[0].DimensionIndexValues) for one in made.PerFrameFunctionalGroupsSequence]
    assert indices == [[1, 1], [2, 1], [3, 1], [4, 1]]


def test_boxes_that_do_not_overlap_say_so(studies: dict[str, Study]) -> None:
    study = studies["classic"]

    made = built(study, findings_of(study, "malignant"))[1]

    assert made.SegmentsOverlap == "NO"
    indices = [list(one.FrameContentSequence[0].DimensionIndexValues) for one in made.PerFrameFunctionalGroupsSequence]
    assert indices == [[1, 1], [2, 2], [3, 2]]


def test_a_repeated_slice_position_is_no_obstacle(studies: dict[str, Study]) -> None:
    """A stack may hold one position twice where no attribute tells the repeats apart."""
    study = studies["classic"]
    images = deepcopy(study.images)
    for image in study.references(0):
        images[image.sop_instance_uid].ImagePositionPatient = [0, 0, 0]

    made = built(study, findings_of(study, "malignant"), images)[1]

    assert made.NumberOfFrames == 3
    assert "SpacingBetweenSlices" not in made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]


def without_frame_of_reference(header: Dataset) -> None:
    del header.FrameOfReferenceUID


def without_position(header: Dataset) -> None:
    del header.ImagePositionPatient


def without_spacing(header: Dataset) -> None:
    del header.PixelSpacing


def another_frame_of_reference_per_image(header: Dataset) -> None:
    header.FrameOfReferenceUID = f"{header.SOPInstanceUID}.1"


def another_frame_of_reference_per_series(header: Dataset) -> None:
    header.FrameOfReferenceUID = f"{header.SeriesInstanceUID}.1"


def another_spacing_per_image(header: Dataset) -> None:
    header.PixelSpacing = [int(header.InstanceNumber), int(header.InstanceNumber)]


MISSING: dict[Edit, str] = {
    without_frame_of_reference: "name no Frame of Reference",
    without_position: "do not say where they lie",
    without_spacing: "do not say where they lie in the patient or how large a pixel is",
    another_frame_of_reference_per_image: "several Frames of Reference",
    another_spacing_per_image: "differ in size, pixel spacing or orientation",
}


@pytest.mark.parametrize("edit", MISSING, ids=lambda edit: edit.__name__)
def test_what_the_images_do_not_say_is_not_made_up_and_the_report_tells_why(
    studies: dict[str, Study], edit: Edit
) -> None:
    study = studies["classic"]

    sr, *made = built(study, findings_of(study, "malignant"), edited(study, edit))

    assert made == []
    assert re.search(rf"The segmentation could not be made\. .*{MISSING[edit]}", comments(sr))


def test_each_segmentation_lies_in_the_frame_of_reference_of_its_series(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    findings = findings_of(study, "malignant")

    made = built(study, findings, edited(study, another_frame_of_reference_per_series))[1:]

    series = list(dict.fromkeys(lesion.series_instance_uid for lesion in findings.lesions))
    assert [one.FrameOfReferenceUID for one in made] == [f"{uid}.1" for uid in series]


def test_an_image_takes_the_frame_of_reference_of_its_series(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    images = deepcopy(study.images)
    for image in study.references(0)[:3]:
        images[image.sop_instance_uid].FrameOfReferenceUID = ""

    made = built(study, findings_of(study, "malignant"), images)

    assert [one.FrameOfReferenceUID for one in made[1:]] == [FRAME_OF_REFERENCE] * 2


def test_a_missing_slice_thickness_is_the_distance_of_the_slices(studies: dict[str, Study]) -> None:
    study = studies["classic"]

    made = built(study, findings_of(study, "malignant"), headers_without(study.images, "SliceThickness"))[1]

    assert made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness == 4


def test_a_single_slice_without_thickness_has_none(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    findings = findings_of(study, "malignant")
    single = replace(study.series[1], images=study.references(1)[:1])
    alone = replace(findings, lesions=findings.lesions[3:], series_used=(study.series[0], single, study.series[2]))

    sr, *made = built(study, alone, headers_without(study.images, "SliceThickness"))

    assert made == []
    assert "tell no slice thickness" in comments(sr)


def test_images_of_another_study_are_named_with_their_study(studies: dict[str, Study], tmp_path: Path) -> None:
    study = studies["classic"]
    other = classic_study(tmp_path, kinds=[SequenceKind.T2], study=f"{ROOT}.5")
    findings = findings_of(study, "malignant")
    elsewhere = replace(
        findings.lesions[3], image=other.references(0)[2], series_instance_uid=other.series[0].series_instance_uid
    )
    both = replace(findings, lesions=(*findings.lesions[:3], elsewhere), series_used=(*study.series, other.series[0]))
    whole = Study(images=study.images | other.images, files=study.files | other.files)

    _, own, foreign = built(whole, both)

    assert own.ReferencedSeriesSequence[0].SeriesInstanceUID == study.series[0].series_instance_uid
    assert "ReferencedSeriesSequence" not in foreign
    (item,) = foreign.StudiesContainingOtherReferencedInstancesSequence
    assert item.StudyInstanceUID == f"{ROOT}.5"
    assert foreign.StudyInstanceUID == own.StudyInstanceUID != f"{ROOT}.5"


def test_lossy_compression_of_the_source_is_not_forgotten(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    images = deepcopy(study.images)
    lossy = images[study.references(0)[2].sop_instance_uid]
    lossy.LossyImageCompression, lossy.LossyImageCompressionRatio = "01", "7.5"

    first, second = built(study, findings_of(study, "malignant"), images)[1:]

    assert (first.LossyImageCompression, first.LossyImageCompressionRatio) == ("01", 7.5)
    assert second.LossyImageCompression == "00"


@pytest.mark.parametrize("style", STYLES)
def test_the_same_inputs_give_the_same_bytes(studies: dict[str, Study], style: str) -> None:
    def written_bytes() -> list[bytes]:
        written = []
        for made in built(studies[style], findings_of(studies[style], "malignant"))[1:]:
            buffer = BytesIO()
            made.save_as(buffer, enforce_file_format=True)
            written.append(buffer.getvalue())
        return written

    assert written_bytes() == written_bytes()


def saved(datasets: Sequence[Dataset], folder: Path) -> list[Path]:
    paths = []
    for number, dataset in enumerate(datasets):
        paths.append(folder / f"{number}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


@pytest.mark.skipif(not dciodvfy.installed(), reason="dicom3tools is not installed (dciodvfy)")
@pytest.mark.parametrize("verdict", ["benign", "malignant"])
@pytest.mark.parametrize("style", STYLES)
def test_dciodvfy_finds_no_error(studies: dict[str, Study], tmp_path: Path, style: str, verdict: str) -> None:
    for path in saved(built(studies[style], findings_of(studies[style], verdict))[1:], tmp_path):
        assert dciodvfy.errors_of(path) == []


@pytest.mark.skipif(not READER.is_file(), reason="dcmqi is not installed (segimage2itkimage)")
@pytest.mark.parametrize("style", STYLES)
def test_dcmqi_reads_each_segment_where_its_box_is(studies: dict[str, Study], tmp_path: Path, style: str) -> None:
    study = studies[style]
    findings = tracked(study)
    for path, made in zip(saved(built(study, findings)[1:], tmp_path), built(study, findings)[1:], strict=True):
        out = tmp_path / path.stem
        out.mkdir()

        command = [READER, "--inputDICOM", path, "--outputDirectory", out, "--prefix", "s", "--outputType", "nrrd"]
        subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=60)

        told = [
            group for groups in json.loads((out / "s-meta.json").read_text())["segmentAttributes"] for group in groups
        ]
        assert [one["TrackingUniqueIdentifier"] for one in told] == [one.TrackingUID for one in made.SegmentSequence]
        for number, lesion in enumerate(lesions_of(findings, made), start=1):
            volume, origin, directions = nrrd(out / f"s-{number}.nrrd")
            z, rows, columns = np.nonzero(volume)
            slice_number = (4.0 * index_of(lesion, study) - origin[0]) / directions[2][0]
            assert set(z) == {slice_number}
            expected = np.nonzero(centres_in(lesion.box))
            np.testing.assert_array_equal((rows, columns), expected)


def index_of(lesion: Lesion, study: Study) -> int:
    return next(series.images.index(lesion.image) for series in study.series if lesion.image in series.images)


def nrrd(path: Path) -> tuple[NDArray[np.int16], list[float], list[list[float]]]:
    """(slices, rows, columns), the origin and the direction of each axis, fastest first (LPS mm)."""
    head, _, packed = path.read_bytes().partition(b"\n\n")
    fields = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
    sizes = [int(size) for size in fields["sizes"].split()]
    vectors = [
        [float(part) for part in vector.split(",")]
        for vector in re.findall(r"\(([^)]*)\)", f"{fields['space origin']} {fields['space directions']}")
    ]
    volume = np.frombuffer(gzip.decompress(packed), dtype="<i2").reshape(sizes[::-1])
    return volume, vectors[0], vectors[1:]
