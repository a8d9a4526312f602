"""The summary picture: the whole result of a case at one glance. Also made when nothing was found or analysed.

It is a stack of bands of one width, each drawn by its own function, each as high as its content.
"""

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from inference.findings import Findings, ImageReference, Status, Verdict
from node.report import wording
from node.report.identifiers import model_name
from node.report.pictures import drawing
from node.report.pictures.sequence_card import CARD_GAP, draw_cards, sequence_cards
from node.report.pictures.slice_picture import SlicePicture
from node.report.typeface import writable

WIDTH = 1600
MARGIN = 56
INNER = WIDTH - 2 * MARGIN
_CARDS_PER_ROW = 4  # smaller ones show nothing
_WIDEST_CARD = 620

_SMALL, _NORMAL, _LARGE, _HUGE = 22, 26, 40, 84  # font sizes
_PARAGRAPH = 14
_LEFT_OUT_LISTED = 12  # series named one by one when nothing was analysed; the SR names all


def key_slices(findings: Findings) -> dict[str, ImageReference]:
    """The slice that stands for each used series, by Series Instance UID.

    The one with the best box of the sequence's own class, else with the best box; without boxes the middle one.
    Empty when nothing was analysed: a slice without a box would look like a slice without a lesion.
    """
    if findings.status is Status.NOT_ANALYSED:
        return {}
    verdicts = {vote.series_instance_uid: vote.verdict for vote in findings.sequences}
    chosen = {}
    for series in findings.series_used:
        uid = series.series_instance_uid
        lesions = [lesion for lesion in findings.lesions if lesion.series_instance_uid == uid]
        if lesions:
            best = max(lesions, key=lambda lesion: (lesion.verdict is verdicts.get(uid), lesion.score))
            chosen[uid] = best.image
        elif series.images:
            chosen[uid] = series.images[len(series.images) // 2]
    return chosen


def draw_summary(
    findings: Findings,
    pictures: Mapping[ImageReference, SlicePicture],
    palette: drawing.Palette,
    *,
    note: str,
    made_at: str,
    warning: str = "",
) -> Image.Image:
    """RGB picture. `pictures` holds the key slices that could be read; `made_at` is a date and time for people."""
    bands = [_header(findings, palette)]
    if findings.bundle.phantom_trained:
        bands.append(_phantom_banner())
    if findings.decision is not None:
        bands.append(_probability_bar(findings.decision.probability_malignant, palette))
    bands.append(_facts(findings))
    if warning:
        bands.append(_paragraphs([(warning, drawing.WARNING)], _NORMAL))
    bands += _cards(findings, pictures, palette)
    if findings.status is Status.NOT_ANALYSED and findings.series_left_out:
        bands.append(_left_out_list(findings))
    bands += [_model(findings), _footer(note, made_at)]
    whole = Image.new("RGB", (WIDTH, sum(band.height for band in bands)), drawing.BACKGROUND)
    y = 0
    for band in bands:
        whole.paste(band, (0, y))
        y += band.height
    return whole


def headline_colour(findings: Findings, palette: drawing.Palette) -> drawing.Colour:
    if findings.status is Status.NOT_ANALYSED:
        return drawing.WARNING
    return drawing.verdict_colours(palette)[findings.decision.verdict] if findings.decision else drawing.NEUTRAL


def _band(height: int, colour: drawing.Colour = drawing.BACKGROUND) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (WIDTH, height), colour)
    return image, ImageDraw.Draw(image)


def _header(findings: Findings, palette: drawing.Palette) -> Image.Image:
    band, draw = _band(210)
    colour = headline_colour(findings, palette)
    draw.rectangle((0, 0, 15, band.height), fill=colour)
    maker = f"{model_name(findings.bundle)}  -  AI result"
    draw.text((MARGIN, 34), maker, font=drawing.font(_NORMAL), fill=drawing.QUIET_TEXT)
    text = wording.headline(findings)
    space = INNER - (430 if findings.decision else 0)
    large = drawing.font(drawing.fitting_size(text, _HUGE, space))
    draw.text((MARGIN, 134), text, font=large, fill=colour, anchor="lm", stroke_width=1, stroke_fill=colour)
    if findings.decision is not None:
        right = WIDTH - MARGIN
        probability = wording.percent(findings.decision.probability_malignant)
        draw.text((right, 122), probability, font=drawing.font(_HUGE), fill=drawing.TEXT, anchor="rm")
        draw.text(
            (right, 188), "probability of malignancy", font=drawing.font(_SMALL), fill=drawing.QUIET_TEXT, anchor="rm"
        )
    return band


def _phantom_banner() -> Image.Image:
    lines = drawing.wrapped(wording.PHANTOM, _NORMAL, INNER - 2 * MARGIN)
    step = drawing.line_height(_NORMAL) + 4
    title_height = drawing.line_height(_LARGE)
    band, draw = _band(title_height + step * len(lines) + 56)
    draw.rounded_rectangle(
        (MARGIN, 8, WIDTH - MARGIN, band.height - 16), radius=12, outline=drawing.WARNING, width=3, fill=(52, 40, 12)
    )
    title = wording.PHANTOM_SHORT.upper()
    draw.text((2 * MARGIN, 20), title, font=drawing.font(_LARGE - 8), fill=drawing.WARNING)
    for number, line in enumerate(lines):
        draw.text((2 * MARGIN, 20 + title_height + step * number), line, font=drawing.font(_NORMAL), fill=drawing.TEXT)
    return band


def _probability_bar(probability: float, palette: drawing.Palette) -> Image.Image:
    """A scale from benign (0 %) to malignant (100 %). The votes decide; the 50 % line does so only when they tie."""
    band, draw = _band(136)
    top, bottom, middle = 36, 72, MARGIN + INNER // 2
    colours = drawing.verdict_colours(palette)
    draw.rectangle((MARGIN, top, middle, bottom), fill=_dimmed(colours[Verdict.BENIGN]))
    draw.rectangle((middle, top, WIDTH - MARGIN, bottom), fill=_dimmed(colours[Verdict.MALIGNANT]))
    draw.line((middle, top - 6, middle, bottom + 6), fill=drawing.TEXT, width=2)
    x = MARGIN + round(INNER * min(1.0, max(0.0, probability)))
    draw.polygon([(x, top + 4), (x - 16, top - 24), (x + 16, top - 24)], fill=drawing.TEXT)
    draw.line((x, top, x, bottom), fill=drawing.TEXT, width=5)
    labels = ((MARGIN, "BENIGN  0 %", "la"), (middle, "50 %", "ma"), (WIDTH - MARGIN, "100 %  MALIGNANT", "ra"))
    for at, text, anchor in labels:
        draw.text((at, bottom + 12), text, font=drawing.font(_SMALL), fill=drawing.QUIET_TEXT, anchor=anchor)
    return band


def _dimmed(colour: drawing.Colour) -> drawing.Colour:
    red, green, blue = (round(0.45 * part) for part in colour)
    return red, green, blue


def _facts(findings: Findings) -> Image.Image:
    lines = [(line, drawing.TEXT) for line in _fact_lines(findings)]
    if findings.status is not Status.NOT_ANALYSED:
        age = f"{wording.age_term(findings)}." if findings.decision else ""
        quiet = [age, wording.left_out_in_short(findings)]
        lines += [(line, drawing.QUIET_TEXT) for line in quiet if line]
    return _paragraphs(lines, _NORMAL)


def _fact_lines(findings: Findings) -> list[str]:
    if findings.status is Status.NOT_ANALYSED:
        return [wording.not_analysed(findings)]
    if findings.decision is None:
        images = sum(len(series.images) for series in findings.series_used)
        sequences = wording.counted(len(findings.series_used), "sequence")
        return [f"{sequences}, {wording.counted(images, 'image')} analysed. {wording.NO_LESION_CAVEAT}"]
    lines = [wording.sentence(wording.votes_of_patient(findings)), wording.how_decided(findings.decision)]
    return [line for line in lines if line]


def _paragraphs(lines: Sequence[tuple[str, drawing.Colour]], size: int) -> Image.Image:
    step = drawing.line_height(size) + 6
    laid_out = [[(part, colour) for part in drawing.wrapped(text, size, INNER)] for text, colour in lines]
    band, draw = _band(sum(step * len(parts) + _PARAGRAPH for parts in laid_out) + 2 * _PARAGRAPH)
    y = _PARAGRAPH
    for parts in laid_out:
        for text, colour in parts:
            draw.text((MARGIN, y), text, font=drawing.font(size), fill=colour)
            y += step
        y += _PARAGRAPH
    return band


def _cards(
    findings: Findings, pictures: Mapping[ImageReference, SlicePicture], palette: drawing.Palette
) -> list[Image.Image]:
    cards = sequence_cards(findings, key_slices(findings), pictures)
    if not cards or findings.status is Status.NOT_ANALYSED:
        return []
    columns = min(_CARDS_PER_ROW, len(cards))
    width = min(_WIDEST_CARD, (INNER - CARD_GAP * (columns - 1)) // columns)
    bands = []
    for start in range(0, len(cards), columns):
        drawn = draw_cards(cards[start : start + columns], width, palette)
        band, _ = _band(drawn[0].height + CARD_GAP)
        for number, card in enumerate(drawn):
            band.paste(card, (MARGIN + number * (width + CARD_GAP), 0))
        bands.append(band)
    return bands


def _left_out_list(findings: Findings) -> Image.Image:
    series = findings.series_left_out
    lines = [f"-  {wording.left_out(one)}" for one in series[:_LEFT_OUT_LISTED]]
    if len(series) > _LEFT_OUT_LISTED:
        lines.append(f"-  and {len(series) - _LEFT_OUT_LISTED} more; the structured report names them all.")
    return _paragraphs([(line, drawing.QUIET_TEXT) for line in lines], _SMALL)


def _model(findings: Findings) -> Image.Image:
    bundle = findings.bundle
    lines = [
        (f"Model: {wording.model_line(bundle)}", drawing.TEXT),
        (f"Trained on: {bundle.trained_on or 'not stated.'}", drawing.QUIET_TEXT),
        (f"Validated on: {bundle.validated_on or 'not stated.'}", drawing.QUIET_TEXT),
    ]
    return _paragraphs(lines, _SMALL)


def _footer(note: str, made_at: str) -> Image.Image:
    band, draw = _band(124 if note else 88, drawing.PANEL)
    draw.text((MARGIN, 44), wording.RESEARCH_USE, font=drawing.font(34), fill=drawing.WARNING, anchor="lm")
    draw.text((WIDTH - MARGIN, 44), made_at, font=drawing.font(_SMALL), fill=drawing.QUIET_TEXT, anchor="rm")
    if note:
        text = drawing.shortened(writable(note), _SMALL, INNER)
        draw.text((MARGIN, 92), text, font=drawing.font(_SMALL), fill=drawing.QUIET_TEXT, anchor="lm")
    return band
