"""Colours, text and boxes of the pictures. Sizes in picture pixels, origin top left.

Colour is never the only carrier: every mark in a colour of a verdict has its word beside it, and the frame of a benign
lesion is dashed.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal

from PIL import ImageDraw, ImageFont

from inference.findings import Verdict
from node.report.typeface import font_file, writable

Colour = tuple[int, int, int]
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom
Palette = Literal["paper", "colour_blind_safe"]

BACKGROUND: Colour = (13, 17, 23)  # near black: reading rooms are dark
PANEL: Colour = (24, 30, 39)
LINE: Colour = (58, 68, 82)
TEXT: Colour = (236, 240, 245)
QUIET_TEXT: Colour = (160, 172, 186)
WARNING: Colour = (255, 190, 60)
NEUTRAL: Colour = (200, 204, 210)  # gray: a hue could pass for a verdict
BLACK: Colour = (0, 0, 0)

_VERDICT_COLOURS: Final[dict[Palette, dict[Verdict, Colour]]] = {
    # Red and green of the paper, bright enough for a dark room; to a deuteranope they are nearly one colour
    "paper": {Verdict.BENIGN: (64, 214, 92), Verdict.MALIGNANT: (255, 72, 64)},
    # Sky blue and vermillion of Okabe and Ito (2008). Their darker blue is lost on dark images: contrast 4.0 to black,
    # where sky blue has 9.1 and vermillion 5.4
    "colour_blind_safe": {Verdict.BENIGN: (86, 180, 233), Verdict.MALIGNANT: (213, 94, 0)},
}
_DASH: Final = 4  # length of a dash of a frame, in line widths
_FEWEST_DASHES: Final = 3  # dash, gap, dash: fewer would look like a line
_STEPS: Final = 7  # places that are tried along each side of a box


def verdict_colours(palette: Palette) -> dict[Verdict, Colour]:
    """The colour of each verdict, in every picture and presentation state of a report."""
    return dict(_VERDICT_COLOURS[palette])


def is_dashed(verdict: Verdict) -> bool:
    """Frames differ without colour too: malignant solid, benign dashed, in every palette."""
    return verdict is Verdict.BENIGN


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_file(), size, layout_engine=ImageFont.Layout.BASIC)


def text_size(text: str, size: int) -> tuple[int, int]:
    """Width of the text and height of a line."""
    return round(font(size).getlength(text)), line_height(size)


def line_height(size: int) -> int:
    ascent, descent = font(size).getmetrics()
    return ascent + descent


@lru_cache(maxsize=256)  # the pictures of a case say much of the same, and measuring takes long
def wrapped(text: str, size: int, width: int) -> tuple[str, ...]:
    """Lines of at most `width`; a single word that is wider is cut."""
    lines: list[str] = []
    for word in writable(text).split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font(size).getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(shortened(word, size, width))
    return tuple(lines)


def shortened(text: str, size: int, width: int) -> str:
    """The text, or its beginning and "..." where it is wider than `width`."""
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."


def fitting_size(text: str, size: int, width: int, *, smallest: int = 8) -> int:
    """The largest font size up to `size` at which the text is at most `width`."""
    while size > smallest and font(size).getlength(text) > width:
        size -= 1
    return size


def draw_box(
    draw: ImageDraw.ImageDraw, box: Rectangle, colour: Colour, width: int, *, inside: tuple[int, int], dashed: bool
) -> None:
    """A frame around the box, its inside left free; a dark rim keeps it visible on bright fat.

    At the edge of the picture (`inside`: width, height) the frame moves inwards, so that all four sides are seen.
    Gaps of a dashed frame are dark, so that its dashes are seen on any background.
    """
    rim = max(1, width // 2)
    draw.rectangle(_frame(box, width + rim, inside), outline=BLACK, width=rim)
    frame = _frame(box, width, inside)
    draw.rectangle(frame, outline=BLACK if dashed else colour, width=width)
    if dashed:
        left, top, right, bottom = frame
        for start, end in _dashes(left, right, width):
            draw.rectangle((start, top, end, top + width - 1), fill=colour)
            draw.rectangle((start, bottom - width + 1, end, bottom), fill=colour)
        for start, end in _dashes(top, bottom, width):
            draw.rectangle((left, start, left + width - 1, end), fill=colour)
            draw.rectangle((right - width + 1, start, right, end), fill=colour)


def _frame(box: Rectangle, grown: int, inside: tuple[int, int]) -> tuple[int, int, int, int]:
    """First and last pixel of a frame, along x and y."""
    left, top = max(0, round(box[0]) - grown), max(0, round(box[1]) - grown)
    right, bottom = min(inside[0], round(box[2]) + grown), min(inside[1], round(box[3]) + grown)
    return left, top, max(left, right - 1), max(top, bottom - 1)


def _dashes(first: int, last: int, width: int) -> list[tuple[int, int]]:
    """First and last pixel of each dash of one side; dashes and gaps are equally long, and the corners are dashes."""
    length = last - first + 1
    parts = max(_FEWEST_DASHES, round(length / (_DASH * width)) // 2 * 2 + 1)
    cuts = [first + round(number * length / parts) for number in range(parts + 1)]
    return [(start, max(start, end - 1)) for start, end in zip(cuts[0::2], cuts[1::2], strict=True)]


def draw_chip(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, colour: Colour) -> Rectangle:
    """Dark text on a coloured plate, `at` its top left corner; returns the plate."""
    width, height = chip_size(text, size)
    plate = (at[0], at[1], at[0] + width - 1, at[1] + height - 1)
    draw.rounded_rectangle(plate, radius=height // 6, fill=colour)
    draw.text((at[0] + size // 2, at[1] + height / 2), text, font=font(size), fill=BLACK, anchor="lm")
    return plate


def chip_size(text: str, size: int) -> tuple[int, int]:
    width, height = text_size(text, size)
    return width + 2 * (size // 2), height


def overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def free_place(
    size: tuple[int, int],
    beside: Rectangle,
    *,
    inside: tuple[int, int],
    taken: Sequence[Rectangle],
    gap: int,
    others: Sequence[Rectangle] = (),
) -> tuple[int, int] | None:
    """Top left corner for a label of `size` next to a box, within a picture of `inside` (width, height).

    Tries above, below, right and left of the box: at both of its ends, in the middle, and wherever else the label
    still touches that side. It does not stand beside one of the `others`, whose label it could be taken for, unless the
    ends and middles leave no choice. None when each place covers something taken.
    """
    width, height = size
    left, top, right, bottom = beside
    near = [(other[0] - height, other[1] - height, other[2] + height, other[3] + height) for other in others]
    ends_and_middles = _around(
        size,
        beside,
        gap,
        across=(left, right - width, (left + right - width) / 2),
        along=(top, bottom - height, (top + bottom - height) / 2),
    )
    elsewhere = _around(size, beside, gap, across=_between(left - width, right), along=_between(top - height, bottom))
    for candidates, avoided in (([*ends_and_middles, *elsewhere], [*taken, *near]), (ends_and_middles, taken)):
        for x, y in candidates:
            # a label may slide along its side of the box, never off the picture
            place = (min(max(x, 0), inside[0] - width), min(max(y, 0), inside[1] - height))
            plate = (place[0], place[1], place[0] + width, place[1] + height)
            if min(place) >= 0 and not any(overlap(plate, other) for other in avoided):
                return round(place[0]), round(place[1])
    return None


def _around(
    size: tuple[int, int], beside: Rectangle, gap: int, *, across: Sequence[float], along: Sequence[float]
) -> list[tuple[float, float]]:
    """Places above and below a box at each x of `across`, then right and left of it at each y of `along`."""
    width, height = size
    left, top, right, bottom = beside
    return [
        *((x, top - gap - height) for x in across),
        *((x, bottom + gap) for x in across),
        *((right + gap, y) for y in along),
        *((left - gap - width, y) for y in along),
    ]


def _between(first: float, last: float) -> list[float]:
    return [first + (last - first) * step / (_STEPS + 1) for step in range(1, _STEPS + 1)]
