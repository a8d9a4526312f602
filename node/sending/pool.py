"""Associations with one destination, kept open for a while between two batches."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from node.sending.association import MAXIMUM_CONTEXTS, Association, ContextKey, Peer, open_association

# Long enough for the objects that follow each other at a scanner's pace, shorter than any peer's idle time.
_IDLE_S: Final = 4.0
# Now and then the peer is asked anew what it accepts, for its settings change too.
_LONGEST_LIFE_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class _Idle:
    association: Association
    since: float


class AssociationPool:
    """As many associations as threads borrow at once; a thread ends an association that it cannot use."""

    def __init__(
        self, peer: Callable[[], Peer], *, idle_s: float = _IDLE_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`peer` is asked for each new association, so that changed certificates are used."""
        self._peer = peer
        self._idle_s = idle_s
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: list[_Idle] = []
        self._lately_needed: dict[ContextKey, None] = {}  # the latest last

    @contextmanager
    def borrowed(self, contexts: Iterable[ContextKey]) -> Iterator[Association]:
        """An association that offered these contexts to the peer.

        It is kept for the next borrower unless it was ended in the block.
        Raises PeerUnavailable or NothingAccepted when there is none and none can be opened.
        """
        needed = dict.fromkeys(contexts)
        with self._lock:
            self._remember(needed)
            kept = self._idle.pop().association if self._idle else None
        if kept is not None and not self._serves(kept, needed):
            kept.release()
            kept = None
        association = kept if kept is not None else open_association(self._peer(), self._to_offer(needed))
        try:
            yield association
        finally:  # whatever ended the block: one that is open has no message under way
            if association.is_open:
                with self._lock:
                    self._idle.append(_Idle(association, self._clock()))

    def close_idle(self) -> None:
        """Release what nobody has used for a while."""
        now = self._clock()
        self._release(lambda one: now - one.since >= self._idle_s)

    def close(self) -> None:
        """Release every association that nobody uses."""
        self._release(lambda one: True)

    def _release(self, condition: Callable[[_Idle], bool]) -> None:
        with self._lock:
            ended = [one for one in self._idle if condition(one)]
            self._idle = [one for one in self._idle if one not in ended]
        for one in ended:
            one.association.release()

    def _serves(self, association: Association, needed: dict[ContextKey, None]) -> bool:
        if time.monotonic() - association.opened_at > _LONGEST_LIFE_S:
            return False
        return association.proposed.issuperset(needed) and association.is_usable

    def _remember(self, needed: dict[ContextKey, None]) -> None:
        for key in needed:
            self._lately_needed.pop(key, None)
        self._lately_needed |= needed
        for key in list(self._lately_needed)[:-MAXIMUM_CONTEXTS]:
            del self._lately_needed[key]

    def _to_offer(self, needed: dict[ContextKey, None]) -> list[ContextKey]:
        """The needed contexts and what was needed lately, so that mixed batches share an association."""
        with self._lock:
            others = [key for key in reversed(self._lately_needed) if key not in needed]
        return [*needed, *others][:MAXIMUM_CONTEXTS]
