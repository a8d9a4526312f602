"""How long a peer may let us wait: for the next PDU, and for the rest of one that it has begun."""

from typing import Final

# A peer that is waited for may have sent meanwhile what the system has not told yet.
_SHORTEST_WAIT_S: Final = 0.001


class Pace:
    """Counts only the time that we wait for the peer, not that of our own disk. Belongs to one thread.

    While nothing is unfinished a peer may be silent for `silence_s`. Within a PDU or a message the same holds, and
    the waiting of all of it may last as long as its bytes take at the least rate, and `silence_s` more.
    """

    def __init__(self, silence_s: float, minimum_bytes_per_s: float) -> None:
        self._silence_s = silence_s
        self._minimum_bytes_per_s = minimum_bytes_per_s
        self._silent_s = 0.0
        self._waited_s = 0.0
        self._bytes = 0
        self._rests = True

    @property
    def is_trickling(self) -> bool:
        """Whether patience ended although the peer is not silent."""
        return self._silent_s < self._silence_s

    def patience_s(self) -> float:
        """How much longer it may be waited for the peer's next byte; 0: no longer."""
        silence = self._silence_s - self._silent_s
        trickle = self._silence_s + self._bytes / self._minimum_bytes_per_s - self._waited_s
        left = min(silence, trickle)
        return 0.0 if left <= 0 else max(left, _SHORTEST_WAIT_S)

    def waited(self, seconds: float) -> None:
        self._silent_s += seconds
        if not self._rests:
            self._waited_s += seconds

    def received(self, byte_count: int) -> None:
        self._silent_s = 0.0
        self._rests = False
        self._bytes += byte_count

    def rest(self) -> None:
        """Nothing is unfinished until the next byte."""
        self._rests = True
        self._waited_s = 0.0
        self._bytes = 0
