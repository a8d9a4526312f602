"""The sheet of the PDF: A4, its fonts and colours. Sizes in points (1/72 inch); y grows downwards from the upper edge.

The fonts are embedded, so that every viewer shows the same page, and their text can be searched.
"""

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from typing import Final, Literal

from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase.pdfmetrics import getFont, registerFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from node.report.pictures.drawing import Colour
from node.report.typeface import Weight, font_file, writable

WIDTH: Final[float] = A4[0]
HEIGHT: Final[float] = A4[1]
MARGIN: Final = 36.0
INNER: Final[float] = WIDTH - 2 * MARGIN

# On paper: white ground, dark text. Verdicts are dark words on plates of their colour.
INK: Final[Colour] = (20, 24, 30)
QUIET: Final[Colour] = (88, 98, 110)
RULE: Final[Colour] = (196, 203, 212)
PANEL: Final[Colour] = (242, 244, 247)

Anchor = Literal["left", "middle", "right"]

_LINE_HEIGHT: Final = 1.3  # of the font size
_CAPITALS: Final = 0.73  # their height as part of the font size
_CUT: Final = "..."
_LONGEST_TEXT: Final = 4000  # characters; more than any place on the page holds


@cache
def font_name(weight: Weight) -> str:
    """The name of a font that reportlab knows by then."""
    name = f"SpineNode-{weight}"
    registerFont(TTFont(name, font_file(weight)))
    return name


def text_width(text: str, size: float, weight: Weight = "regular") -> float:
    return float(getFont(font_name(weight)).stringWidth(text, size))


def line_height(size: float) -> float:
    return _LINE_HEIGHT * size


def wrapped(
    text: str, size: float, width: float, *, most: int, weight: Weight = "regular", cut: str = _CUT
) -> list[str]:
    """Up to `most` lines of at most `width`; where the text is longer, it ends with `cut`."""
    lines: list[str] = []
    for word in _pieces(writable(text[:_LONGEST_TEXT], weight).split(), size, width, weight):
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(joined, size, weight) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    if len(lines) > most:
        return [*lines[: most - 1], shortened(" ".join(lines[most - 1 :]), size, width, weight=weight, cut=cut)]
    return _without_widow(lines, size, width, weight)


def shortened(text: str, size: float, width: float, *, weight: Weight = "regular", cut: str = _CUT) -> str:
    """One line of the text, or its beginning and `cut` where it is wider than `width`."""
    text = writable(text[:_LONGEST_TEXT], weight)
    if text_width(text, size, weight) <= width:
        return text
    while text and text_width(text + cut, size, weight) > width:
        text = text[:-1].rstrip()
    return text + cut


def fitting_size(text: str, size: float, width: float, weight: Weight = "regular") -> float:
    """The font size, or the smaller one at which the text is as wide as `width`."""
    return min(size, size * width / max(1.0, text_width(text, size, weight)))


class Sheet:
    """One A4 page. The same calls give the same bytes."""

    def __init__(self, *, title: str, subject: str, author: str) -> None:
        self._buffer = BytesIO()
        # invariant: no date of today and no random identifier in the file
        self._canvas = Canvas(
            self._buffer,
            pagesize=A4,
            invariant=1,
            pageCompression=1,
            initialFontName=font_name("regular"),  # else Helvetica is named, which is not embedded
            lang="en",
        )
        self._canvas.setTitle(title)
        self._canvas.setSubject(subject)
        self._canvas.setAuthor(author)
        self._canvas.setCreator(author)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float,
        colour: Colour = INK,
        weight: Weight = "regular",
        anchor: Anchor = "left",
    ) -> None:
        """One line; `y` is the middle of its capitals."""
        text = writable(text, weight)
        x -= {"left": 0.0, "middle": 0.5, "right": 1.0}[anchor] * text_width(text, size, weight)
        self._canvas.setFillColorRGB(*_unit(colour))
        self._canvas.setFont(font_name(weight), size)
        self._canvas.drawString(x, HEIGHT - y - 0.5 * _CAPITALS * size, text)

    def rectangle(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: Colour | None = None,
        line: Colour | None = None,
        radius: float = 0.0,
    ) -> None:
        if fill is not None:
            self._canvas.setFillColorRGB(*_unit(fill))
        if line is not None:
            self._canvas.setStrokeColorRGB(*_unit(line))
            self._canvas.setLineWidth(1.0)
        self._canvas.roundRect(
            x, HEIGHT - y - height, width, height, radius, fill=int(fill is not None), stroke=int(line is not None)
        )

    def rule(self, x0: float, x1: float, y: float, *, colour: Colour = RULE, width: float = 0.6) -> None:
        """A horizontal line."""
        self._canvas.setStrokeColorRGB(*_unit(colour))
        self._canvas.setLineWidth(width)
        self._canvas.line(x0, HEIGHT - y, x1, HEIGHT - y)

    def polygon(self, corners: Sequence[tuple[float, float]], *, fill: Colour) -> None:
        path = self._canvas.beginPath()
        path.moveTo(corners[0][0], HEIGHT - corners[0][1])
        for x, y in corners[1:]:
            path.lineTo(x, HEIGHT - y)
        path.close()
        self._canvas.setFillColorRGB(*_unit(fill))
        self._canvas.drawPath(path, fill=1, stroke=0)

    def picture(self, image: Image.Image, x: float, y: float, width: float, height: float) -> None:
        self._canvas.drawImage(ImageReader(image), x, HEIGHT - y - height, width, height)

    def pdf(self) -> bytes:
        """The finished file."""
        self._canvas.showPage()
        self._canvas.save()
        return self._buffer.getvalue()


def _unit(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = (part / 255 for part in colour)
    return red, green, blue


def _pieces(words: Sequence[str], size: float, width: float, weight: Weight) -> list[str]:
    """The words; one that is wider than a line, such as a UID or a script without spaces, in several."""
    pieces: list[str] = []
    for word in words:
        rest = word
        while text_width(rest, size, weight) > width and len(rest) > 1:
            length = len(rest) - 1
            while length > 1 and text_width(rest[:length], size, weight) > width:
                length -= 1
            pieces.append(rest[:length])
            rest = rest[length:]
        pieces.append(rest)
    return pieces


def _without_widow(lines: list[str], size: float, width: float, weight: Weight) -> list[str]:
    """No single word on the last line, where the line before it can spare one."""
    if len(lines) < 2 or " " in lines[-1] or lines[-2].count(" ") < 2:
        return lines
    kept, moved = lines[-2].rsplit(" ", 1)
    last = f"{moved} {lines[-1]}"
    return [*lines[:-2], kept, last] if text_width(last, size, weight) <= width else lines
