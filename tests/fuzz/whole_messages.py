"""Which data sets a stream holds whole: a second, simple reading of it, to judge what a receiver has recorded.

Source: PS3.8 9.3.5 and annex E.
"""

import struct
from hashlib import sha256
from typing import Final

from tests.fuzz.stream_mutations import split

_P_DATA, _RELEASE_REQUEST, _ABORT = 4, 5, 7
_COMMAND, _LAST = 1, 2
_PDV: Final = struct.Struct(">LBB")


def whole_data_sets(stream: bytes) -> set[str]:
    """The sha256 of each data set whose last fragment is there; nothing after a release or an abort counts."""
    found: set[str] = set()
    content = b""
    for pdu in split(stream):
        if pdu[0] in (_RELEASE_REQUEST, _ABORT):
            break
        if pdu[0] != _P_DATA:
            continue
        for control, fragment in _fragments(pdu[6:]):
            if control & _COMMAND:
                content = b""
                continue
            content += fragment
            if control & _LAST:
                found.add(sha256(content).hexdigest())
                content = b""
    return found


def _fragments(pdu: bytes) -> list[tuple[int, bytes]]:
    """Control header and content of each fragment that is whole."""
    fragments, at = [], 0
    while at + _PDV.size <= len(pdu):
        length, _, control = _PDV.unpack_from(pdu, at)
        end = at + 4 + length
        if length < 2 or end > len(pdu):
            break
        fragments.append((control, pdu[at + _PDV.size : end]))
        at = end
    return fragments
