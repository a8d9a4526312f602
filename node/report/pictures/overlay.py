"""The overlay picture: one source slice with its boxes, and below it, outside the image, what they mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog
from PIL import Image, ImageDraw

from inference.findings import BundleIdentity, Findings, ImageReference, ImageVote, Lesion, SeriesUsed
from node.report import wording
from node.report.pictures import drawing
from node.report.pictures.slice_picture import SlicePicture

log = structlog.get_logger(__name__)

MOST_OVERLAYS = 100  # more help no reader, and take gigabytes
_TEXT_PARTS = 34  # text is 1/34 of the shorter side: 22 px at 768, readable at arm's length on a reading monitor
_LINE_PARTS = 256  # box lines: 3 px at 768
_SMALLEST_TEXT, _THINNEST_LINE = 16, 2  # still readable at 100 %; strip-shaped images would get less
_NARROWEST = 480  # a label and a line of the footer fit; a narrower slice stands between two margins


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlaySubject:
    """One image with findings, in the order in which overlays are numbered."""

    image: ImageReference
    series: SeriesUsed
    lesions: tuple[Lesion, ...]
    vote: ImageVote | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """One drawn overlay, and its place among all images with a box."""

    number: int  # from 1
    subject: OverlaySubject
    picture: Image.Image
    orientation: tuple[float, ...]  # of the slice, 6 direction cosines


def overlay_subjects(findings: Findings) -> list[OverlaySubject]:
    """One per image with a box, by series and then in spatial order."""
    votes = {vote.image: vote for sequence in findings.sequences for vote in sequence.votes}
    subjects = []
    for series in findings.series_used:
        for image in series.images:
            lesions = tuple(lesion for lesion in findings.lesions if lesion.image == image)
            if lesions:
                subjects.append(OverlaySubject(image=image, series=series, lesions=lesions, vote=votes.get(image)))
    return subjects


def drawn_subjects(findings: Findings) -> list[tuple[int, OverlaySubject]]:
    """Which images get an overlay, each with its number among all with a box: the most telling of very many."""
    numbered = list(enumerate(overlay_subjects(findings), start=1))
    telling = sorted(numbered, key=lambda one: -max(lesion.probability_malignant for lesion in one[1].lesions))
    return sorted(telling[:MOST_OVERLAYS], key=lambda one: one[0])


def draw_overlays(
    findings: Findings, pictures: Mapping[ImageReference, SlicePicture], palette: drawing.Palette
) -> list[Overlay]:
    """One per image with a box; an image whose pixels cannot be read is left out and logged."""
    overlays = []
    for number, subject in drawn_subjects(findings):
        picture = pictures.get(subject.image)
        if picture is None:
            log.warning("overlay_left_out", sop_instance_uid=subject.image.sop_instance_uid)
            continue
        drawn = draw_overlay(subject, picture, findings.bundle, palette)
        overlays.append(Overlay(number=number, subject=subject, picture=drawn, orientation=picture.orientation))
    return overlays


def draw_overlay(
    subject: OverlaySubject, picture: SlicePicture, bundle: BundleIdentity, palette: drawing.Palette
) -> Image.Image:
    """RGB picture: the slice with boxes and labels, and a footer band under it."""
    size, line = text_and_line_px(picture.image.size)
    width, height = max(picture.image.width, _NARROWEST), picture.image.height
    left = (width - picture.image.width) // 2
    upper = Image.new("RGB", (width, height), drawing.BACKGROUND)
    upper.paste(picture.image.convert("RGB"), (left, 0))
    homeless = draw_lesions(upper, subject.lesions, picture, size=size, line=line, palette=palette, at=(left, 0))
    footer = _footer(subject, bundle, homeless, palette, width=width, size=size)
    whole = Image.new("RGB", (width, height + footer.height), drawing.BACKGROUND)
    whole.paste(upper, (0, 0))
    whole.paste(footer, (0, height))
    return whole


def text_and_line_px(picture_size: tuple[int, int]) -> tuple[int, int]:
    """Font size and width of box lines, in proportion to the picture, never too small to read at 100 %."""
    shorter = min(picture_size)
    return max(_SMALLEST_TEXT, shorter // _TEXT_PARTS), max(_THINNEST_LINE, shorter // _LINE_PARTS)


def draw_lesions(
    image: Image.Image,
    lesions: Sequence[Lesion],
    picture: SlicePicture,
    *,
    size: int,
    line: int,
    palette: drawing.Palette,
    at: tuple[int, int] = (0, 0),
) -> list[Lesion]:
    """Draw boxes, then labels where they cover no box. Returns the lesions whose label found no place.

    `at`: where in `image` the top left corner of the slice lies.
    """
    draw_boxes(image, lesions, picture, line=line, palette=palette, at=at)
    draw = ImageDraw.Draw(image)
    colours = drawing.verdict_colours(palette)
    gap = 2 * line + 2
    boxes = [_place(lesion, picture, at) for lesion in lesions]
    taken = [(box[0] - gap + 1, box[1] - gap + 1, box[2] + gap - 1, box[3] + gap - 1) for box in boxes]
    homeless = []
    for index, (lesion, box) in enumerate(zip(lesions, boxes, strict=True)):
        label = wording.lesion_label(lesion)
        label_size = drawing.chip_size(label, size)
        others = [*boxes[:index], *boxes[index + 1 :]]
        place = drawing.free_place(label_size, box, inside=image.size, taken=taken, gap=gap, others=others)
        if place is None:
            homeless.append(lesion)
        else:
            taken.append(drawing.draw_chip(draw, place, label, size, colours[lesion.verdict]))
    return homeless


def draw_boxes(
    image: Image.Image,
    lesions: Sequence[Lesion],
    picture: SlicePicture,
    *,
    line: int,
    palette: drawing.Palette,
    at: tuple[int, int] = (0, 0),
) -> None:
    draw = ImageDraw.Draw(image)
    colours = drawing.verdict_colours(palette)
    for lesion in lesions:
        box, dashed = _place(lesion, picture, at), drawing.is_dashed(lesion.verdict)
        drawing.draw_box(draw, box, colours[lesion.verdict], line, inside=image.size, dashed=dashed)


def _place(lesion: Lesion, picture: SlicePicture, at: tuple[int, int]) -> drawing.Rectangle:
    left, top = at
    x0, y0, x1, y1 = picture.place(lesion.box)
    return left + x0, top + y0, left + x1, top + y1


def _footer(
    subject: OverlaySubject,
    bundle: BundleIdentity,
    homeless: Sequence[Lesion],
    palette: drawing.Palette,
    *,
    width: int,
    size: int,
) -> Image.Image:
    margin = size
    colours = drawing.verdict_colours(palette)
    inner = width - 2 * margin
    lines: list[tuple[str, drawing.Colour]] = [
        (_where(subject), drawing.TEXT),
        (_said(subject), drawing.TEXT),
        *((wording.box_without_label(lesion), colours[lesion.verdict]) for lesion in homeless),
        (wording.RESEARCH_USE_SHORT, drawing.WARNING),
        (wording.model_line(bundle), drawing.QUIET_TEXT),
    ]
    if bundle.phantom_trained:
        lines.append((wording.PHANTOM_SHORT, drawing.WARNING))
    laid_out = [(part, colour) for text, colour in lines for part in drawing.wrapped(text, size, inner)]
    step = round(1.25 * drawing.line_height(size))
    footer = Image.new("RGB", (width, step * len(laid_out) + margin), drawing.BACKGROUND)
    draw = ImageDraw.Draw(footer)
    draw.line((0, 0, width, 0), fill=drawing.LINE, width=2)
    for number, (text, colour) in enumerate(laid_out):
        draw.text((margin, margin // 2 + number * step), text, font=drawing.font(size), fill=colour)
    return footer


def _where(subject: OverlaySubject) -> str:
    number = subject.series.images.index(subject.image) + 1
    return f"{wording.KIND[subject.series.kind]}, slice {number} of {len(subject.series.images)}"


def _said(subject: OverlaySubject) -> str:
    if subject.vote is None:
        return f"Probability of malignancy {wording.percent(subject.lesions[0].probability_malignant)}"
    probability = wording.percent(subject.vote.probability_malignant)
    return f"This image votes {subject.vote.verdict.value.upper()}, probability of malignancy {probability}"
