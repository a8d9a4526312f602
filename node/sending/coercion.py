"""Other values for a few text attributes of an object on its way out; the file on disk is never changed.

The change is made on the encoded bytes: every other element, private ones and pixel data included, stays byte for
byte, but for a group length (gggg,0000), which counts the bytes of its group. A value is written in the character set
of its object. Where that cannot be done the object is refused, never sent with the old values.
Source: PS3.5 7.1 (elements), 7.2 (group length), 6.1.2 (character sets), PS3.3 C.12.1.1.2 (Specific Character Set).
"""

import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from pydicom.charset import convert_encodings, decode_bytes, default_encoding, encode_string
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian
from pydicom.valuerep import PersonName

from node.errors import InputRejected
from node.sending.element_walk import Element, Encoding, elements

_SPECIFIC_CHARACTER_SET: Final = 0x0008_0005
_VRS_OF_THE_CHARACTER_SET: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UT"})  # PS3.5 6.1.2.2
_DELIMITERS: Final = {0x5C, 0x0D, 0x0A, 0x09, 0x0C}  # that end an escape sequence's effect, PS3.5 6.1.2.5.3
_LARGEST_DEFLATED_BYTES: Final = 1 << 30  # a deflated data set is inflated in memory; larger ones are refused
_LARGEST_CHARACTER_SET_BYTES: Final = 4096


@contextmanager
def coerced_file(path: Path, offset: int, transfer_syntax_uid: str, values: Mapping[str, str]) -> Iterator[Path]:
    """A copy of the file in which top-level attributes, named by keyword, have the given values.

    `offset`: where the data set begins, in the copy as in the file. It is gone after the block.
    Raises InputRejected when the object cannot be changed.
    """
    with tempfile.TemporaryDirectory(prefix="spinenode-coerce-") as folder:
        target = Path(folder) / "object.dcm"
        with path.open("rb") as source, target.open("wb") as copy:
            copy.write(source.read(offset))
            try:
                if transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
                    _coerce_deflated(source, copy, values)
                else:
                    _coerce(source, copy, _encoding(transfer_syntax_uid), values)
            except (ValueError, zlib.error) as error:
                raise InputRejected(
                    f"the attributes {', '.join(sorted(values))} cannot be coerced: {error}; "
                    "mend the object at its source, or take `coerce` from the destination"
                ) from error
        yield target


def _encoding(transfer_syntax_uid: str) -> Encoding:
    """How elements are encoded; every encapsulated syntax is explicit little endian (PS3.5 A.4)."""
    return Encoding(
        is_implicit=transfer_syntax_uid == ImplicitVRLittleEndian, is_big=transfer_syntax_uid == ExplicitVRBigEndian
    )


def _coerce_deflated(source: BinaryIO, copy: BinaryIO, values: Mapping[str, str]) -> None:
    """The inflated data set is what stays byte for byte (PS3.5 A.5)."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = inflater.decompress(source.read(), _LARGEST_DEFLATED_BYTES)
    if not inflater.eof:
        raise ValueError("the deflated data set is cut short or too large")
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    with tempfile.TemporaryFile() as whole, tempfile.TemporaryFile() as changed:
        whole.write(plain)
        whole.seek(0)
        _coerce(whole, changed, Encoding(is_implicit=False, is_big=False), values)
        changed.seek(0)
        deflated = deflater.compress(changed.read()) + deflater.flush()
    copy.write(deflated + b"\0" * (len(deflated) % 2))


def _coerce(source: BinaryIO, copy: BinaryIO, encoding: Encoding, values: Mapping[str, str]) -> None:
    """Copy a data set from where `source` stands, with the changes. Raises ValueError when that cannot be done."""
    start = source.tell()
    found = list(elements(source, encoding))  # all of them, so that none is out of order unseen
    if not found:
        raise ValueError("the data set is empty")
    source.seek(start)
    character_set = _character_set(source, found)
    copied_to = start
    for replaced_from, replaced_to, content in _changes(source, found, encoding, _wanted(values, character_set)):
        source.seek(copied_to)
        copy.write(source.read(replaced_from - copied_to))
        copy.write(content)
        copied_to = replaced_to
    source.seek(copied_to)
    shutil.copyfileobj(source, copy, 1 << 20)


def _changes(
    source: BinaryIO, found: list[Element], encoding: Encoding, wanted: dict[int, tuple[str, bytes]]
) -> list[tuple[int, int, bytes]]:
    """Parts of the file to replace, in their order: from, to (empty where an element is added), by what."""
    changes: list[tuple[int, int, bytes]] = []
    growth: dict[int, int] = {}  # by group, in bytes
    known = {element.tag: element for element in found}
    for tag, (vr, value) in wanted.items():
        content = encoding.element(tag, vr, value)
        old = known.get(tag)
        start = old.start if old is not None else next((one.start for one in found if one.tag > tag), found[-1].end)
        end = old.end if old is not None else start
        changes.append((start, end, content))
        growth[tag >> 16] = growth.get(tag >> 16, 0) + len(content) - (end - start)
    for group, grown in growth.items():
        length = known.get(group << 16)
        if length is not None and grown:
            changes.append((length.start, length.end, encoding.group_length(source, length, grown)))
    return sorted(changes, key=lambda change: change[:2])


def _wanted(values: Mapping[str, str], character_set: list[str]) -> dict[int, tuple[str, bytes]]:
    """Tag -> VR and value field, in tag order."""
    wanted = {}
    for keyword, value in values.items():
        tag = tag_for_keyword(keyword)
        if tag is None or tag == _SPECIFIC_CHARACTER_SET:
            raise ValueError(f"{keyword} is no attribute that can be coerced")
        vr = dictionary_VR(tag)
        wanted[tag] = (vr, _encoded(keyword, value, vr, character_set))
    return dict(sorted(wanted.items()))


def _encoded(keyword: str, value: str, vr: str, character_set: list[str]) -> bytes:
    encodings = character_set if vr in _VRS_OF_THE_CHARACTER_SET else [default_encoding]
    if value.isascii():
        content = value.encode("ascii")
    else:
        try:
            content = _in_character_set(value, vr, encodings)
        except ValueError as error:
            raise ValueError(f"{keyword} cannot be written in the character set of the object") from error
    return content + b" " * (len(content) % 2)


def _in_character_set(value: str, vr: str, encodings: list[str]) -> bytes:
    """Raises ValueError when the characters do not survive."""
    if encodings == [default_encoding]:
        raise ValueError("only ASCII can be written")
    if len(encodings) == 1:
        return value.encode(encodings[0])
    content = PersonName(value, encodings).encode(encodings) if vr == "PN" else encode_string(value, encodings)
    if decode_bytes(content, encodings, _DELIMITERS | ({0x5E, 0x3D} if vr == "PN" else set())) != value:
        raise ValueError("not all characters can be written")
    return content


def _character_set(source: BinaryIO, found: list[Element]) -> list[str]:
    """Python's names of the object's character sets, `iso8859` where it tells none."""
    element = next((one for one in found if one.tag == _SPECIFIC_CHARACTER_SET), None)
    if element is None:
        return [default_encoding]
    if element.end - element.value_start > _LARGEST_CHARACTER_SET_BYTES:
        raise ValueError("its Specific Character Set is broken")
    source.seek(element.value_start)
    terms = source.read(element.end - element.value_start).decode("ascii", errors="replace").strip(" \0").split("\\")
    terms = [term.strip() for term in terms]
    try:
        encodings = convert_encodings(terms if len(terms) > 1 else terms[0])
    except LookupError as error:
        raise ValueError("its Specific Character Set is not known") from error
    # ISO_IR 6 and 100 are one for the library: only what was named may be written
    return [default_encoding] if terms in ([""], ["ISO_IR 6"]) else list(encodings)
