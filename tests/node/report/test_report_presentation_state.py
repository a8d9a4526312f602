"""Presentation states: every box of the findings on its own image, words that cover none, and nothing without a box."""

import random
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from highdicom.color import CIELabColor
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from config.settings import ReportSettings
from inference.findings import Box, Findings, Lesion, SequenceKind, Verdict
from inference.heads import parse_head
from inference.selection import select_series
from node.report import MANUFACTURER, ReportObject, build_report, wording
from node.report.pictures import drawing
from tests import dciodvfy
from tests.node.report.conftest import STYLES
from tests.node.report.report_sources import (
    COLUMNS,
    ROOT,
    ROWS,
    Study,
    classic_study,
    context_of,
    findings_of,
    headers_without,
    used_series,
)
from tests.node.report.test_report_structured import items, texts

WITH_LESIONS = ("benign", "malignant", "tie")
ALONE = ReportSettings(objects=("presentation_states",))
Rectangle = tuple[float, float, float, float]

needs_dicom3tools = pytest.mark.skipif(not dciodvfy.installed(), reason="dicom3tools is not installed (dciodvfy)")
needs_dcmtk = pytest.mark.skipif(shutil.which("dcmpschk") is None, reason="DCMTK is not installed (dcmpschk)")


def report(study: Study, findings: Findings, settings: ReportSettings = ALONE, **context: object) -> list[ReportObject]:
    return build_report(findings, study.images, context_of(study, settings=settings, **context))


def states(study: Study, findings: Findings, settings: ReportSettings = ALONE, **context: object) -> list[Dataset]:
    made = report(study, findings, settings, **context)
    return [one.dataset for one in made if one.kind == "presentation_state"]


def place(annotation: Dataset) -> tuple[str, int | None]:
    (image,) = annotation.ReferencedImageSequence
    return str(image.ReferencedSOPInstanceUID), image.get("ReferencedFrameNumber")


def graphics(state: Dataset) -> Iterator[tuple[Dataset, Dataset]]:
    for annotation in state.GraphicAnnotationSequence:
        for graphic in annotation.get("GraphicObjectSequence", ()):
            yield annotation, graphic


def words(state: Dataset) -> Iterator[tuple[Dataset, Dataset]]:
    for annotation in state.GraphicAnnotationSequence:
        for text in annotation.get("TextObjectSequence", ()):
            yield annotation, text


def drawn_box(graphic: Dataset) -> Rectangle:
    x0, y0, x1, y1, x2, y2, x3, y3, x4, y4 = graphic.GraphicData
    assert (x1, y1, x3, y3, x4, y4) == (x2, y0, x0, y2, x0, y0)
    return x0, y0, x2, y2


def plate(text: Dataset) -> Rectangle:
    return (*text.BoundingBoxTopLeftHandCorner, *text.BoundingBoxBottomRightHandCorner)


def box_of(lesion: Lesion) -> Rectangle:
    return lesion.box.x0, lesion.box.y0, lesion.box.x1, lesion.box.y1


def with_boxes(findings: Findings, *boxes: Box) -> Findings:
    """The findings with these boxes alone, all on the image of the first lesion."""
    first = findings.lesions[0]
    return replace(findings, lesions=tuple(replace(first, box=box) for box in boxes))


def written(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def replace_images(study: Study, images: dict[str, Dataset]) -> Study:
    return Study(images=images, files=study.files, series=study.series)


def two_studies(folder: Path) -> Study:
    """Three series in one study and one in another."""
    study = classic_study(folder)
    other = classic_study(folder, study=f"{ROOT}.5", kinds=[SequenceKind.T1])
    return Study(
        images=study.images | other.images, files=study.files | other.files, series=[*study.series, *other.series]
    )


def real_study(shared_data: Path) -> Study:
    """The sagittal series of a real lumbar spine."""
    study = Study()
    for path in sorted((shared_data / "spine-hitachi-airis-vento-lumbar").glob("*_sag/*")):
        dataset = dcmread(path, stop_before_pixels=True)
        study.images[str(dataset.SOPInstanceUID)] = dataset
        study.files[str(dataset.SOPInstanceUID)] = path
    heads = [parse_head(dataset, study.files[uid]) for uid, dataset in study.images.items()]
    study.series = [
        used_series(one.series_instance_uid, one.study_instance_uid, one.kind, tuple(s.image for s in one.slices))
        for one in select_series(heads).eligible
    ]
    return study


def moved_to(study: Study, lesion: Lesion, series: int) -> Lesion:
    used = study.series[series]
    return replace(lesion, image=used.images[1], series_instance_uid=used.series_instance_uid)


@pytest.mark.parametrize("verdict", WITH_LESIONS)
@pytest.mark.parametrize("style", STYLES)
def test_there_is_one_state_per_series_with_a_finding_about_all_of_its_images(
    studies: dict[str, Study], style: str, verdict: str
) -> None:
    study = studies[style]

    made = states(study, findings_of(study, verdict))

    assert [one.InstanceNumber for one in made] == [1, 2]
    for one, series in zip(made, study.series[:2], strict=True):
        (about,) = one.ReferencedSeriesSequence
        assert about.SeriesInstanceUID == series.series_instance_uid
        referenced = [(i.ReferencedSOPClassUID, i.ReferencedSOPInstanceUID) for i in about.ReferencedImageSequence]
        assert referenced == list(dict.fromkeys((i.sop_class_uid, i.sop_instance_uid) for i in series.images))


def test_each_multi_frame_instance_of_a_series_has_its_own_state(studies: dict[str, Study]) -> None:
    study = studies["enhanced"]
    first, second = study.series[:2]
    joined = replace(first, images=first.images + second.images)
    images = deepcopy(study.images)
    images[second.images[0].sop_instance_uid].SeriesInstanceUID = first.series_instance_uid
    findings = findings_of(study, "malignant")
    lesions = tuple(replace(one, series_instance_uid=first.series_instance_uid) for one in findings.lesions)
    one_series = replace(findings, series_used=(joined,), lesions=lesions, sequences=findings.sequences[:1])

    made = states(replace_images(study, images), one_series)

    about = [one.ReferencedSeriesSequence[0].ReferencedImageSequence for one in made]
    assert [[image.ReferencedSOPInstanceUID for image in one] for one in about] == [
        [first.images[0].sop_instance_uid],
        [second.images[0].sop_instance_uid],
    ]


@pytest.mark.parametrize("verdict", WITH_LESIONS)
@pytest.mark.parametrize("style", STYLES)
def test_the_boxes_are_those_of_the_findings_each_on_its_own_image_and_frame(
    studies: dict[str, Study], style: str, verdict: str
) -> None:
    findings = findings_of(studies[style], verdict)

    made = states(studies[style], findings)

    drawn = [(*place(annotation), drawn_box(graphic)) for one in made for annotation, graphic in graphics(one)]
    assert drawn == [(one.image.sop_instance_uid, one.image.frame_number, box_of(one)) for one in findings.lesions]
    for one in made:
        for _, graphic in graphics(one):
            assert (graphic.GraphicType, graphic.NumberOfGraphicPoints) == ("POLYLINE", 5)
            assert (graphic.GraphicAnnotationUnits, graphic.GraphicFilled) == ("PIXEL", "N")


def test_a_box_is_tracked_by_the_identifiers_of_the_structured_report(studies: dict[str, Study]) -> None:
    sr, *made = [one.dataset for one in report(studies["classic"], findings_of(studies["classic"], "malignant"))]

    tracked = [(graphic.TrackingID, graphic.TrackingUID) for one in made for _, graphic in graphics(one)]
    names = [item.TextValue for item in items(sr, "Tracking Identifier")]
    assert tracked == list(zip(names, [item.UID for item in items(sr, "Tracking Unique Identifier")], strict=True))


def test_a_box_that_touches_the_edge_within_rounding_stays_inside_the_image(studies: dict[str, Study]) -> None:
    findings = with_boxes(findings_of(studies["classic"], "malignant"), Box(x0=-1e-4, y0=20, x1=64.0001, y1=96.0001))

    (made,) = states(studies["classic"], findings)

    ((_, graphic),) = graphics(made)
    assert drawn_box(graphic) == (0, 20, COLUMNS, ROWS)


@pytest.mark.parametrize("palette", ["paper", "colour_blind_safe"])
def test_each_verdict_has_a_layer_in_its_colour_of_the_palette(studies: dict[str, Study], palette: str) -> None:
    settings = ReportSettings.model_validate({"objects": ["presentation_states"], "palette": palette})
    findings = findings_of(studies["classic"], "malignant")
    benign, *others = findings.lesions
    mixed = replace(findings, lesions=(replace(benign, verdict=Verdict.BENIGN), *others))

    made = states(studies["classic"], mixed, settings)[0]

    layers = {layer.GraphicLayer: layer for layer in made.GraphicLayerSequence}
    colours = drawing.verdict_colours(settings.palette)
    for verdict in Verdict:
        recommended = layers[verdict.value.upper()].GraphicLayerRecommendedDisplayCIELabValue
        assert CIELabColor.from_dicom_value(list(recommended)).to_rgb(clip=True) == colours[verdict]
    assert [annotation.GraphicLayer for annotation, _ in graphics(made)] == ["BENIGN", "MALIGNANT", "MALIGNANT"]
    assert [annotation.GraphicLayer for annotation, text in words(made) if "TrackingUID" in text] == [
        "BENIGN",
        "MALIGNANT",
        "MALIGNANT",
    ]
    assert sorted(layer.GraphicLayerOrder for layer in layers.values()) == [1, 2, 3]


def test_a_verdict_that_does_not_occur_has_no_layer(studies: dict[str, Study]) -> None:
    made = states(studies["classic"], findings_of(studies["classic"], "benign"))

    assert [[layer.GraphicLayer for layer in one.GraphicLayerSequence] for one in made] == [
        ["RESEARCH USE", "BENIGN"],
        ["RESEARCH USE", "BENIGN"],
    ]


def assert_words_are_readable(state: Dataset) -> None:
    """Inside the image, off every box of their image, and off each other."""
    boxes = [(place(annotation), drawn_box(graphic)) for annotation, graphic in graphics(state)]
    plates = [(place(annotation), plate(text)) for annotation, text in words(state)]
    for number, (where, one) in enumerate(plates):
        assert one[0] >= 0
        assert one[1] >= 0
        assert one[2] <= COLUMNS
        assert one[3] <= ROWS
        covered = [
            other for there, other in [*boxes, *plates[:number]] if there == where and drawing.overlap(one, other)
        ]
        assert covered == []


@pytest.mark.parametrize("verdict", WITH_LESIONS)
@pytest.mark.parametrize("style", STYLES)
def test_each_box_has_its_label_and_no_words_cover_a_box(studies: dict[str, Study], style: str, verdict: str) -> None:
    findings = findings_of(studies[style], verdict)

    made = states(studies[style], findings)

    labels = [(place(a), text.UnformattedTextValue) for one in made for a, text in words(one) if "TrackingUID" in text]
    assert labels == [
        ((one.image.sop_instance_uid, one.image.frame_number), wording.lesion_label(one)) for one in findings.lesions
    ]
    for one in made:
        assert_words_are_readable(one)


@pytest.mark.parametrize("seed", range(12))
def test_words_cover_no_box_wherever_the_boxes_lie(studies: dict[str, Study], seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - no secret
    boxes = []
    for _ in range(draw.randint(1, 7)):
        x0, y0 = draw.uniform(0, COLUMNS - 6), draw.uniform(0, ROWS - 6)
        boxes.append(Box(x0=x0, y0=y0, x1=draw.uniform(x0 + 4, COLUMNS), y1=draw.uniform(y0 + 4, ROWS)))

    (made,) = states(studies["classic"], with_boxes(findings_of(studies["classic"], "malignant"), *boxes))

    assert len(list(graphics(made))) == len(boxes)
    assert_words_are_readable(made)


def test_a_label_without_room_beside_its_box_stands_apart_with_a_line_to_it(studies: dict[str, Study]) -> None:
    enclosed = Box(x0=30, y0=44, x1=34, y1=48)
    around = [
        Box(x0=2, y0=30, x1=62, y1=43),
        Box(x0=2, y0=49, x1=62, y1=62),
        Box(x0=2, y0=43, x1=29, y1=49),
        Box(x0=35, y0=43, x1=62, y1=49),
    ]
    findings = with_boxes(findings_of(studies["classic"], "malignant"), enclosed, *around)

    (made,) = states(studies["classic"], findings)

    (label,) = [text for _, text in words(made) if text.get("TrackingID") == "SpineNode lesion 1"]
    x, y = label.AnchorPoint
    assert enclosed.x0 <= x <= enclosed.x1
    assert enclosed.y0 <= y <= enclosed.y1
    assert (label.AnchorPointVisibility, label.AnchorPointAnnotationUnits) == ("Y", "PIXEL")
    assert_words_are_readable(made)


def test_in_a_full_image_the_box_stands_without_words_and_the_object_still_says_what_it_is(
    studies: dict[str, Study],
) -> None:
    findings = with_boxes(findings_of(studies["classic"], "malignant"), Box(x0=0, y0=0, x1=COLUMNS, y1=ROWS))

    (made,) = states(studies["classic"], findings)

    assert list(words(made)) == []
    assert "research use only" in made.ContentDescription
    assert "no clinical meaning" in made.ContentDescription


@pytest.mark.parametrize("phantom", [True, False])
def test_each_image_with_a_box_says_for_what_the_boxes_are(studies: dict[str, Study], phantom: bool) -> None:
    findings = findings_of(studies["classic"], "malignant")
    findings = replace(findings, bundle=replace(findings.bundle, phantom_trained=phantom))

    made = states(studies["classic"], findings)

    said = {place(a): t.UnformattedTextValue for one in made for a, t in words(one) if a.GraphicLayer == "RESEARCH USE"}
    assert list(said) == list(dict.fromkeys((one.image.sop_instance_uid, None) for one in findings.lesions))
    for text in said.values():
        assert wording.RESEARCH_USE_SHORT in text
        assert (wording.PHANTOM_SHORT in text) is phantom
    assert all(("no clinical meaning" in one.ContentDescription) is phantom for one in made)


@pytest.mark.parametrize("verdict", ["negative", "not_analysed"])
@pytest.mark.parametrize("style", STYLES)
def test_without_a_lesion_there_is_none(studies: dict[str, Study], style: str, verdict: str) -> None:
    made = report(studies[style], findings_of(studies[style], verdict))

    assert [one.kind for one in made] == ["sr"]
    assert "could not be made" not in texts(made[0].dataset)


@pytest.mark.parametrize("style", STYLES)
def test_patient_study_series_and_equipment_are_those_of_every_object(studies: dict[str, Study], style: str) -> None:
    study = studies[style]
    source = study.images[min(study.images)]

    made = states(study, findings_of(study, "malignant"))

    assert len({one.SeriesInstanceUID for one in made}) == 1
    for one in made:
        assert one.SOPClassUID == GrayscaleSoftcopyPresentationStateStorage
        assert (one.Modality, one.SeriesDescription) == ("PR", "SpineNode WFF boxes - malignant")
        assert (one.SeriesNumber, one.ProtocolName, one.Manufacturer) == (9003, "SPINENODE MALIGNANT", MANUFACTURER)
        assert len(one.ContributingEquipmentSequence) == 4
        assert (one.PresentationCreationDate, one.PresentationCreationTime) == ("20260304", "101112")
        assert "Laterality" not in one
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "AccessionNumber"):
            assert one[keyword].value == source[keyword].value
    assert [one.ContentLabel for one in made] == ["AI BOXES T1", "AI BOXES T2"]


@pytest.mark.parametrize("style", STYLES)
def test_the_same_inputs_give_the_same_bytes(studies: dict[str, Study], style: str) -> None:
    findings = findings_of(studies[style], "malignant")

    first, again = states(studies[style], findings), states(studies[style], findings)

    assert [written(one) for one in first] == [written(one) for one in again]


@pytest.mark.parametrize(("spacing", "ratio"), [([2.0, 1.0], [2, 1]), ([0.7, 0.7], [1, 1]), ([0.5, 0.8], [5, 8])])
def test_the_whole_image_is_displayed_in_its_true_shape(tmp_path: Path, spacing: list[float], ratio: list[int]) -> None:
    study = classic_study(tmp_path, kinds=list(SequenceKind)[:2], PixelSpacing=spacing)

    made = states(study, findings_of(study, "malignant"))

    for one in made:
        (area,) = one.DisplayedAreaSelectionSequence
        assert area.PresentationPixelAspectRatio == ratio  # height by width, PS3.3 C.10.4
        assert area.DisplayedAreaTopLeftHandCorner == [1, 1]
        assert area.DisplayedAreaBottomRightHandCorner == [COLUMNS, ROWS]
        assert area.PresentationSizeMode == "SCALE TO FIT"
        assert_words_are_readable(one)


def test_a_series_of_another_study_is_left_out_and_the_structured_report_says_so(tmp_path: Path) -> None:
    study = two_studies(tmp_path)
    findings = findings_of(study, "malignant")
    one, *others = findings.lesions
    spread = replace(findings, lesions=(*others, moved_to(study, one, 3)))

    sr, *made = (one.dataset for one in report(study, spread))

    series = [state.ReferencedSeriesSequence[0].SeriesInstanceUID for state in made]
    assert series == [one.series_instance_uid for one in study.series[:2]]
    assert "1 presentation state could not be made: the images are in another study than the report." in texts(sr)


def test_findings_in_another_study_alone_give_none_and_the_structured_report_says_why(tmp_path: Path) -> None:
    study = two_studies(tmp_path)
    findings = findings_of(study, "malignant")
    elsewhere = replace(findings, lesions=(moved_to(study, findings.lesions[0], 3),))

    made = report(study, elsewhere)

    assert [one.kind for one in made] == ["sr"]
    assert "The presentation state could not be made. All images with a finding are in another study" in texts(
        made[0].dataset
    )


@pytest.mark.parametrize(
    "keyword",
    ["PatientID", "PatientName", "PatientSex", "StudyID", "StudyTime", "AccessionNumber", "WindowCenter", "Modality"],
)
def test_what_the_source_lacks_does_not_stop_it(studies: dict[str, Study], keyword: str) -> None:
    study = replace_images(studies["classic"], headers_without(studies["classic"].images, keyword))

    assert len(states(study, findings_of(study, "malignant"))) == 2


@pytest.mark.parametrize("style", STYLES)
def test_pixels_that_cannot_be_read_do_not_stop_it(studies: dict[str, Study], tmp_path: Path, style: str) -> None:
    study = studies[style]
    cut = {}
    for uid, path in study.files.items():
        cut[uid] = tmp_path / f"{uid}.dcm"
        frames = study.images[uid].get("NumberOfFrames", 1)
        cut[uid].write_bytes(path.read_bytes()[: -(2 * ROWS * COLUMNS * frames - 100)])
    findings = findings_of(study, "malignant")

    made = states(study, findings, files=cut)

    assert [drawn_box(graphic) for one in made for _, graphic in graphics(one)] == [box_of(x) for x in findings.lesions]
    assert all("SoftcopyVOILUTSequence" not in one for one in made)


def test_a_japanese_name_survives(tmp_path: Path) -> None:
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    study = classic_study(
        tmp_path, kinds=list(SequenceKind)[:2], SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName=name
    )
    study.images = {uid: dcmread(path, stop_before_pixels=True) for uid, path in study.files.items()}

    for one in states(study, findings_of(study, "malignant")):
        read = dcmread(BytesIO(written(one)))
        assert (read.SpecificCharacterSet, str(read.PatientName)) == ("ISO_IR 192", name)


def save(made: list[Dataset], folder: Path) -> list[Path]:
    paths = [folder / f"{number}.dcm" for number in range(len(made))]
    for one, path in zip(made, paths, strict=True):
        path.write_bytes(written(one))
    return paths


@needs_dicom3tools
@pytest.mark.parametrize("verdict", WITH_LESIONS)
@pytest.mark.parametrize("style", STYLES)
def test_dciodvfy_finds_no_error(studies: dict[str, Study], tmp_path: Path, style: str, verdict: str) -> None:
    for path in save(states(studies[style], findings_of(studies[style], verdict)), tmp_path):
        assert dciodvfy.errors_of(path) == []


@needs_dcmtk
@pytest.mark.parametrize("verdict", WITH_LESIONS)
@pytest.mark.parametrize("style", STYLES)
def test_dcmpschk_finds_it_sound(studies: dict[str, Study], tmp_path: Path, style: str, verdict: str) -> None:
    for path in save(states(studies[style], findings_of(studies[style], verdict)), tmp_path):
        run = subprocess.run(["dcmpschk", "-v", str(path)], capture_output=True, text=True, timeout=60)

        assert run.stderr.rstrip().endswith("Test passed.")
        assert "E: " not in run.stderr


@needs_dicom3tools
def test_states_of_a_real_study_have_no_error(shared_data: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the study has over-long values
        study = real_study(shared_data)
        made = states(study, findings_of(study, "malignant"))

    assert len(made) == 2
    for path in save(made, tmp_path):
        assert dciodvfy.errors_of(path) == []
