"""The letters of all pictures and pages: Bitstream Vera, which reportlab brings along, so every machine draws the same.

It has the Western European letters. Others lose their accent, or become a question mark: never an empty box.
"""

import unicodedata
from functools import cache
from pathlib import Path
from typing import Final, Literal

import reportlab
from reportlab.pdfbase.ttfonts import TTFontFile

Weight = Literal["regular", "bold"]

_FILES: Final[dict[Weight, str]] = {"regular": "Vera.ttf", "bold": "VeraBd.ttf"}
_UNWRITABLE: Final = "?"


def font_file(weight: Weight = "regular") -> str:
    return str(Path(reportlab.__file__).parent / "fonts" / _FILES[weight])


def writable(text: str, weight: Weight = "regular") -> str:
    """What the font can write of a text, on one line."""
    composed = unicodedata.normalize("NFC", " ".join(text.split()))
    return "".join(_writable_letter(character, _letters(weight)) for character in composed)


def _writable_letter(character: str, letters: frozenset[int]) -> str:
    without_accent = unicodedata.normalize("NFD", character)[0]
    candidates = (character, without_accent)
    return next((one for one in candidates if one.isprintable() and ord(one) in letters), _UNWRITABLE)


@cache
def _letters(weight: Weight) -> frozenset[int]:
    """Code points that the font has: some are in its table, but with glyph 0, the empty box."""
    return frozenset(code for code, glyph in TTFontFile(font_file(weight)).charToGlyph.items() if glyph)
