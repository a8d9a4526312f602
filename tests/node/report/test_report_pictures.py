"""What stands in the pixels: the right slice, the right place, the right words, and nothing about the patient."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import combinations
from math import ceil, floor
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from inference.findings import Box, ImageReference, Lesion, Reason, SequenceKind, Verdict
from inference.heads import read_head
from inference.selection import EligibleSeries
from inference.stacks import stack_images
from inference.volume import load_volume, window_to_uint8
from node.report import ReportObject, build_report, wording
from node.report.captures.secondary_capture import patient_orientation
from node.report.pictures import drawing
from node.report.pictures.overlay import OverlaySubject, draw_boxes, draw_lesions, draw_overlay, text_and_line_px
from node.report.pictures.sequence_card import draw_cards, sequence_cards
from node.report.pictures.slice_picture import SHORTER_SIDE_PX, SlicePicture, square_pixels
from node.report.pictures.summary import WIDTH, key_slices
from node.report.typeface import writable
from tests.node.report.report_sources import (
    BUNDLE,
    COLUMNS,
    ROWS,
    Study,
    classic_study,
    context_of,
    findings_of,
    slice_pixels,
    used_series,
)

BuiltReport = Callable[[str, str], list[ReportObject]]

GRAY = 90  # no colour of the drawing
BENIGN, MALIGNANT = (drawing.verdict_colours("paper")[verdict] for verdict in (Verdict.BENIGN, Verdict.MALIGNANT))


def overlays(objects: Sequence[ReportObject]) -> list[Dataset]:
    return [made.dataset for made in objects if made.kind == "overlay"]


def rows_and_columns_of(pixels: np.ndarray, colour: drawing.Colour) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.nonzero((pixels == colour).all(axis=-1))
    return rows, columns


def lesion(box: Box, verdict: Verdict = Verdict.MALIGNANT) -> Lesion:
    image = ImageReference(sop_class_uid="1", sop_instance_uid="2")
    return Lesion(image=image, series_instance_uid="3", box=box, verdict=verdict, score=0.5, probability_malignant=0.5)


def test_there_is_one_overlay_per_image_with_a_finding(studies: dict[str, Study], report: BuiltReport) -> None:
    lesions = findings_of(studies["classic"], "malignant").lesions

    made = overlays(report("classic", "malignant"))

    shown = [one.SourceImageSequence[0].ReferencedSOPInstanceUID for one in made]
    assert shown == list(dict.fromkeys(lesion.image.sop_instance_uid for lesion in lesions))
    assert [one.InstanceNumber for one in made] == [1, 2, 3]


def test_an_overlay_of_an_enhanced_image_names_its_frame(report: BuiltReport) -> None:
    frames = [one.SourceImageSequence[0].ReferencedFrameNumber for one in overlays(report("enhanced", "malignant"))]

    assert frames == [2, 3, 1]


@pytest.mark.parametrize("kind", ["overlay", "summary"])
def test_a_picture_is_a_plain_rgb_secondary_capture_without_patient_in_it(report: BuiltReport, kind: str) -> None:
    made = next(one.dataset for one in report("classic", "malignant") if one.kind == kind)

    assert made.SOPClassUID == SecondaryCaptureImageStorage
    assert (made.PhotometricInterpretation, made.SamplesPerPixel, made.BitsStored) == ("RGB", 3, 8)
    assert (made.BurnedInAnnotation, made.ConversionType, made.BodyPartExamined) == ("NO", "WSD", "SPINE")
    assert "Laterality" not in made
    assert "NumberOfFrames" not in made
    assert made.pixel_array.shape == (made.Rows, made.Columns, 3)


def test_the_patient_orientation_is_that_of_the_slice(report: BuiltReport) -> None:
    assert overlays(report("classic", "malignant"))[0].PatientOrientation == ["P", "F"]
    assert overlays(report("enhanced", "malignant"))[0].PatientOrientation == ["P", "F"]
    assert report("classic", "malignant")[-1].dataset["PatientOrientation"].is_empty


@pytest.mark.parametrize(
    ("orientation", "letters"),
    [
        ((1, 0, 0, 0, 1, 0), ["L", "P"]),
        ((0, -1, 0, 0, 0, 1), ["A", "H"]),
        ((0.1, 0.99, 0, 0, 0, -1), ["P", "F"]),
        ((0, 0.72, -0.69, -1, 0, 0), ["PF", "R"]),
        (None, []),
    ],
)
def test_directions_are_named_by_their_strongest_letters(
    orientation: tuple[float, ...] | None, letters: list[str]
) -> None:
    assert patient_orientation(orientation) == letters


def test_the_box_frames_the_finding(report: BuiltReport) -> None:
    pixels = overlays(report("classic", "malignant"))[0].pixel_array
    enlarged, line = SHORTER_SIDE_PX / 64, 3
    beside_the_label = pixels[round(10 * enlarged) : round(96 * enlarged)]

    rows, columns = rows_and_columns_of(beside_the_label, MALIGNANT)

    assert columns.min() == round(10 * enlarged) - line
    assert columns.max() + 1 == round(22.5 * enlarged) + line
    assert rows.max() + 1 == round(21.25 * enlarged) + line - round(10 * enlarged)


@pytest.mark.parametrize(
    ("verdict", "colour", "other"),
    [("benign", BENIGN, MALIGNANT), ("malignant", MALIGNANT, BENIGN)],
)
def test_benign_is_green_and_malignant_is_red_whatever_the_detectors_own_class(
    report: BuiltReport, verdict: str, colour: drawing.Colour, other: drawing.Colour
) -> None:
    second = overlays(report("classic", verdict))[1].pixel_array  # one box of each detector class

    assert len(rows_and_columns_of(second, colour)[0]) > 1000
    assert len(rows_and_columns_of(second, other)[0]) == 0


def test_each_box_and_its_label_have_the_colour_of_its_own_class() -> None:
    picture = SlicePicture(Image.new("L", (768, 768)), (1.0, 1.0), (0, 1, 0, 0, 0, -1))
    image = picture.image.convert("RGB")
    boxes = [Box(x0=100, y0=100, x1=300, y1=200), Box(x0=100, y0=500, x1=300, y1=600)]

    draw_lesions(
        image,
        [lesion(boxes[0], Verdict.BENIGN), lesion(boxes[1], Verdict.MALIGNANT)],
        picture,
        size=22,
        line=3,
        palette="paper",
    )

    pixels = np.asarray(image)
    for part, own, other in (
        (pixels[:384], BENIGN, MALIGNANT),
        (pixels[384:], MALIGNANT, BENIGN),
    ):
        assert len(rows_and_columns_of(part, own)[0]) > 1000
        assert len(rows_and_columns_of(part, other)[0]) == 0


def test_a_label_names_the_detectors_class_where_it_is_another() -> None:
    found = lesion(Box(x0=0, y0=0, x1=1, y1=1), Verdict.MALIGNANT)

    assert wording.lesion_label(replace(found, detector_verdict=Verdict.MALIGNANT)) == "MALIGNANT  score 0.50"
    assert wording.lesion_label(replace(found, detector_verdict=None)) == "MALIGNANT  score 0.50"
    said = wording.lesion_label(replace(found, detector_verdict=Verdict.BENIGN))
    assert said == "MALIGNANT (detector: benign)  score 0.50"


def gray_of(overlay: Dataset, row: int, column: int) -> int:
    """Gray value of the picture in the middle of a pixel of the source."""
    enlarged = SHORTER_SIDE_PX / COLUMNS
    return int(overlay.pixel_array[round((row + 0.5) * enlarged), round((column + 0.5) * enlarged), 0])


def test_an_overlay_shows_the_window_of_the_series(report: BuiltReport) -> None:
    """Centre 500, width 1000: 0.5 is black and 1000.5 white."""
    first = overlays(report("classic", "malignant"))[0]
    stored = slice_pixels(1)[60, 60]

    assert gray_of(first, 60, 60) == pytest.approx(255 * (stored - 0.5) / 1000, abs=2)


def test_an_overlay_has_the_gray_values_that_the_networks_saw(tmp_path: Path) -> None:
    """Without a window the limits are those of the whole series, the slices without a finding included."""
    study = classic_study(tmp_path, kinds=list(SequenceKind)[:2], WindowCenter=None, WindowWidth=None)
    without_finding = study.files[study.references(0)[4].sop_instance_uid]
    brighter = dcmread(without_finding)
    brighter.PixelData = (slice_pixels(4) + 2000).astype(np.uint16).tobytes()
    brighter.save_as(without_finding)
    files = [study.files[image.sop_instance_uid] for image in study.references(0)]
    images, _ = stack_images([read_head(file) for file in files])
    series = EligibleSeries(
        series_instance_uid="1.2",
        study_instance_uid="1.3",
        kind=SequenceKind.T1,
        kind_evidence="",
        slices=tuple(image.slice for image in images),
    )

    first = overlays(build_report(findings_of(study, "malignant"), study.images, context_of(study)))[0]

    seen = window_to_uint8(load_volume(series))[1]
    assert gray_of(first, 60, 60) == pytest.approx(int(seen[60, 60]), abs=2)


def test_monochrome1_is_shown_inverted(tmp_path: Path) -> None:
    study = classic_study(tmp_path, kinds=list(SequenceKind)[:2], PhotometricInterpretation="MONOCHROME1")

    pixels = overlays(build_report(findings_of(study, "malignant"), study.images, context_of(study)))[0].pixel_array

    enlarged = SHORTER_SIDE_PX / 64
    middle_of_the_block = pixels[round(15 * enlarged), round(16 * enlarged)]
    assert list(middle_of_the_block) == [0, 0, 0]


def test_a_series_without_window_is_shown_with_full_contrast(tmp_path: Path) -> None:
    study = classic_study(tmp_path, kinds=list(SequenceKind)[:2], WindowCenter=None, WindowWidth=None)

    pixels = overlays(build_report(findings_of(study, "malignant"), study.images, context_of(study)))[0].pixel_array

    gray = pixels[: 18 * 64][..., 0]
    assert gray.min() == 0
    assert gray.max() == 255


@pytest.mark.parametrize(
    ("size", "spacing_mm", "expected"),
    [
        ((64, 96), (1.0, 1.0), (768, 1152)),
        ((64, 64), (2.0, 1.0), (768, 1536)),  # rows twice as far apart: twice as high
        ((64, 64), (1.0, 2.0), (1536, 768)),
        ((1024, 1024), (0.3, 0.3), (1024, 1024)),  # never made smaller
        ((64, 64), (10.0, 1.0), (768, 768)),  # nonsense spacing
        ((20, 400), (1.0, 1.0), (115, 2304)),
    ],
)
def test_pixels_are_made_square_and_large(
    size: tuple[int, int], spacing_mm: tuple[float, float], expected: tuple[int, int]
) -> None:
    picture, scale = square_pixels(Image.new("L", size), spacing_mm)

    assert picture.size == expected
    assert scale == (expected[0] / size[0], expected[1] / size[1])


def test_labels_cover_no_box_and_no_other_label() -> None:
    generator = np.random.default_rng(7)
    for _ in range(30):
        corners = generator.uniform(0, 600, size=(4, 2))
        boxes = [Box(x0=x, y0=y, x1=x + 150, y1=y + 120) for x, y in corners]
        placed: list[drawing.Rectangle] = []

        for box in boxes:
            beside = (box.x0, box.y0, box.x1, box.y1)
            taken = [(b.x0, b.y0, b.x1, b.y1) for b in boxes] + placed
            place = drawing.free_place((240, 30), beside, inside=(768, 768), taken=taken, gap=6)
            if place is not None:
                placed.append((place[0], place[1], place[0] + 240, place[1] + 30))

        assert not any(drawing.overlap(a, b) for a, b in combinations(placed, 2))
        assert not any(drawing.overlap(p, (b.x0, b.y0, b.x1, b.y1)) for p in placed for b in boxes)
        assert all(p[0] >= 0 and p[2] <= 768 and p[1] >= 0 and p[3] <= 768 for p in placed)


@st.composite
def slices_with_lesions(draw: st.DrawFn) -> tuple[SlicePicture, list[Lesion]]:
    """A gray slice of any size and aspect as it is shown, and 1 to 6 boxes inside it."""
    width, height = draw(st.integers(64, 1024)), draw(st.integers(64, 1024))
    spacing = (draw(st.floats(0.25, 2.0)), draw(st.floats(0.25, 2.0)))
    picture, scale = square_pixels(Image.new("L", (width, height), GRAY), spacing)
    lesions = []
    for _ in range(draw(st.integers(1, 6))):
        x0, y0 = draw(st.floats(0, width - 2)), draw(st.floats(0, height - 2))
        x1, y1 = draw(st.floats(x0 + 1, width)), draw(st.floats(y0 + 1, height))
        verdict, said = draw(st.sampled_from(Verdict)), draw(st.sampled_from([None, *Verdict]))
        found = replace(lesion(Box(x0=x0, y0=y0, x1=x1, y1=y1), verdict), detector_verdict=said)
        lesions.append(found)
    return SlicePicture(picture, scale, (0, 1, 0, 0, 0, -1)), lesions


@settings(max_examples=60, deadline=None)
@given(shown=slices_with_lesions(), palette=st.sampled_from(get_args(drawing.Palette)))
def test_text_covers_no_lesion_whatever_the_image(
    shown: tuple[SlicePicture, list[Lesion]], palette: drawing.Palette
) -> None:
    picture, lesions = shown
    series = used_series("3", "4", SequenceKind.T2FS, (lesions[0].image,))
    subject = OverlaySubject(image=lesions[0].image, series=series, lesions=tuple(lesions), vote=None)

    whole = np.asarray(draw_overlay(subject, picture, BUNDLE, palette))

    left = (whole.shape[1] - picture.image.width) // 2
    upper = Image.new("RGB", (whole.shape[1], picture.image.height), drawing.BACKGROUND)
    upper.paste(picture.image.convert("RGB"), (left, 0))
    draw_boxes(upper, lesions, picture, line=text_and_line_px(picture.image.size)[1], palette=palette, at=(left, 0))
    without_text = np.asarray(upper)
    for found in lesions:
        x0, y0, x1, y1 = picture.place(found.box)
        part = slice(floor(y0), ceil(y1)), slice(left + floor(x0), left + ceil(x1))
        np.testing.assert_array_equal(whole[: upper.height][part], without_text[part])


@settings(max_examples=60, deadline=None)
@given(shown=slices_with_lesions())
def test_each_lesion_has_its_words_in_the_picture_or_below_it(shown: tuple[SlicePicture, list[Lesion]]) -> None:
    picture, lesions = shown
    size, line = text_and_line_px(picture.image.size)
    image, only_boxes = (picture.image.convert("RGB") for _ in range(2))
    draw_boxes(only_boxes, lesions, picture, line=line, palette="paper")

    homeless = draw_lesions(image, lesions, picture, size=size, line=line, palette="paper")

    covered = np.count_nonzero((np.asarray(image) != np.asarray(only_boxes)).any(axis=-1))
    housed = list(lesions)
    for one in homeless:
        housed.remove(one)
    plates = [drawing.chip_size(wording.lesion_label(one), size) for one in housed]
    assert covered == pytest.approx(sum(width * height for width, height in plates), rel=0.02)


@pytest.mark.parametrize("picture_size", [(768, 768), (768, 1152), (1024, 1024), (1536, 2048), (2304, 2304)])
def test_text_and_lines_grow_with_the_picture(picture_size: tuple[int, int]) -> None:
    size, line = text_and_line_px(picture_size)

    assert size / min(picture_size) == pytest.approx(1 / 34, rel=0.03)
    assert line / min(picture_size) == pytest.approx(1 / 256, rel=0.01)


@pytest.mark.parametrize("size", [(64, 1024), (1024, 64), (64, 64), (20, 400)])
def test_text_is_never_too_small_to_read_at_full_size(size: tuple[int, int]) -> None:
    picture, scale = square_pixels(Image.new("L", size), (1.0, 1.0))
    found = lesion(Box(x0=5, y0=5, x1=15, y1=15))
    series = used_series("3", "4", SequenceKind.T2FS, (found.image,))
    subject = OverlaySubject(image=found.image, series=series, lesions=(found,), vote=None)

    whole = draw_overlay(subject, SlicePicture(picture, scale, (0, 1, 0, 0, 0, -1)), BUNDLE, "paper")

    rows, _ = rows_and_columns_of(np.asarray(whole)[: picture.height], MALIGNANT)
    assert text_and_line_px(picture.size)[0] >= 16
    assert whole.width >= 480
    assert np.bincount(rows).max() >= drawing.chip_size(wording.lesion_label(found), 16)[0] - 2 * 16


def test_a_label_does_not_stand_beside_another_box_when_there_is_room_elsewhere() -> None:
    box, above = (100.0, 100.0, 200.0, 150.0), (100.0, 20.0, 200.0, 60.0)

    alone = drawing.free_place((240, 30), box, inside=(768, 768), taken=[box], gap=6)
    beside = drawing.free_place((240, 30), box, inside=(768, 768), taken=[box, above], gap=6, others=[above])

    assert alone == (100, 64)
    assert beside == (100, 156)


def test_a_label_stands_between_two_boxes_when_there_is_no_other_room() -> None:
    box, above = (0.0, 100.0, 240.0, 200.0), (0.0, 0.0, 240.0, 60.0)

    place = drawing.free_place((240, 30), box, inside=(240, 200), taken=[box, above], gap=6, others=[above])

    assert place == (0, 64)


def test_a_label_without_room_goes_to_the_footer() -> None:
    picture = SlicePicture(Image.new("L", (768, 768)), (1.0, 1.0), (0, 1, 0, 0, 0, -1))
    image = picture.image.convert("RGB")

    homeless = draw_lesions(image, [lesion(Box(x0=0, y0=0, x1=768, y1=768))], picture, size=22, line=3, palette="paper")

    assert len(homeless) == 1
    pixels = np.asarray(image)
    assert (pixels[0, 100] == MALIGNANT).all()  # at the edge of the picture the frame stays visible
    assert (pixels[767, 100] == MALIGNANT).all()
    assert not pixels[10:750, 10:750].any()


def test_a_label_without_room_in_a_card_stands_below_its_picture(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    findings = findings_of(study, "malignant")
    image = study.references(0)[1]
    covering = replace(findings.lesions[0], box=Box(x0=0, y0=0, x1=COLUMNS, y1=ROWS))
    picture = SlicePicture(Image.new("L", (768, 768)), (768 / COLUMNS, 768 / ROWS), (0, 1, 0, 0, 0, -1))
    key_slices_of_first = {study.series[0].series_instance_uid: image}

    def height(*lesions: Lesion) -> int:
        shown = replace(findings, lesions=lesions)
        return draw_cards(sequence_cards(shown, key_slices_of_first, {image: picture})[:1], 536, "paper")[0].height

    assert height(covering) > height(findings.lesions[0])


@pytest.mark.parametrize("verdict", ["benign", "malignant", "tie", "negative", "not_analysed"])
def test_a_summary_is_made_whatever_the_outcome(report: BuiltReport, verdict: str) -> None:
    summary = report("classic", verdict)[-1]

    assert summary.kind == "summary"
    assert summary.dataset.Columns == WIDTH
    assert summary.dataset.pixel_array.std() > 10


def test_the_summary_refers_to_the_slices_it_shows(studies: dict[str, Study], report: BuiltReport) -> None:
    findings = findings_of(studies["classic"], "malignant")

    shown = [item.ReferencedSOPInstanceUID for item in report("classic", "malignant")[-1].dataset.SourceImageSequence]

    assert shown == [image.sop_instance_uid for image in key_slices(findings).values()]
    assert "SourceImageSequence" not in report("classic", "not_analysed")[-1].dataset


def test_the_key_slice_has_the_best_box_of_the_verdict_of_its_sequence(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    findings = findings_of(study, "malignant")
    louder = replace(findings.lesions[0], image=study.references(0)[4], score=0.99, verdict=Verdict.BENIGN)

    chosen = key_slices(replace(findings, lesions=(louder, *findings.lesions)))

    series = [one.series_instance_uid for one in study.series]
    assert chosen[series[0]] == findings.lesions[0].image
    assert chosen[series[2]] == study.references(2)[2]  # no box: the middle slice


def test_without_a_box_of_the_verdict_of_its_sequence_the_key_slice_has_the_best_box(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    findings = findings_of(study, "malignant")
    first = findings.lesions[0]
    others = [
        replace(first, image=study.references(0)[i], score=score, verdict=Verdict.BENIGN)
        for i, score in ((1, 0.4), (3, 0.6), (4, 0.5))
    ]

    chosen = key_slices(replace(findings, lesions=tuple(others)))

    assert chosen[study.series[0].series_instance_uid] == study.references(0)[3]


def test_narrow_cells_tell_votes_apart_without_colour_and_letter(studies: dict[str, Study]) -> None:
    """Sixty slices leave eight pixels each: a benign vote is half as high as a malignant one."""
    series = studies["classic"].series[0]
    findings = findings_of(studies["classic"], "malignant")
    images = tuple(replace(series.images[0], sop_instance_uid=f"1.2.{number}") for number in range(60))
    vote = findings.sequences[0]
    votes = (
        replace(vote.votes[0], image=images[4], verdict=Verdict.BENIGN),
        replace(vote.votes[0], image=images[9], verdict=Verdict.MALIGNANT),
    )
    many = replace(findings, sequences=(replace(vote, votes=votes),), series_used=(replace(series, images=images),))

    (card,) = draw_cards(sequence_cards(many, {}, {}), 536, "paper")

    strip = np.asarray(card)[480 + 60 :]  # below the title and the square
    heights = [np.ptp(rows_and_columns_of(strip, colour)[0]) for colour in (BENIGN, MALIGNANT)]
    assert heights[0] == pytest.approx(heights[1] / 2, abs=1)


def test_the_strip_of_a_card_shows_the_vote_of_each_slice_in_its_place(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    findings = findings_of(study, "malignant")
    images = study.references(0)
    vote = findings.sequences[0]
    votes = (
        replace(vote.votes[0], image=images[4], verdict=Verdict.BENIGN),
        replace(vote.votes[0], image=images[1], verdict=Verdict.MALIGNANT),
    )
    voted = replace(findings, sequences=(replace(vote, votes=votes),))
    cards = sequence_cards(voted, {study.series[0].series_instance_uid: images[1]}, {})[:1]

    (card,) = draw_cards(cards, 536, "paper")

    pixels = np.asarray(card)
    side = 500  # of the square above the strip, and the width of the strip
    below = pixels[side + 60 :, 18 : 18 + side]
    strip = below[np.nonzero((below[:, 0] == drawing.LINE).all(axis=-1))[0][2]]
    cells = [tuple(int(part) for part in strip[round((number + 0.1) * side / 5)]) for number in range(5)]
    assert cells == [drawing.LINE, MALIGNANT, drawing.LINE, drawing.LINE, BENIGN]
    marked = np.nonzero((below[:60] == drawing.TEXT).all(axis=-1))[1]
    assert len(marked) > 0
    assert abs(marked.mean() - 1.5 * side / 5) < 3


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("malignant", "2 of 2 voting sequences and 6 of 6 voting images say malignant"),
        ("benign", "2 of 2 voting sequences and 6 of 6 voting images say benign"),
        ("tie", "1 of 2 voting sequences and 3 of 6 voting images say malignant"),
    ],
)
def test_votes_are_counted_for_the_verdict_of_the_patient_without_those_who_abstain(
    studies: dict[str, Study], verdict: str, said: str
) -> None:
    assert wording.votes_of_patient(findings_of(studies["classic"], verdict)) == said


def test_the_summary_names_more_sequences_than_fit_in_one_row(tmp_path: Path, studies: dict[str, Study]) -> None:
    six = classic_study(tmp_path, kinds=[*SequenceKind, *SequenceKind])

    summary = build_report(findings_of(six, "negative"), six.images, context_of(six))[-1].dataset

    three = build_report(findings_of(studies["classic"], "negative"), studies["classic"].images, context_of(six))
    assert summary.Rows > three[-1].dataset.Rows


def test_a_case_that_was_not_analysed_shows_no_slice_that_could_pass_for_normal(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    failed = replace(findings_of(study, "not_analysed"), reason=Reason.MODEL_FAILURE, series_used=tuple(study.series))

    summary = build_report(failed, study.images, context_of(study))[-1].dataset

    assert "SourceImageSequence" not in summary
    assert key_slices(failed) == {}


def test_letters_that_the_font_lacks_lose_their_accent_or_become_question_marks() -> None:
    assert writable("Größe à 山田\nŘíp") == "Größe à ?? Ríp"


def test_no_letter_is_drawn_as_an_empty_box() -> None:
    missing = bytes(drawing.font(20).getmask("\U000e0001"))

    drawn = writable("".join(map(chr, range(0x21, 0x250))))

    assert all(bytes(drawing.font(20).getmask(letter)) != missing for letter in drawn if not letter.isspace())


def test_lines_are_never_wider_than_their_space() -> None:
    text = "A sentence with a_word_that_is_far_too_long_for_the_line_it_stands_in and more words after it"

    lines = drawing.wrapped(text, 22, 200)

    assert all(drawing.font(22).getlength(line) <= 200 for line in lines)
    assert "more" in " ".join(lines)


def test_one_lossy_slice_among_those_shown_makes_the_summary_lossy(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    findings = findings_of(study, "malignant")
    images = dict(study.images)
    last = list(key_slices(findings).values())[-1].sop_instance_uid
    images[last] = deepcopy(images[last])
    images[last].LossyImageCompression, images[last].LossyImageCompressionRatio = "01", "7.5"

    *_, summary = build_report(findings, images, context_of(study))

    assert summary.dataset.LossyImageCompression == "01"
    assert summary.dataset.LossyImageCompressionRatio == 7.5


def test_lossy_compression_of_the_source_is_not_forgotten(tmp_path: Path) -> None:
    study = classic_study(
        tmp_path,
        kinds=list(SequenceKind)[:2],
        LossyImageCompression="01",
        LossyImageCompressionRatio="12.5",
        LossyImageCompressionMethod="ISO_10918_1",
    )

    overlay = overlays(build_report(findings_of(study, "malignant"), study.images, context_of(study)))[0]

    assert overlay.LossyImageCompression == "01"
    assert overlay.LossyImageCompressionRatio == 12.5


def test_a_picture_has_the_gray_scale_that_the_networks_saw(tmp_path: Path) -> None:
    study = classic_study(tmp_path, kinds=[SequenceKind.T1, SequenceKind.T2])
    seen = replace(study.series[0], gray_limits=(0.0, 4000.0))  # twice as wide as the study's own
    dark = Study(images=study.images, files=study.files, series=[seen, study.series[1]])

    as_told, as_found = (
        overlays(build_report(findings_of(one, "malignant"), one.images, context_of(one)))[0].pixel_array
        for one in (dark, study)
    )

    assert as_told[300:700, 300:700].mean() < 0.5 * as_found[300:700, 300:700].mean()
