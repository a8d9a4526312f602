"""The overlay picture: one source slice with its boxes, and below it, outside the image, what they mean."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from inference.findings import BundleIdentity, Findings, ImageReference, ImageVote, Lesion, SeriesUsed
from node.report import drawing, wording
from node.report.slice_picture import SlicePicture

_TEXT_PARTS = 34  # text is 1/34 of the shorter side: 22 px at 768, readable at arm's length on a reading monitor
_LINE_PARTS = 256  # box lines: 3 px at 768


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlaySubject:
    """One image with findings, in the order in which overlays are numbered."""

    image: ImageReference
    series: SeriesUsed
    lesions: tuple[Lesion, ...]
    vote: ImageVote | None


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


def draw_overlay(subject: OverlaySubject, picture: SlicePicture, bundle: BundleIdentity) -> Image.Image:
    """RGB picture: the slice with boxes and labels, and a footer band under it."""
    shorter = min(picture.image.size)
    size, line = max(12, shorter // _TEXT_PARTS), max(2, shorter // _LINE_PARTS)
    slice_image = picture.image.convert("RGB")
    homeless = draw_lesions(slice_image, subject.lesions, picture, size=size, line=line)
    footer = _footer(subject, bundle, homeless, width=slice_image.width, size=size)
    whole = Image.new("RGB", (slice_image.width, slice_image.height + footer.height), drawing.BACKGROUND)
    whole.paste(slice_image, (0, 0))
    whole.paste(footer, (0, slice_image.height))
    return whole


def draw_lesions(
    image: Image.Image, lesions: Sequence[Lesion], picture: SlicePicture, *, size: int, line: int
) -> list[Lesion]:
    """Draw boxes, then labels where they cover no box. Returns the lesions whose label found no place."""
    draw = ImageDraw.Draw(image)
    gap = 2 * line + 2
    boxes = [picture.place(lesion.box) for lesion in lesions]
    taken = [(box[0] - gap + 1, box[1] - gap + 1, box[2] + gap - 1, box[3] + gap - 1) for box in boxes]
    for lesion, box in zip(lesions, boxes, strict=True):
        drawing.draw_box(draw, box, drawing.VERDICT_COLOUR[lesion.verdict], line, inside=image.size)
    homeless = []
    for lesion, box in zip(lesions, boxes, strict=True):
        label = wording.lesion_label(lesion)
        label_size = drawing.chip_size(label, size)
        place = drawing.free_place(label_size, box, inside=image.size, taken=taken, gap=gap)
        if place is None:
            homeless.append(lesion)
        else:
            taken.append(drawing.draw_chip(draw, place, label, size, drawing.VERDICT_COLOUR[lesion.verdict]))
    return homeless


def _footer(
    subject: OverlaySubject, bundle: BundleIdentity, homeless: Sequence[Lesion], *, width: int, size: int
) -> Image.Image:
    margin = size
    inner = width - 2 * margin
    lines: list[tuple[str, drawing.Colour]] = [
        (_where(subject), drawing.TEXT),
        (_said(subject), drawing.TEXT),
        *((wording.lesion_label(lesion), drawing.VERDICT_COLOUR[lesion.verdict]) for lesion in homeless),
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
