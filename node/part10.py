"""The DICOM file format around a data set's bytes: the prefix that goes before them, and where they begin.

Source: PS3.10 7.1.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.errors import CannotUnderstand

# One UID for every version of this software (PS3.5 B.2); the report objects derive the same one.
IMPLEMENTATION_CLASS_UID: Final = "2.25.244999860765877843914999801249091140188"
IMPLEMENTATION_VERSION_NAME: Final = "SPINENODE"

_PREFIX: Final = b"DICM"
_PREAMBLE: Final = b"\0" * 128 + _PREFIX
_ELEMENT: Final = struct.Struct("<HH2sH")
_LONG_LENGTH: Final = struct.Struct("<L")
_LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_META_GROUP: Final = 0x0002
# A file meta information group is a few hundred bytes; private information may make it longer, never this long.
_MAXIMUM_META_BYTES: Final = 1 << 20


def file_prefix(*, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_ae_title: str) -> bytes:
    """Preamble and file meta information (explicit little endian) for a data set received from `source_ae_title`."""
    elements = b"".join(
        (
            _ELEMENT.pack(_META_GROUP, 0x0001, b"OB", 0) + _LONG_LENGTH.pack(2) + b"\x00\x01",
            _short(0x0002, b"UI", sop_class_uid),
            _short(0x0003, b"UI", sop_instance_uid),
            _short(0x0010, b"UI", transfer_syntax_uid),
            _short(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _short(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
            _short(0x0016, b"AE", source_ae_title),
        )
    )
    group_length = _ELEMENT.pack(_META_GROUP, 0x0000, b"UL", 4) + _LONG_LENGTH.pack(len(elements))
    return _PREAMBLE + group_length + elements


def _short(element: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii")
    if len(value) % 2:
        value += b"\0" if vr == b"UI" else b" "
    return _ELEMENT.pack(_META_GROUP, element, vr, len(value)) + value


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeta:
    """What a sender needs of a file: which object it holds, how it is encoded, where its data set begins."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set_offset: int


def has_file_meta(path: Path) -> bool:
    """Whether the file begins with a preamble and the prefix DICM. Raises OSError when it cannot be read."""
    with path.open("rb") as file:
        return file.read(len(_PREAMBLE))[-len(_PREFIX) :] == _PREFIX


def read_file_meta(path: Path) -> FileMeta:
    """Read the file meta information of a DICOM file.

    Raises CannotUnderstand when the file has none, or one without the needed UIDs; OSError when it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(_MAXIMUM_META_BYTES)
    if start[: len(_PREAMBLE)][-len(_PREFIX) :] != _PREFIX:
        raise CannotUnderstand("the file has no DICOM file meta information (PS3.10 7.1)")
    values: dict[int, bytes] = {}
    offset = len(_PREAMBLE)
    for element, value, end in _meta_elements(start):
        values[element] = value
        offset = end
    sop_class_uid, sop_instance_uid, transfer_syntax_uid = (
        values.get(element, b"").rstrip(b"\0 ").decode("ascii", errors="replace") for element in (0x02, 0x03, 0x10)
    )
    if not (sop_class_uid and sop_instance_uid and transfer_syntax_uid):
        raise CannotUnderstand("the file meta information lacks a SOP Class, SOP Instance or Transfer Syntax UID")
    return FileMeta(
        sop_class_uid=sop_class_uid,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        data_set_offset=offset,
    )


def _meta_elements(start: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Element number, value and end offset of each element of group 2."""
    offset = len(_PREAMBLE)
    while offset + _ELEMENT.size <= len(start):
        group, element, vr, length = _ELEMENT.unpack_from(start, offset)
        if group != _META_GROUP:
            return
        offset += _ELEMENT.size
        if vr in _LONG_VRS:
            (length,) = _LONG_LENGTH.unpack(start[offset : offset + 4].ljust(4, b"\0"))
            offset += 4
        if offset + length > len(start):
            raise CannotUnderstand("the file meta information does not end; the file is broken")
        yield element, start[offset : offset + length], offset + length
        offset += length
