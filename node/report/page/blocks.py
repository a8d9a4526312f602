"""The blocks of text of the PDF page, each as high as its content. Sizes in points."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from inference.findings import Findings, Verdict
from node.report import wording
from node.report.page.sheet import (
    INK,
    INNER,
    MARGIN,
    PANEL,
    QUIET,
    RULE,
    WIDTH,
    Sheet,
    fitting_size,
    line_height,
    shortened,
    text_width,
    wrapped,
)
from node.report.pictures import drawing
from node.report.pictures.summary import headline_colour
from node.report.typeface import Weight

SMALL: Final = 7.0
NORMAL: Final = 8.5
TITLE: Final = 9.5
HEADLINE: Final = 27.0
HEADING: Final = 19.0  # height of a heading with its rule and the gap below
PAD: Final = 8.0  # inside plates
_BAR_HEIGHT: Final = 9.0
_LISTED: Final = 12  # series left out that are named one by one
_LIST_LINES: Final = 2  # of one of them
IN_FULL: Final = "... (the structured report has the whole text)"
NAMES_ALL: Final = "the structured report names them all."
_WARNING_GROUND: Final[drawing.Colour] = (255, 247, 224)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Something that is `height` points high; `draw` takes the sheet and the y of its upper edge."""

    height: float
    draw: Callable[[Sheet, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    text: str
    colour: drawing.Colour = INK
    weight: Weight = "regular"
    size: float = NORMAL
    most: int = 3  # lines


def paragraphs(parts: Sequence[Paragraph], *, x: float = MARGIN, width: float = INNER) -> Block:
    """Paragraphs one below the other, wrapped; the empty ones are left out."""
    laid_out = [
        (part, wrapped(part.text, part.size, width, most=part.most, weight=part.weight, cut=IN_FULL))
        for part in parts
        if part.text
    ]
    height = sum(line_height(part.size) * len(lines) for part, lines in laid_out) + 3.0 * max(0, len(laid_out) - 1)

    def draw(sheet: Sheet, y: float) -> None:
        for part, lines in laid_out:
            for line in lines:
                middle = y + 0.5 * line_height(part.size)
                sheet.text(x, middle, line, size=part.size, colour=part.colour, weight=part.weight)
                y += line_height(part.size)
            y += 3.0

    return Block(height=height, draw=draw)


def titled(text: str, block: Block) -> Block:
    """The block under a heading."""

    def draw(sheet: Sheet, y: float) -> None:
        sheet.text(MARGIN, y + 6.0, text, size=TITLE, weight="bold")
        sheet.rule(MARGIN, WIDTH - MARGIN, y + 13.5)
        block.draw(sheet, y + HEADING)

    return Block(height=HEADING + block.height, draw=draw)


def top_line(left: str, right: str) -> Block:
    """Who made the page, and when."""

    def draw(sheet: Sheet, y: float) -> None:
        sheet.text(MARGIN, y + 5.0, left, size=NORMAL, colour=QUIET)
        sheet.text(WIDTH - MARGIN, y + 5.0, right, size=NORMAL, colour=QUIET, anchor="right")

    return Block(height=10.0, draw=draw)


def headline(findings: Findings, palette: drawing.Palette) -> Block:
    """The verdict in dark letters on a plate of its colour, the probability at its right."""
    height, text = 52.0, wording.headline(findings)
    decision = findings.decision
    room = INNER - 2 * PAD - 8.0 - (150.0 if decision else 0.0)

    def draw(sheet: Sheet, y: float) -> None:
        sheet.rectangle(MARGIN, y, INNER, height, fill=headline_colour(findings, palette), radius=4.0)
        size = fitting_size(text, HEADLINE, room, "bold")
        sheet.text(MARGIN + PAD + 4.0, y + 0.5 * height, text, size=size, weight="bold")
        if decision is not None:
            right = WIDTH - MARGIN - PAD - 4.0
            percent = wording.percent(decision.probability_malignant)
            sheet.text(right, y + 19.0, percent, size=22.0, weight="bold", anchor="right")
            sheet.text(right, y + 40.0, "probability of malignancy", size=NORMAL, anchor="right")

    return Block(height=height, draw=draw)


def warning(title: str, text: str) -> Block:
    """A framed caveat."""
    lines = wrapped(text, NORMAL, INNER - 2 * PAD, most=3)
    height = 10.0 + line_height(TITLE) + line_height(NORMAL) * len(lines)

    def draw(sheet: Sheet, y: float) -> None:
        sheet.rectangle(MARGIN, y, INNER, height, fill=_WARNING_GROUND, line=drawing.WARNING, radius=3.0)
        sheet.text(MARGIN + PAD, y + 5.0 + 0.5 * line_height(TITLE), title, size=TITLE, weight="bold")
        for number, line in enumerate(lines):
            middle = y + 5.0 + line_height(TITLE) + line_height(NORMAL) * (number + 0.5)
            sheet.text(MARGIN + PAD, middle, line, size=NORMAL)

    return Block(height=height, draw=draw)


def probability_bar(probability: float, palette: drawing.Palette) -> Block:
    """A scale from benign (0 %) to malignant (100 %) with a mark at the probability."""
    above, below = 8.0, 11.0
    colours = drawing.verdict_colours(palette)

    def draw(sheet: Sheet, y: float) -> None:
        top, half = y + above, 0.5 * INNER
        sheet.rectangle(MARGIN, top, half, _BAR_HEIGHT, fill=_pale(colours[Verdict.BENIGN]))
        sheet.rectangle(MARGIN + half, top, half, _BAR_HEIGHT, fill=_pale(colours[Verdict.MALIGNANT]))
        x = MARGIN + INNER * min(1.0, max(0.0, probability))
        sheet.polygon([(x, top), (x - 4.5, y), (x + 4.5, y)], fill=INK)
        sheet.rectangle(x - 0.8, top, 1.6, _BAR_HEIGHT, fill=INK)
        middle = top + _BAR_HEIGHT + 7.0
        sheet.text(MARGIN, middle, "BENIGN  0 %", size=SMALL, colour=QUIET)
        sheet.text(MARGIN + half, middle, "50 %", size=SMALL, colour=QUIET, anchor="middle")
        sheet.text(WIDTH - MARGIN, middle, "100 %  MALIGNANT", size=SMALL, colour=QUIET, anchor="right")

    return Block(height=above + _BAR_HEIGHT + below, draw=draw)


def left_out_list(findings: Findings) -> Block:
    """The series left out, one by one, for a case that was not analysed."""
    series = findings.series_left_out
    parts = [Paragraph(text=wording.left_out(one), most=_LIST_LINES) for one in series[:_LISTED]]
    if len(series) > _LISTED:
        parts.append(Paragraph(text=f"And {len(series) - _LISTED} more; {NAMES_ALL}", colour=QUIET))
    return paragraphs(parts)


def named_values(rows: Iterable[tuple[str, str]], *, most: int) -> Block:
    """Names at the left, their values beside them, wrapped to at most `most` lines each."""
    rows = list(rows)
    column = max(text_width(name, SMALL + 0.5) for name, _ in rows) + 12.0
    blocks = [
        paragraphs([Paragraph(text=value, size=SMALL + 0.5, most=most)], x=MARGIN + column, width=INNER - column)
        for _, value in rows
    ]

    def draw(sheet: Sheet, y: float) -> None:
        for (name, _), block in zip(rows, blocks, strict=True):
            sheet.text(MARGIN, y + 0.5 * line_height(SMALL + 0.5), name, size=SMALL + 0.5, colour=QUIET)
            block.draw(sheet, y)
            y += block.height + 2.0

    return Block(height=sum(block.height + 2.0 for block in blocks) - 2.0, draw=draw)


def footer(note: str, whose: str) -> Block:
    """What every page ends with: the intended use, the site's own line, and where the patient is named."""
    lines = [(text, SMALL) for text in (note, whose) if text]
    height = 10.0 + 16.0 + line_height(SMALL) * len(lines)

    def draw(sheet: Sheet, y: float) -> None:
        sheet.rectangle(MARGIN, y, INNER, height, fill=PANEL, line=RULE, radius=3.0)
        sheet.text(MARGIN + PAD, y + 13.0, wording.RESEARCH_USE, size=12.0, weight="bold")
        for number, (text, size) in enumerate(lines):
            middle = y + 5.0 + 16.0 + line_height(size) * (number + 0.5)
            sheet.text(MARGIN + PAD, middle, shortened(text, size, INNER - 2 * PAD), size=size, colour=QUIET)

    return Block(height=height, draw=draw)


def _pale(colour: drawing.Colour) -> drawing.Colour:
    red, green, blue = (round(0.55 * part + 0.45 * 255) for part in colour)
    return red, green, blue
