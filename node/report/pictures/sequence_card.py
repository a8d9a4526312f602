"""One card of the summary picture: what one sequence says, with its key slice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageOps

from inference.findings import Findings, ImageReference, Lesion, SequenceVote, SeriesUsed, Verdict
from node.report import wording
from node.report.pictures import drawing
from node.report.pictures.overlay import draw_lesions
from node.report.pictures.slice_picture import SlicePicture

CARD_GAP = 24
_PADDING = 18
_TITLE, _TEXT, _LABEL = 30, 22, 17  # font sizes
_STRIP_HEIGHT = 26
_VOTE_LETTER = {Verdict.BENIGN: "B", Verdict.MALIGNANT: "M"}
_NARROWEST_LETTERED_CELL = 14
_BOX_LINE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceCard:
    """Everything one card shows; `picture` is None where the key slice could not be read."""

    series: SeriesUsed
    vote: SequenceVote | None
    key_slice: ImageReference | None
    picture: SlicePicture | None
    lesions: tuple[Lesion, ...]


def sequence_cards(
    findings: Findings, key_slices: Mapping[str, ImageReference], pictures: Mapping[ImageReference, SlicePicture]
) -> list[SequenceCard]:
    votes = {vote.series_instance_uid: vote for vote in findings.sequences}
    cards = []
    for series in findings.series_used:
        key_slice = key_slices.get(series.series_instance_uid)
        cards.append(
            SequenceCard(
                series=series,
                vote=votes.get(series.series_instance_uid),
                key_slice=key_slice,
                picture=pictures.get(key_slice) if key_slice else None,
                lesions=tuple(lesion for lesion in findings.lesions if lesion.image == key_slice),
            )
        )
    return cards


def draw_cards(cards: Sequence[SequenceCard], width: int, palette: drawing.Palette) -> list[Image.Image]:
    """Cards of one row as RGB pictures of the given width, all as high as the highest."""
    drawn = [_draw_card(card, width, palette) for card in cards]
    height = max(card.height for card in drawn)
    return [ImageOps.pad(card, (width, height), color=drawing.PANEL, centering=(0, 0)) for card in drawn]


def _draw_card(card: SequenceCard, width: int, palette: drawing.Palette) -> Image.Image:
    inner = width - 2 * _PADDING
    thumbnail, homeless = _thumbnail(card, inner, palette)
    said = [*_lines(card), *(wording.box_without_label(lesion) for lesion in homeless)]
    lines = [part for text in said for part in drawing.wrapped(text, _TEXT, inner)]
    step = drawing.line_height(_TEXT) + 4
    title_height = drawing.line_height(_TITLE) + 2 * _PADDING
    strip_top = title_height + inner + _PADDING
    text_top = strip_top + _STRIP_HEIGHT + _PADDING
    image = Image.new("RGB", (width, text_top + step * len(lines) + _PADDING), drawing.PANEL)
    draw = ImageDraw.Draw(image)
    _title(draw, card, width, palette)
    image.paste(thumbnail, (_PADDING, title_height))
    _vote_strip(draw, card, (_PADDING, strip_top, _PADDING + inner, strip_top + _STRIP_HEIGHT), palette)
    for number, line in enumerate(lines):
        draw.text((_PADDING, text_top + step * number), line, font=drawing.font(_TEXT), fill=drawing.TEXT)
    return image


def _title(draw: ImageDraw.ImageDraw, card: SequenceCard, width: int, palette: drawing.Palette) -> None:
    said, colour = "NO LESION" if card.vote is not None else "NO VOTE", drawing.NEUTRAL
    if card.vote is not None and card.vote.verdict is not None:
        said, colour = card.vote.verdict.value.upper(), drawing.verdict_colours(palette)[card.vote.verdict]
    chip_width, _ = drawing.chip_size(said, _TEXT)
    drawing.draw_chip(draw, (width - _PADDING - chip_width, _PADDING + 4), said, _TEXT, colour)
    kind = wording.KIND[card.series.kind]
    size = drawing.fitting_size(kind, _TITLE, width - chip_width - 3 * _PADDING)
    draw.text((_PADDING, _PADDING), kind, font=drawing.font(size), fill=drawing.TEXT)


def _thumbnail(card: SequenceCard, side: int, palette: drawing.Palette) -> tuple[Image.Image, list[Lesion]]:
    """The key slice inside a square, boxes drawn at the size of the card so that lines stay thin.

    With it the lesions whose label found no place.
    """
    square = Image.new("RGB", (side, side), drawing.BLACK)
    if card.picture is None:
        ImageDraw.Draw(square).text(
            (side / 2, side / 2), "no picture", font=drawing.font(_TEXT), fill=drawing.QUIET_TEXT, anchor="mm"
        )
        return square, []
    full = card.picture.image
    shrink = side / max(full.size)
    small = full.resize((max(1, round(full.width * shrink)), max(1, round(full.height * shrink))))
    x, y = card.picture.scale
    shown = SlicePicture(
        small, (x * small.width / full.width, y * small.height / full.height), card.picture.orientation
    )
    at = (side - small.width) // 2, (side - small.height) // 2
    square.paste(small.convert("RGB"), at)
    return square, draw_lesions(square, card.lesions, shown, size=_LABEL, line=_BOX_LINE, palette=palette, at=at)


def _vote_strip(
    draw: ImageDraw.ImageDraw, card: SequenceCard, area: tuple[int, int, int, int], palette: drawing.Palette
) -> None:
    """One cell per slice in spatial order: its vote in colour and letter, empty where it does not vote.

    Where cells are too narrow for letters, a benign vote fills only the lower half.
    """
    left, top, right, bottom = area
    votes = {vote.image: vote.verdict for vote in card.vote.votes} if card.vote else {}
    images = card.series.images
    cell = (right - left) / max(1, len(images))
    lettered = cell >= _NARROWEST_LETTERED_CELL
    gap, colours = 2 if lettered else 1, drawing.verdict_colours(palette)
    for number, image in enumerate(images):
        x0, x1 = round(left + number * cell), round(left + (number + 1) * cell) - gap
        verdict = votes.get(image)
        draw.rectangle((x0, top, max(x0, x1), bottom), fill=drawing.LINE)
        if verdict:
            half = not lettered and verdict is Verdict.BENIGN
            draw.rectangle((x0, (top + bottom) // 2 if half else top, max(x0, x1), bottom), fill=colours[verdict])
        if verdict and lettered:
            draw.text(
                ((x0 + x1) / 2, (top + bottom) / 2),
                _VOTE_LETTER[verdict],
                font=drawing.font(_LABEL),
                fill=drawing.BLACK,
                anchor="mm",
            )
        if image == card.key_slice:
            middle = (x0 + x1) / 2
            draw.polygon([(middle, top - 2), (middle - 8, top - 13), (middle + 8, top - 13)], fill=drawing.TEXT)


def _lines(card: SequenceCard) -> list[str]:
    images = card.series.images
    lines = [wording.sentence(card.series.kind_evidence)] if card.series.kind_evidence else []
    if card.key_slice is not None:
        lines.append(f"Shown: slice {images.index(card.key_slice) + 1} of {len(images)}.")
    vote = card.vote
    if vote is None or vote.verdict is None:
        return [f"None of {len(images)} slices votes: the sequence abstains.", *lines]
    said = [f"{len(vote.votes)} of {vote.image_count} slices vote, {wording.malignant_votes(vote)} malignant."]
    if vote.mean_probability is not None:
        said.append(f"Mean probability of malignancy {wording.percent(vote.mean_probability)}.")
    if vote.classifier_probability is not None:
        said.append(f"Sequence classifier {wording.percent(vote.classifier_probability)}.")
    if vote.tie:
        said.append("Votes tied, the mean decided.")
    elif against := wording.against_the_mean(vote.verdict, vote.mean_probability):
        said.append(against)
    return [*said, *lines]
