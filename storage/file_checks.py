"""Whether a stored file is what its row says: there, of the recorded size, with the recorded content."""

import struct
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, Final

from storage.discrepancies import Kind
from storage.errors import StorageError
from storage.files import FileStore

_CHUNK: Final = 1 << 20
# PS3.10 7.1: 128 bytes of preamble and the prefix; then (0002,0000) UL, 4 bytes long, tells the length of the rest
_PREFIX: Final = b"DICM"
_GROUP_LENGTH_HEAD: Final = b"\x02\x00\x00\x00UL\x04\x00"
_PREAMBLE_BYTES: Final = 128
_FIRST_ELEMENT_AT: Final = _PREAMBLE_BYTES + len(_PREFIX)
_META_FROM: Final = _FIRST_ELEMENT_AT + len(_GROUP_LENGTH_HEAD) + 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a row says of its file."""

    file: str
    content_sha256: str
    byte_count: int | None  # of the data set, group 2 left out; None: the hash is of the whole file


def file_fault(files: FileStore, recorded: Recorded, *, read_contents: bool) -> tuple[Kind, str] | None:
    """What is wrong with the file, or None. Without `read_contents` its first 144 bytes are read at most."""
    try:
        with files.path(recorded.file).open("rb") as file:
            return _fault(file, recorded, read_contents=read_contents)
    except FileNotFoundError:
        return Kind.FILE_MISSING, f"file {recorded.file} is not there"
    except (OSError, StorageError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Kind.FILE_UNREADABLE, f"file {recorded.file} cannot be read: {reason}"


def _fault(file: BinaryIO, recorded: Recorded, *, read_contents: bool) -> tuple[Kind, str] | None:
    offset = 0
    if recorded.byte_count is not None:
        found_offset = _data_set_offset(file.read(_META_FROM))
        if found_offset is None:
            return Kind.FILE_SIZE, f"file {recorded.file} is cut short or no DICOM file"
        offset = found_offset
        found = file.seek(0, 2) - offset
        if found != recorded.byte_count:
            return Kind.FILE_SIZE, f"file {recorded.file} holds {found} bytes of data set, not {recorded.byte_count}"
    elif file.seek(0, 2) == 0:
        return Kind.FILE_SIZE, f"file {recorded.file} is empty"
    if read_contents and _hash_from(file, offset) != recorded.content_sha256:
        return Kind.FILE_CONTENT, f"file {recorded.file} has other bytes than were received or made"
    return None


def _data_set_offset(start: bytes) -> int | None:
    head = _PREFIX + _GROUP_LENGTH_HEAD
    if len(start) < _META_FROM or start[_PREAMBLE_BYTES : _PREAMBLE_BYTES + len(head)] != head:
        return None
    length: int = struct.unpack_from("<L", start, _META_FROM - 4)[0]
    return _META_FROM + length


def _hash_from(file: BinaryIO, offset: int) -> str:
    file.seek(offset)
    digest = sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
