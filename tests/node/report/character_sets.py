"""Source images in many scripts, encoded here byte by byte, so that no library's encoder vouches for itself.

Names and their bytes follow the examples of PS3.5 Annexes H to K.
"""

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Final

from pydicom import dcmread, dcmwrite
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

UTF_8: Final = "ISO_IR 192"
_META_GROUP_LENGTH_AT: Final = 140  # preamble 128, "DICM" 4, tag, VR and length 8
_META_ELEMENTS_FROM: Final = 144

Encode = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Script:
    """One Specific Character Set and texts in it; `encode` gives the bytes of one component of a text."""

    terms: str | None  # as in the file, None: not in the file
    name: str
    text: str
    encode: Encode
    written: str | None  # what objects are written in that follow the source
    same_bytes: bool = True  # objects repeat the source's bytes; another sequence of escapes says the same

    def encoded(self, text: str) -> bytes:
        pieces = re.split("([=^])", text)
        return b"".join(piece.encode("ascii") if piece.isascii() else self.encode(piece) for piece in pieces)


def _codec(name: str) -> Encode:
    return lambda text: text.encode(name)


def _designated(escape_sequence: bytes, codec: str) -> Encode:
    return lambda text: escape_sequence + text.encode(codec)


def _katakana_and_kanji(text: str) -> bytes:
    """JIS X 0201 until a kanji, JIS X 0208 from there, and JIS X 0201 again."""
    return b"".join(
        kanji.encode("iso2022_jp").replace(b"\x1b(B", b"\x1b(J") if kanji else rest.encode("shift_jis")
        for kanji, rest in re.findall("([^\x00-\x7f\uff61-\uff9f]+)|([\x00-\x7f\uff61-\uff9f]+)", text)
    )


def _latin_1_and_cyrillic(text: str) -> bytes:
    cyrillic = any(letter >= "\u0400" for letter in text)
    return b"\x1b-L" + text.encode("iso8859-5") if cyrillic else text.encode("latin-1")


def _same(terms: str, name: str, text: str, encode: Encode) -> Script:
    """A set that objects can be written in."""
    return Script(terms, name, text, encode, written=terms)


SCRIPTS: Final[dict[str, Script]] = {
    "latin_1": _same("ISO_IR 100", "Buc^Jérôme^^Mme", "Müller Straße", _codec("latin-1")),
    "latin_2": _same("ISO_IR 101", "Šťastná^Zdeňka", "Páteř", _codec("iso8859-2")),
    "cyrillic": _same("ISO_IR 144", "Люксембург^Иван", "Позвоночник", _codec("iso8859-5")),
    "greek": _same("ISO_IR 126", "Διονυσιος^Νίκος", "Σπονδυλική στήλη", _codec("iso8859-7")),
    "arabic": _same("ISO_IR 127", "قباني^لنزار", "العمود الفقري", _codec("iso8859-6")),
    "hebrew": _same("ISO_IR 138", "שרון^דבורה", "עמוד שדרה", _codec("iso8859-8")),
    "japanese": _same(
        r"\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう", "腰椎MRI検査 春秀純容", _codec("iso2022_jp")
    ),
    "japanese_katakana": replace(
        _same(
            r"ISO 2022 IR 13\ISO 2022 IR 87", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", "ｾｷﾂｲ MRI 脊椎", _katakana_and_kanji
        ),
        same_bytes=False,
    ),
    "korean": _same(
        r"\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동", "김희중 척추", _designated(b"\x1b$)C", "euc_kr")
    ),
    "gb18030": _same("GB18030", "Wang^XiaoDong=王^小东", "脊柱核磁", _codec("gb18030")),
    "gbk": _same("GBK", "Wang^XiaoDong=王^小東", "脊柱核磁", _codec("gbk")),
    "gb2312": Script(
        r"\ISO 2022 IR 58", "Zhang^XiaoDong=张^小东", "脊柱核磁", _designated(b"\x1b$)A", "gb2312"), written=UTF_8
    ),
    "utf_8": _same(UTF_8, "Wang^XiaoDong=王^小東=ㄨㄤ^ㄒㄧㄠ", "Rücken 脊柱 κ", _codec("utf-8")),
    "two_alphabets": _same(r"ISO 2022 IR 100\ISO 2022 IR 144", "Jérôme^Ann=Иван", "Позвоночник", _latin_1_and_cyrillic),
    "ascii": Script("ISO_IR 6", "Doe^Jane^Ann^Dr^PhD", "MR spine", _codec("ascii"), written=None),
    "empty": Script("", "Doe^Jane", "MR spine", _codec("ascii"), written=None),
    "absent": Script(None, "Doe^Jane", "MR spine", _codec("ascii"), written=None),
    "empty_but_latin_1": Script("", "Buc^Jérôme", "Müller", _codec("latin-1"), written=UTF_8),
    "misspelt": Script("ISO IR 100", "Buc^Jérôme", "Müller", _codec("latin-1"), written=UTF_8),
    "unknown": Script("NO_SUCH_SET", "Buc^Jérôme", "Müller", _codec("latin-1"), written=UTF_8),
    "mixed_up": Script(r"ISO_IR 100\ISO 2022 IR 87", "Buc^Jane=山田", "腰椎", _codec("iso2022_jp"), written=UTF_8),
}


def headers_in(script: Script, images: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """The headers with names and descriptions in a script, as read from files: nothing is decoded yet."""
    declared = b"" if script.terms is None else element("SpecificCharacterSet", script.terms.encode("ascii"))
    return {uid: read_with(_with_texts(header, script), declared) for uid, header in images.items()}


def _with_texts(header: Dataset, script: Script) -> Dataset:
    """Each byte as one letter of Latin-1: pydicom writes them back as they are where no set is declared."""
    name, text = (script.encoded(one).decode("latin-1") for one in (script.name, script.text))
    changed, code = deepcopy(header), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", text
    changed.PatientName = changed.ReferringPhysicianName = name
    changed.StudyDescription = text
    changed.ProcedureCodeSequence = [code]
    return changed


def read_with(header: Dataset, first: bytes = b"", last: bytes = b"") -> Dataset:
    """The header after it was written to a file and read again, with these encoded elements around its own."""
    buffer = BytesIO()
    dcmwrite(buffer, header, enforce_file_format=True)
    encoded = buffer.getvalue()
    length = int.from_bytes(encoded[_META_GROUP_LENGTH_AT:_META_ELEMENTS_FROM], "little")
    start = _META_ELEMENTS_FROM + length
    return dcmread(BytesIO(encoded[:start] + first + encoded[start:] + last))


def element(keyword: str, value: bytes, vr: str | None = None) -> bytes:
    """Explicit VR Little Endian (PS3.5 7.1.2); the VR is the dictionary's unless another is given."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    vr = vr or dictionary_VR(tag)
    value += (b"\0" if vr in ("UI", "UN", "OB", "SQ") else b" ") * (len(value) % 2)
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + vr.encode("ascii")
    if vr in ("SQ", "UN", "OB", "UT", "UC"):
        return head + bytes(2) + len(value).to_bytes(4, "little") + value
    return head + len(value).to_bytes(2, "little") + value
