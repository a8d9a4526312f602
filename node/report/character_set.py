"""Which Specific Character Set an object is written in: UTF-8, or by choice that of its source images.

PS3.3 C.12.1.1.2 lists the terms, PS3.5 6.1.2.5 says how they are combined. An object is written in its source's set
only when every text in it comes back the same from any reader; else in UTF-8.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import structlog
from pydicom.charset import convert_encodings, decode_bytes, default_encoding, encode_string
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR

log = structlog.get_logger(__name__)

UTF_8: Final = "ISO_IR 192"
_DEFAULT_REPERTOIRE: Final = ((), ("",), ("ISO_IR 6",))  # PS3.5 6.1.2.1: ASCII, said by saying nothing
_SINGLE_BYTE: Final = ("13", "100", "101", "109", "110", "126", "127", "138", "144", "148", "166")
_ALONE: Final = frozenset({UTF_8, "GB18030", "GBK", *(f"ISO_IR {number}" for number in _SINGLE_BYTE)})
_FIRST_OF_SEVERAL: Final = frozenset({f"ISO 2022 IR {number}" for number in ("6", *_SINGLE_BYTE)})
# Japanese and Korean. Not IR 58 (Chinese, GB 2312): pydicom writes it without its escape sequences.
_FURTHER: Final = _FIRST_OF_SEVERAL | {"ISO 2022 IR 87", "ISO 2022 IR 149", "ISO 2022 IR 159"}
_JAPANESE: Final = {"iso2022_jp": b"\x1b$B", "iso2022_jp_2": b"\x1b$(D"}  # JIS X 0208, JIS X 0212
_KOREAN: Final = "euc_kr"
_KATAKANA: Final = "shift_jis"  # what pydicom takes for JIS X 0201, one byte a letter
_COMPONENT: Final = re.compile("[=^]")  # PS3.5 6.2: each component of a name is encoded on its own


def choose_character_set(dataset: Dataset, source: Dataset, wanted: Literal["utf-8", "source"]) -> None:
    """Set or remove Specific Character Set of a complete object that was never saved (names keep their first bytes)."""
    dataset.SpecificCharacterSet = UTF_8
    if wanted == "utf-8":
        return
    terms = _terms(source)
    if not _well_formed(terms):
        _tell(dataset, "the character set of the images is none that can be written")
    elif not all(_fits(text, terms) for text in _texts(dataset)):
        _tell(dataset, "a text does not fit into the character set of the images")
    elif terms in _DEFAULT_REPERTOIRE:
        del dataset.SpecificCharacterSet
    else:
        dataset.SpecificCharacterSet = list(terms) if len(terms) > 1 else terms[0]


def _tell(dataset: Dataset, why: str) -> None:
    log.info("report_object_in_utf8", sop_class_uid=str(dataset.SOPClassUID), reason=why)


def _terms(source: Dataset) -> tuple[str, ...]:
    value = source.get("SpecificCharacterSet") or ()
    values = value if isinstance(value, MultiValue | list | tuple) else (value,)
    return tuple(str(term or "").strip() for term in values)


def _well_formed(terms: tuple[str, ...]) -> bool:
    """Whether these are terms of the standard in a combination that it allows."""
    if terms in _DEFAULT_REPERTOIRE or (len(terms) == 1 and terms[0] in _ALONE):
        return True
    first, *others = terms
    known = (first or "ISO 2022 IR 6") in _FIRST_OF_SEVERAL and _FURTHER.issuperset(others)
    return known and len(set(terms)) == len(terms)


def _texts(dataset: Dataset) -> Iterator[str]:
    """Every text that the character set applies to, names in components."""
    for element in dataset.iterall():
        if element.VR in CUSTOMIZABLE_CHARSET_VR and not element.is_empty:
            values = element.value if isinstance(element.value, MultiValue | list) else [element.value]
            for value in values:
                yield from _COMPONENT.split(str(value)) if element.VR == "PN" else [str(value)]


def _fits(text: str, terms: Sequence[str]) -> bool:
    if text.isascii():
        return True
    encodings = convert_encodings(list(terms))
    if default_encoding in encodings and any("\x80" <= letter <= "\xff" for letter in text):
        return False  # pydicom writes these as Latin-1, though only ASCII was declared
    if not all(any(_has(encoding, letter) for encoding in encodings) for letter in text):
        return False
    return decode_bytes(encode_string(text, encodings), encodings, set()) == text


def _has(encoding: str, letter: str) -> bool:
    """Whether one of pydicom's encodings has the letter in the set of the standard that it stands for."""
    if encoding == default_encoding:
        return letter.isascii()
    try:
        encoded = letter.encode(encoding)
    except UnicodeEncodeError:
        return False
    if encoding in _JAPANESE:
        return encoded.startswith(_JAPANESE[encoding])
    if encoding == _KOREAN:
        return len(encoded) <= 2  # longer: a syllable spelt out of its letters, which others read as letters
    return encoding != _KATAKANA or len(encoded) == 1
