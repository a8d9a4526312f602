"""Colours, text and boxes of the pictures. Sizes in picture pixels, origin top left.

Colour is never the only carrier: every red or green mark has its word beside it.
"""

from collections.abc import Sequence
from functools import lru_cache

from PIL import ImageDraw, ImageFont

from inference.findings import Verdict

Colour = tuple[int, int, int]
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom

BACKGROUND: Colour = (13, 17, 23)  # near black: reading rooms are dark
PANEL: Colour = (24, 30, 39)
LINE: Colour = (58, 68, 82)
TEXT: Colour = (236, 240, 245)
QUIET_TEXT: Colour = (160, 172, 186)
WARNING: Colour = (255, 190, 60)
NEUTRAL: Colour = (120, 170, 235)
BENIGN: Colour = (64, 214, 92)  # the paper's green
MALIGNANT: Colour = (255, 72, 64)  # the paper's red
VERDICT_COLOUR = {Verdict.BENIGN: BENIGN, Verdict.MALIGNANT: MALIGNANT}
BLACK: Colour = (0, 0, 0)

_UNPRINTABLE = "?"


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own scalable font: no font file is needed, and every machine draws the same pixels."""
    loaded = ImageFont.load_default(size=size)
    if not isinstance(loaded, ImageFont.FreeTypeFont):
        raise TypeError("this Pillow was built without FreeType; install the wheel from PyPI")
    return loaded


def printable(text: str) -> str:
    """The font draws Western European letters; others become a question mark instead of an empty box."""
    return "".join(c if c.isprintable() and ord(c) < 0x180 else _UNPRINTABLE for c in text)


def text_size(text: str, size: int) -> tuple[int, int]:
    """Width of the text and height of a line."""
    return round(font(size).getlength(text)), line_height(size)


def line_height(size: int) -> int:
    ascent, descent = font(size).getmetrics()
    return ascent + descent


def wrapped(text: str, size: int, width: int) -> list[str]:
    """Lines of at most `width`; a single word that is wider is cut."""
    lines: list[str] = []
    for word in printable(text).split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font(size).getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(shortened(word, size, width))
    return lines


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


def draw_box(draw: ImageDraw.ImageDraw, box: Rectangle, colour: Colour, width: int, *, inside: tuple[int, int]) -> None:
    """A frame around the box, its inside left free; a dark rim keeps it visible on bright fat.

    At the edge of the picture (`inside`: width, height) the frame moves inwards, so that all four sides are seen.
    """
    rim = max(1, width // 2)
    for grown, line, paint in ((width + rim, rim, BLACK), (width, width, colour)):
        left, top = max(0, round(box[0]) - grown), max(0, round(box[1]) - grown)
        right, bottom = min(inside[0], round(box[2]) + grown), min(inside[1], round(box[3]) + grown)
        draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=paint, width=line)


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
    size: tuple[int, int], beside: Rectangle, *, inside: tuple[int, int], taken: Sequence[Rectangle], gap: int
) -> tuple[int, int] | None:
    """Top left corner for a label of `size` next to a box, within a picture of `inside` (width, height).

    Tries above, below, right and left of the box, at both of its ends; None when each place covers something taken.
    """
    width, height = size
    left, top, right, bottom = beside
    across = (left, right - width, (left + right - width) / 2)
    along = (top, bottom - height, (top + bottom - height) / 2)
    candidates = [
        *((x, top - gap - height) for x in across),
        *((x, bottom + gap) for x in across),
        *((right + gap, y) for y in along),
        *((left - gap - width, y) for y in along),
    ]
    for x, y in candidates:
        # a label may slide along its side of the box, never off the picture
        place = (min(max(x, 0), inside[0] - width), min(max(y, 0), inside[1] - height))
        plate = (place[0], place[1], place[0] + width, place[1] + height)
        if min(place) >= 0 and not any(overlap(plate, other) for other in taken):
            return round(place[0]), round(place[1])
    return None
