"""What stands in the pixels: the right slice, the right place, the right words, and nothing about the patient."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from inference.findings import Box, ImageReference, Lesion, Reason, SequenceKind, Verdict
from inference.heads import read_head
from inference.selection import EligibleSeries
from inference.stacks import stack_images
from inference.volume import load_volume, window_to_uint8
from node.report import ReportObject, build_report, drawing, wording
from node.report.overlay import draw_lesions
from node.report.secondary_capture import patient_orientation
from node.report.sequence_card import draw_cards, sequence_cards
from node.report.slice_picture import SHORTER_SIDE_PX, SlicePicture, square_pixels
from node.report.summary import WIDTH, key_slices
from tests.node.report.report_sources import COLUMNS, Study, classic_study, context_of, findings_of, slice_pixels

BuiltReport = Callable[[str, str], list[ReportObject]]


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

    rows, columns = rows_and_columns_of(beside_the_label, drawing.MALIGNANT)

    assert columns.min() == round(10 * enlarged) - line
    assert columns.max() + 1 == round(22.5 * enlarged) + line
    assert rows.max() + 1 == round(21.25 * enlarged) + line - round(10 * enlarged)


@pytest.mark.parametrize(
    ("verdict", "colour", "other"),
    [("benign", drawing.BENIGN, drawing.MALIGNANT), ("malignant", drawing.MALIGNANT, drawing.BENIGN)],
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
    )

    pixels = np.asarray(image)
    for part, own, other in (
        (pixels[:384], drawing.BENIGN, drawing.MALIGNANT),
        (pixels[384:], drawing.MALIGNANT, drawing.BENIGN),
    ):
        assert len(rows_and_columns_of(part, own)[0]) > 1000
        assert len(rows_and_columns_of(part, other)[0]) == 0


def test_a_label_names_the_detectors_class_where_it_is_another() -> None:
    found = lesion(Box(x0=0, y0=0, x1=1, y1=1), Verdict.MALIGNANT)

    assert wording.lesion_label(replace(found, detector_verdict=Verdict.MALIGNANT)) == "MALIGNANT  score 0.50"
    assert wording.lesion_label(replace(found, detector_verdict=None)) == "MALIGNANT  score 0.50"
    said = wording.lesion_label(replace(found, detector_verdict=Verdict.BENIGN))
    assert said == "MALIGNANT  detector class benign 0.50"


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
    study = classic_study(tmp_path, kinds=list(SequenceKind)[:2], WindowCenter=[100, 200], WindowWidth=[50, 60])
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
    study = classic_study(tmp_path, kinds=list(SequenceKind)[:2], WindowCenter=[100, 200], WindowWidth=[50, 60])

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


def test_a_label_without_room_goes_to_the_footer() -> None:
    picture = SlicePicture(Image.new("L", (768, 768)), (1.0, 1.0), (0, 1, 0, 0, 0, -1))
    image = picture.image.convert("RGB")

    homeless = draw_lesions(image, [lesion(Box(x0=0, y0=0, x1=768, y1=768))], picture, size=22, line=3)

    assert len(homeless) == 1
    pixels = np.asarray(image)
    assert (pixels[0, 100] == drawing.MALIGNANT).all()  # at the edge of the picture the frame stays visible
    assert (pixels[767, 100] == drawing.MALIGNANT).all()
    assert not pixels[10:750, 10:750].any()


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

    (card,) = draw_cards(cards, 536)

    pixels = np.asarray(card)
    side = 500  # of the square above the strip, and the width of the strip
    below = pixels[side + 60 :, 18 : 18 + side]
    strip = below[np.nonzero((below[:, 0] == drawing.LINE).all(axis=-1))[0][2]]
    cells = [tuple(int(part) for part in strip[round((number + 0.1) * side / 5)]) for number in range(5)]
    assert cells == [drawing.LINE, drawing.MALIGNANT, drawing.LINE, drawing.LINE, drawing.BENIGN]
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


def test_letters_that_the_font_lacks_become_question_marks() -> None:
    assert drawing.printable("Größe 山田\n") == "Größe ???"


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
