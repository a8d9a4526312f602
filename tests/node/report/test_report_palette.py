"""Colours of the verdicts: told apart by everyone, readable on dark and on bright images, and never alone."""

from itertools import combinations
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from config.reporting import ObjectName
from config.settings import ReportSettings
from inference.findings import Verdict
from node.report import build_report
from node.report.pictures import drawing
from tests.node.report.report_sources import Study, context_of, findings_of

PALETTES: tuple[drawing.Palette, ...] = get_args(drawing.Palette)
Matrix = NDArray[np.float64]

# What people without one kind of cones see, on linear RGB: the matrices of Machado, Oliveira and Fernandes, "A
# physiologically-based model for simulation of color vision deficiency" (2009), severity 1.0
SIMULATIONS: dict[str, Matrix] = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# sRGB to XYZ, D65 (IEC 61966-2-1)
XYZ: Matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: drawing.Colour) -> Matrix:
    share = np.array(colour) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(rgb: Matrix) -> Matrix:
    """CIELAB of linear RGB, D65."""
    share = XYZ @ rgb / XYZ.sum(axis=1)
    f = np.where(share > (6 / 29) ** 3, np.cbrt(share), share / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(a: drawing.Colour, b: drawing.Colour, seen_by: str) -> float:
    """CIE76 colour difference as an observer sees it; 2.3 is just noticeable."""
    seen = [lab(np.clip(SIMULATIONS[seen_by] @ linear(colour), 0, 1)) for colour in (a, b)]
    return float(np.linalg.norm(seen[0] - seen[1]))


def contrast(a: drawing.Colour, b: drawing.Colour) -> float:
    """Contrast ratio of WCAG 2."""
    dark, bright = sorted(float(XYZ[1] @ linear(colour)) for colour in (a, b))
    return (bright + 0.05) / (dark + 0.05)


def both(palette: drawing.Palette) -> tuple[drawing.Colour, drawing.Colour]:
    colours = drawing.verdict_colours(palette)
    return colours[Verdict.BENIGN], colours[Verdict.MALIGNANT]


def test_the_settings_and_the_drawing_know_the_same_palettes() -> None:
    assert set(PALETTES) == set(get_args(ReportSettings.model_fields["palette"].annotation))
    assert ReportSettings().palette == "paper"


def test_the_simulation_keeps_gray_gray() -> None:
    for matrix in SIMULATIONS.values():
        assert matrix.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-4)


@pytest.mark.parametrize("seen_by", SIMULATIONS)
def test_the_colour_blind_safe_colours_are_far_apart_for_every_eye(seen_by: str) -> None:
    assert distance(*both("colour_blind_safe"), seen_by) > 80


def test_the_colours_of_the_paper_are_not_which_is_why_there_is_another_palette() -> None:
    assert distance(*both("paper"), "normal") > 100
    assert distance(*both("paper"), "deuteranopia") < 20


@pytest.mark.parametrize("seen_by", SIMULATIONS)
def test_no_verdict_looks_like_no_lesion_or_a_warning(seen_by: str) -> None:
    colours = (*both("colour_blind_safe"), drawing.NEUTRAL, drawing.WARNING)

    for one, other in combinations(colours, 2):
        assert distance(one, other, seen_by) > 20


@pytest.mark.parametrize("palette", PALETTES)
def test_text_in_and_on_a_verdicts_colour_can_be_read(palette: drawing.Palette) -> None:
    for colour in both(palette):
        assert contrast(colour, drawing.BLACK) >= 4.5  # letters on a plate
        assert contrast(colour, drawing.BACKGROUND) >= 4.5  # letters in a footer


@pytest.mark.parametrize("palette", PALETTES)
def test_a_frame_with_its_rim_is_seen_on_any_gray(palette: drawing.Palette) -> None:
    """Where the line comes near the gray of the image, its dark rim does not."""
    for colour in both(palette):
        for gray in range(256):
            background = (gray, gray, gray)
            assert max(contrast(colour, background), contrast(drawing.BLACK, background)) >= 2.3


def frame(verdict: Verdict, palette: drawing.Palette, box: drawing.Rectangle, gray: int = 128) -> NDArray[np.uint8]:
    image = Image.new("RGB", (400, 300), (gray, gray, gray))
    drawing.draw_box(
        ImageDraw.Draw(image),
        box,
        drawing.verdict_colours(palette)[verdict],
        3,
        inside=image.size,
        dashed=drawing.is_dashed(verdict),
    )
    return np.asarray(image)


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize("side", [12, 40, 200])
def test_benign_frames_are_dashed_and_malignant_ones_solid_in_every_palette(
    palette: drawing.Palette, side: int
) -> None:
    box = (50.0, 50.0, 50.0 + side, 50.0 + side)

    solid, dashed = (frame(verdict, palette, box) for verdict in (Verdict.MALIGNANT, Verdict.BENIGN))

    benign, malignant = both(palette)
    for row, column in ((48, slice(47, 53 + side)), (51 + side, slice(47, 53 + side))):
        assert (solid[row, column] == malignant).all()
        coloured = (dashed[row, column] == benign).all(axis=-1)
        assert coloured[0]
        assert coloured[-1]
        assert 0.3 < coloured.mean() < 0.8
        assert (dashed[row, column][~coloured] == drawing.BLACK).all()
        assert np.count_nonzero(np.diff(coloured.astype(int)) == 1) >= 1  # at least one gap


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_frame_leaves_its_box_free(verdict: Verdict) -> None:
    drawn = frame(verdict, "paper", (50.0, 60.0, 150.0, 160.0))

    assert (drawn[60:160, 50:150] == 128).all()
    assert (drawn[:55] == 128).all()
    assert (drawn[:, 155:] == 128).all()


@pytest.mark.parametrize("name", ["overlays", "overlay_frames", "summary"])
@pytest.mark.parametrize("verdict", ["benign", "malignant"])
def test_pictures_are_drawn_in_the_chosen_palette(studies: dict[str, Study], name: ObjectName, verdict: str) -> None:
    for chosen, other in (PALETTES, PALETTES[::-1]):
        pixels = first_picture(studies["classic"], verdict, name, chosen)

        assert (pixels == drawing.verdict_colours(chosen)[Verdict(verdict)]).all(axis=-1).sum() > 1000
        assert not (pixels == drawing.verdict_colours(other)[Verdict(verdict)]).all(axis=-1).any()


def first_picture(study: Study, verdict: str, name: ObjectName, palette: drawing.Palette) -> NDArray[np.uint8]:
    settings = ReportSettings(objects=(name,), palette=palette)
    _, made, *_ = build_report(findings_of(study, verdict), study.images, context_of(study, settings=settings))
    pixels: NDArray[np.uint8] = made.dataset.pixel_array
    return pixels
