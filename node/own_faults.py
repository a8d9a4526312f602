"""Faults of this machine that a sender meets: no room, no descriptors, no memory. They pass, and blame nobody else."""

import errno
import os
from pathlib import Path
from typing import Final

# Of a connection these are ours; whatever else breaks one is the way to the peer, or the peer.
_OURS_OF_A_CONNECTION: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.ENOSPC, errno.EDQUOT}
)


class OwnFault(Exception):
    """This machine cannot do it now; neither the object nor the peer is to blame."""


def is_own_fault(error: BaseException, path: Path) -> bool:
    """Whether work on the object's file broke for our own reasons: anything of the system's but that it is not there.

    A decoder's OSError has no number of the system: that is the object's.
    """
    if isinstance(error, OSError):
        is_gone = isinstance(error, FileNotFoundError) and os.fspath(error.filename or "") == os.fspath(path)
        return error.errno is not None and not is_gone
    return isinstance(error, MemoryError | OwnFault)


def is_own_fault_of_a_connection(error: BaseException | None) -> bool:
    """Whether a connection, or whatever was behind the error, failed for want of something here."""
    seen = 0
    while error is not None and seen < _LONGEST_CHAIN:
        if isinstance(error, MemoryError | OwnFault):
            return True
        if isinstance(error, OSError) and error.errno in _OURS_OF_A_CONNECTION:
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


_LONGEST_CHAIN: Final = 16


def told(error: BaseException) -> str:
    """The kind of fault, without the path or URL that the message may hold."""
    word = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return f"this node cannot send now: {str(error) if isinstance(error, OwnFault) else word}"
