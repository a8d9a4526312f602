"""Which object a DICOM file holds, from its first bytes; silent where they do not decide, for a parser to look closer.

Source: PS3.10 7.1 (file meta information), PS3.5 7.1 (elements).
"""

import struct
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

_HEAD_BYTES: Final = 4096  # group 2 and the first elements of group 8 take some 700
_META_START: Final = 132  # preamble and "DICM", PS3.10 7.1
_SHORT: Final = struct.Struct("<HH2sH")
_LONG: Final = struct.Struct("<HH2sxxL")
_IMPLICIT: Final = struct.Struct("<HHL")
_LONG_VRS: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_UNDEFINED: Final = 0xFFFF_FFFF
_OTHER_ENCODINGS: Final = frozenset({str(DeflatedExplicitVRLittleEndian), str(ExplicitVRBigEndian)})

_META_CLASS, _META_INSTANCE, _META_SYNTAX = 0x0002_0002, 0x0002_0003, 0x0002_0010
_SOP_CLASS, _SOP_INSTANCE = 0x0008_0016, 0x0008_0018


@dataclass(frozen=True, slots=True)
class QuickHead:
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set_offset: int
    byte_count: int  # of the whole file
    meta_agrees: bool  # the file meta information names the same object


def quick_head(path: Path) -> QuickHead | None:
    """What the file holds; None when the first bytes do not tell for certain. Raises OSError."""
    with FileIO(path) as file:
        head = file.read(_HEAD_BYTES) or b""
        byte_count = file.seek(0, 2)
    if head[128:_META_START] != b"DICM":
        return None
    meta, data_set_offset = _collected(head, _META_START, is_implicit=False, up_to=0x0002_FFFF)
    syntax = meta.get(_META_SYNTAX, "")
    if not data_set_offset or not syntax or syntax in _OTHER_ENCODINGS:
        return None
    is_implicit = syntax == ImplicitVRLittleEndian
    found, _ = _collected(head, data_set_offset, is_implicit=is_implicit, up_to=_SOP_INSTANCE)
    sop_class_uid, sop_instance_uid = found.get(_SOP_CLASS, ""), found.get(_SOP_INSTANCE, "")
    if not (sop_class_uid and sop_instance_uid):
        return None
    agrees = (meta.get(_META_CLASS), meta.get(_META_INSTANCE)) == (sop_class_uid, sop_instance_uid)
    return QuickHead(sop_class_uid, sop_instance_uid, syntax, data_set_offset, byte_count, agrees)


def _collected(head: bytes, offset: int, *, is_implicit: bool, up_to: int) -> tuple[dict[int, str], int]:
    """The UIDs among the elements up to a tag, and where the next element begins: 0 when that is not in the head."""
    wanted = (_META_CLASS, _META_INSTANCE, _META_SYNTAX, _SOP_CLASS, _SOP_INSTANCE)
    values: dict[int, str] = {}
    last = -1
    while offset + _LONG.size <= len(head):
        if is_implicit:
            group, number, length = _IMPLICIT.unpack_from(head, offset)
            start = offset + _IMPLICIT.size
        else:
            group, number, vr, length = _SHORT.unpack_from(head, offset)
            start = offset + _SHORT.size
            if vr in _LONG_VRS:
                length = _LONG.unpack_from(head, offset)[3]
                start = offset + _LONG.size
        tag = group << 16 | number
        if tag > up_to:
            return values, offset
        end = start + length
        if length == _UNDEFINED or end > len(head) or tag <= last:
            return values, 0
        if tag in wanted:
            values[tag] = head[start:end].rstrip(b"\0 ").decode("ascii", errors="replace")
        last, offset = tag, end
    return values, 0
