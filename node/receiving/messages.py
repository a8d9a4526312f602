"""pynetdicom's DIMSE provider, but a response goes to whom it answers and a request to whom it is for.

pynetdicom takes the next message of a peer as the response to its own request and aborts when it is none. A peer may
send requests of its own before it answers: nothing in PS3.7 orders the two directions.
"""

import queue
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import N_EVENT_REPORT

_Item = tuple[int | None, Any]


class _Inbox(queue.Queue[_Item]):
    """Holds requests; the one response that is awaited is put aside for who waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.awaited: int | None = None  # Message ID of our request
        self.answers: queue.SimpleQueue[_Item] = queue.SimpleQueue()

    def put(self, item: _Item, block: bool = True, timeout: float | None = None) -> None:
        _, message = item
        if message is None:  # pynetdicom's word for: the association has ended
            self.answers.put(item)
        elif self._is_awaited(message):
            self.awaited = None
            self.answers.put(item)
            return
        super().put(item, block, timeout)

    def _is_awaited(self, message: Any) -> bool:
        return (
            self.awaited is not None
            and isinstance(message, N_EVENT_REPORT)
            and message.is_valid_response
            and message.MessageIDBeingRespondedTo == self.awaited
        )


class Messages(DIMSEServiceProvider):
    """Of an association as acceptor, whose only requests are N-EVENT-REPORTs, one at a time."""

    def __init__(self, association: Association) -> None:
        super().__init__(association)
        self._inbox = _Inbox()
        self.msg_queue = self._inbox  # type: ignore[assignment]  # the items' classes are many

    def expect(self, message_id: int) -> None:
        """Before a request with this Message ID is sent: its response, and no older one, is for `get_msg`."""
        while not self._inbox.answers.empty():
            self._inbox.answers.get()
        self._inbox.awaited = message_id

    def give_up(self) -> None:
        """Let who waits for a response go: none will come."""
        self._inbox.answers.put((None, None))

    def send_msg(self, primitive: Any, context_id: int) -> None:
        super().send_msg(primitive, context_id)
        if (
            isinstance(primitive, N_EVENT_REPORT) and primitive.is_valid_request
        ):  # it is on its way as a whole: what the peer asks meanwhile is served
            self.assoc._reactor_checkpoint.set()  # noqa: SLF001 - pynetdicom's own wait before it serves

    def get_msg(self, block: bool = False) -> Any:
        """The next request; with `block`, the response that was announced by `expect`, or (None, None)."""
        if not block:
            return super().get_msg(block=False)
        try:
            return self._inbox.answers.get(timeout=self.dimse_timeout)
        except queue.Empty:
            return None, None
