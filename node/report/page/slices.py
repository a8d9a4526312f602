"""The key slices of the PDF page, with their boxes, and below each one the votes of its sequence. Sizes in points."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from PIL import Image

from inference.findings import Verdict
from node.report import wording
from node.report.page.blocks import NAMES_ALL, SMALL, Block
from node.report.page.sheet import INK, INNER, MARGIN, QUIET, RULE, Sheet, line_height, shortened
from node.report.pictures import drawing
from node.report.pictures.overlay import draw_lesions
from node.report.pictures.sequence_card import SequenceCard
from node.report.pictures.slice_picture import SlicePicture

_PIXELS_PER_POINT: Final = 3.0  # 216 dpi
_PER_ROW: Final = 4
_WIDEST: Final = 190.0
_LOWEST: Final = 60.0  # a lower picture shows nothing
_GAP: Final = 10.0
_STRIP: Final = 9.0
_LETTERED: Final = 8.0  # narrowest field of the strip that holds a letter
_MARK: Final = 4.0  # height of the mark over the strip
_CAPTION: Final = 3.0 + 2 * line_height(SMALL)
_LABEL_PX, _LINE_PX = 21, 4  # 7 points and a little more than 1 point
_VOTE_LETTER: Final = {Verdict.BENIGN: "B", Verdict.MALIGNANT: "M"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    columns: int
    rows: int
    cell_width: float
    picture_height: float
    has_strip: bool  # of votes

    @property
    def below_picture(self) -> float:
        return _below_picture(has_strip=self.has_strip)

    @property
    def cell_height(self) -> float:
        return self.picture_height + self.below_picture


def key_slice_pictures(cards: Sequence[SequenceCard], palette: drawing.Palette, *, room: float) -> Block | None:
    """Key slices in one or two rows, as large and as many as `room` (a height) allows; None where it is too low.

    Where not all fit, those with boxes are shown.
    """
    room -= line_height(SMALL)
    for most in (2 * _PER_ROW, _PER_ROW):
        chosen = sorted(cards, key=lambda card: not card.lesions)[:most]
        shown = [card for card in cards if card in chosen]
        grid = _grid(shown, room)
        if grid is not None:
            return _in_grid(shown, grid, palette, left_out=len(cards) - len(shown))
    return None


def _in_grid(cards: Sequence[SequenceCard], grid: _Grid, palette: drawing.Palette, *, left_out: int) -> Block:
    height = grid.rows * grid.cell_height + (grid.rows - 1) * _GAP

    def draw(sheet: Sheet, y: float) -> None:
        for number, card in enumerate(cards):
            row, column = divmod(number, grid.columns)
            x = MARGIN + column * (grid.cell_width + _GAP)
            _draw_cell(sheet, card, (x, y + row * (grid.cell_height + _GAP)), grid, palette)
        if left_out:
            text = f"And {wording.counted(left_out, 'more sequence')}; {NAMES_ALL}"
            sheet.text(MARGIN, y + height + 0.5 * line_height(SMALL), text, size=SMALL, colour=QUIET)

    return Block(height=height + (line_height(SMALL) if left_out else 0.0), draw=draw)


def _grid(cards: Sequence[SequenceCard], room: float) -> _Grid | None:
    rows = ceil(len(cards) / _PER_ROW)
    if not rows:
        return None
    columns = ceil(len(cards) / rows)
    cell_width = min(_WIDEST, (INNER - _GAP * (columns - 1)) / columns)
    has_strip = any(card.vote is not None and card.vote.votes for card in cards)
    highest = max(cell_width * _height_by_width(card) for card in cards)
    height = min(highest, (room - (rows - 1) * _GAP) / rows - _below_picture(has_strip=has_strip))
    if height < min(_LOWEST, highest):
        return None
    return _Grid(columns=columns, rows=rows, cell_width=cell_width, picture_height=height, has_strip=has_strip)


def _below_picture(*, has_strip: bool) -> float:
    return _CAPTION + (1.0 + _MARK + _STRIP if has_strip else 0.0)


def _height_by_width(card: SequenceCard) -> float:
    return 1.0 if card.picture is None else card.picture.image.height / card.picture.image.width


def _draw_cell(
    sheet: Sheet, card: SequenceCard, at: tuple[float, float], grid: _Grid, palette: drawing.Palette
) -> None:
    x, y = at
    width = min(grid.cell_width, grid.picture_height / _height_by_width(card))
    height = width * _height_by_width(card)
    left, top = x + 0.5 * (grid.cell_width - width), y + grid.picture_height - height
    homeless: Sequence[str] = ()
    if card.picture is None:
        sheet.rectangle(left, top, width, height, line=RULE)
        sheet.text(left + 0.5 * width, top + 0.5 * height, "no picture", size=SMALL, colour=QUIET, anchor="middle")
    else:
        image, homeless = _with_boxes(card, card.picture, round(width * _PIXELS_PER_POINT), palette)
        sheet.picture(image, left, top, width, height)
    if grid.has_strip:
        _draw_strip(sheet, card, (left, y + grid.picture_height + 1.0 + _MARK), width, palette)
    caption_top = y + grid.cell_height - 2 * line_height(SMALL)
    for number, text in enumerate((wording.KIND[card.series.kind], _shown(card, homeless))):
        middle = caption_top + line_height(SMALL) * (number + 0.5)
        text = shortened(text, SMALL, grid.cell_width)
        sheet.text(x + 0.5 * grid.cell_width, middle, text, size=SMALL, anchor="middle")


def _with_boxes(
    card: SequenceCard, picture: SlicePicture, width: int, palette: drawing.Palette
) -> tuple[Image.Image, list[str]]:
    """The slice at `width` pixels with its boxes, and the labels that found no place in it."""
    full = picture.image
    height = max(1, round(full.height * width / full.width))
    small = full.resize((width, height)).convert("RGB")
    x, y = picture.scale
    shown = SlicePicture(small, (x * width / full.width, y * height / full.height), picture.orientation)
    homeless = draw_lesions(small, card.lesions, shown, size=_LABEL_PX, line=_LINE_PX, palette=palette)
    return small, [wording.lesion_label(lesion) for lesion in homeless]


def _draw_strip(
    sheet: Sheet, card: SequenceCard, at: tuple[float, float], width: float, palette: drawing.Palette
) -> None:
    """One field per slice in spatial order: its vote in colour and letter; a mark over the slice that is shown.

    Where fields are too narrow for letters, a benign vote fills only the lower half.
    """
    x, y = at
    colours = drawing.verdict_colours(palette)
    votes = {vote.image: vote.verdict for vote in card.vote.votes} if card.vote else {}
    images = card.series.images
    field = width / max(1, len(images))
    gap = 1.0 if field > 4.0 else 0.2
    for number, image in enumerate(images):
        verdict, left = votes.get(image), x + number * field
        middle = left + 0.5 * (field - gap)
        sheet.rectangle(left, y, field - gap, _STRIP, fill=RULE)
        if verdict:
            upper = 0.5 * _STRIP if field < _LETTERED and verdict is Verdict.BENIGN else 0.0
            sheet.rectangle(left, y + upper, field - gap, _STRIP - upper, fill=colours[verdict])
        if verdict and field >= _LETTERED:
            sheet.text(middle, y + 0.5 * _STRIP, _VOTE_LETTER[verdict], size=SMALL - 1.0, anchor="middle")
        if image == card.key_slice:
            sheet.polygon([(middle, y - 0.5), (middle - 3.0, y - _MARK), (middle + 3.0, y - _MARK)], fill=INK)


def _shown(card: SequenceCard, homeless: Sequence[str]) -> str:
    """Which slice the picture is, and what its boxes say where the picture has no room for it."""
    if card.key_slice is None:
        return ""
    number = card.series.images.index(card.key_slice) + 1
    boxes = {0: "no box", 1: "1 box"}.get(len(card.lesions), f"{len(card.lesions)} boxes")
    return f"slice {number} of {len(card.series.images)}, {', '.join(homeless) or boxes}"
