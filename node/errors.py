"""The errors of the node, and the one place where a DIMSE status is chosen.

NodeError              base; only a person at the node can help (settings, port in use)
  PeerUnavailable      the other side does not answer: retry with back-off
  OutOfResources       we cannot keep the object now: the sender may send it again later
  InputRejected        this object will never be taken as it is
    CannotUnderstand   it cannot be read, or a UID that every object must have is missing or malformed
    DataSetMismatch    the data set is not the object that the command announced
"""

from typing import Final

SUCCESS: Final = 0x0000
# PS3.4 Table B.2-1, the failure statuses of the Storage Service Class
OUT_OF_RESOURCES: Final = 0xA700
DATA_SET_MISMATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000


class NodeError(Exception):
    """Base of the node's own errors. Messages hold no patient data: they go to logs and to peers."""

    dimse_status: int = OUT_OF_RESOURCES


class PeerUnavailable(NodeError):
    """A peer refused the connection or the association, or did not answer in time."""


class OutOfResources(NodeError):
    """No room to keep an object; nothing was acknowledged."""


class InputRejected(NodeError):
    """The object itself is at fault: sending it again unchanged gives the same answer."""

    dimse_status = CANNOT_UNDERSTAND


class CannotUnderstand(InputRejected):
    """The data set is empty, cannot be parsed, or lacks a valid Study, Series or SOP UID."""


class DataSetMismatch(InputRejected):
    """SOP class or instance of the data set differ from those of the C-STORE command."""

    dimse_status = DATA_SET_MISMATCH


def dimse_status(error: BaseException) -> int:
    """The C-STORE status that answers an object whose handling raised `error`.

    What is not the object's own fault (disk, database, a fault of ours) answers "out of resources": a sender
    keeps such an object and tries again, so nothing is lost.  Source: PS3.4 B.2.3.
    """
    return error.dimse_status if isinstance(error, NodeError) else OUT_OF_RESOURCES
