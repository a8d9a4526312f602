"""Where what a peer sends lies until it is read: small until an association stands."""

from typing import Final

from node.receiving.pdu import PDU_HEADER

# Until an association stands, a buffer for its request is enough. Then one read takes a whole PDU of the length that we
# offer by default, with its header, and the beginning of the next; four times as much is no faster (measured side by
# side with images of 0.53 MB).
_SMALL: Final = 1 << 14
_LARGE: Final = (1 << 17) + (1 << 12)


class ReceiveBuffer:
    """Belongs to one thread. Slices of `unread` are valid until the next `room`, `enlarge` or `forget`."""

    def __init__(self) -> None:
        self._start = self._end = 0  # of what is unread
        self._view = memoryview(bytearray(_SMALL))

    def __len__(self) -> int:
        """How many bytes are unread."""
        return self._end - self._start

    @property
    def unread(self) -> memoryview:
        return self._view[self._start : self._end]

    def take(self, count: int) -> None:
        """So many bytes are read."""
        self._start += count

    def clear(self) -> None:
        self._start = self._end = 0

    def room(self, awaited: int) -> memoryview:
        """Where more can be received, at least one byte; `awaited` bytes will have to lie there as a whole.

        What a peer only announces takes no memory: the buffer grows with what has come.
        """
        unread = len(self)
        if not unread:
            self.clear()
        elif self._end == len(self._view):
            self._move(max(len(self._view), unread + PDU_HEADER.size, min(2 * unread, awaited)))
        return self._view[self._end :]

    def filled(self, count: int) -> None:
        """So many bytes were received into `room`."""
        self._end += count

    def enlarge(self) -> None:
        """From now on whole images come."""
        self._move(max(len(self._view), _LARGE))

    def forget(self) -> None:
        """Give the memory back; nothing can be received any more."""
        self.clear()
        self._view = memoryview(b"")

    def _move(self, size: int) -> None:
        """What is unread to the front of a buffer of this size."""
        unread = self.unread
        target = self._view if size == len(self._view) else memoryview(bytearray(size))
        target[: len(unread)] = bytes(unread)
        self._view = target
        self._start, self._end = 0, len(unread)
