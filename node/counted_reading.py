"""A limit on what a parser makes of foreign bytes: every object that it builds costs it at least one read.

Eight bytes are an empty item (PS3.5 7.5), of which pydicom makes a data set of some 700: a megabyte that is all such
items, or a few kilobytes that are deflated, would take the memory of everybody.
"""

import threading
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

from node.errors import CannotUnderstand

# An element costs two or three reads, an item one to three. The largest heads seen, without their frames, need some
# ten thousand; so many empty items take 200 MB.
MOST_READS: Final = 150_000
TOO_MUCH: Final = (
    "there are too many items and elements, or too many bytes of them, before the pixels; "
    "repair the object at its source"
)
# What one budget allows is a lot for all associations of a process at once. The parser holds Python's lock anyway.
ONE_AT_A_TIME: Final = threading.Lock()


@dataclass(slots=True)
class ReadingBudget:
    """What may still be read; several streams can share one."""

    reads: int
    byte_count: int

    @property
    def is_spent(self) -> bool:
        return self.reads < 0 or self.byte_count < 0


class CountedStream:
    """A binary stream from which a parser reads until the budget is spent; then `read` raises CannotUnderstand."""

    def __init__(self, stream: BinaryIO, budget: ReadingBudget) -> None:
        self._stream = stream
        self._budget = budget
        self.seek = stream.seek
        self.tell = stream.tell

    @property
    def as_file(self) -> BinaryIO:
        """The stream for pydicom, which only calls `read`, `seek` and `tell`."""
        return cast("BinaryIO", self)

    def read(self, size: int = -1) -> bytes:
        budget = self._budget
        budget.reads -= 1
        most = budget.byte_count + 1
        if not budget.is_spent:
            content = self._stream.read(most if size < 0 else min(size, most))
            budget.byte_count -= len(content)
        if budget.is_spent:
            raise CannotUnderstand(TOO_MUCH)
        return content
