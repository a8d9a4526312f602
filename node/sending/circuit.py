"""A circuit per destination: when a peer cannot be reached, one probe at a time goes out instead of everything.

The deliveries that wait meanwhile use up no attempts. Each change is logged once.
"""

import random
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_LARGEST_EXPONENT: Final = 32  # beyond every cap


class CircuitState(StrEnum):
    CLOSED = "closed"  # everything may go
    OPEN = "open"  # nothing goes until the pause is over
    HALF_OPEN = "half_open"  # one probe is under way


class CircuitEvent(StrEnum):
    REACHED = "reached"  # the peer took part, whatever it answered
    UNREACHED = "unreached"
    UNREACHED_TOO_OFTEN = "unreached_too_often"  # so many times in a row as the settings allow
    PROBE_BEGAN = "probe_began"
    PROBE_DROPPED = "probe_dropped"  # there was nothing to send


# An absent pair is a fault of the caller. Several threads share a circuit: what one of them began while it was closed
# may end when it is open.
TRANSITIONS: Final[dict[tuple[CircuitState, CircuitEvent], CircuitState]] = {
    (CircuitState.CLOSED, CircuitEvent.REACHED): CircuitState.CLOSED,
    (CircuitState.CLOSED, CircuitEvent.UNREACHED): CircuitState.CLOSED,
    (CircuitState.CLOSED, CircuitEvent.UNREACHED_TOO_OFTEN): CircuitState.OPEN,
    (CircuitState.OPEN, CircuitEvent.REACHED): CircuitState.CLOSED,
    (CircuitState.OPEN, CircuitEvent.UNREACHED): CircuitState.OPEN,
    (CircuitState.OPEN, CircuitEvent.PROBE_BEGAN): CircuitState.HALF_OPEN,
    (CircuitState.HALF_OPEN, CircuitEvent.REACHED): CircuitState.CLOSED,
    (CircuitState.HALF_OPEN, CircuitEvent.UNREACHED): CircuitState.OPEN,
    (CircuitState.HALF_OPEN, CircuitEvent.PROBE_DROPPED): CircuitState.OPEN,
    (CircuitState.OPEN, CircuitEvent.PROBE_DROPPED): CircuitState.OPEN,
    (CircuitState.CLOSED, CircuitEvent.PROBE_DROPPED): CircuitState.CLOSED,
}


class Admission(StrEnum):
    """What may go to the destination now."""

    ALL = "all"
    PROBE = "probe"  # one delivery; the circuit waits to hear how it went
    NOTHING = "nothing"


def backoff_s(attempt: int, *, base_s: float, cap_s: float, rng: random.Random) -> float:
    """Seconds to wait after the `attempt`-th try (from 1): evenly drawn up to base * 2^attempt, never above the cap.

    The full range is drawn from, so that senders that failed together do not come back together.
    """
    return rng.uniform(0.0, min(cap_s, base_s * 2.0 ** min(attempt, _LARGEST_EXPONENT)))


class Circuit:
    """Shared by the threads of one destination. Times are of a clock that only runs forward."""

    def __init__(
        self,
        destination: str,
        *,
        opens_after: int,
        base_s: float,
        probe_s: float,
        rng: random.Random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`base_s`, `probe_s`: the pauses between probes grow from about the first to the second."""
        self._destination = destination
        self._opens_after = opens_after
        self._base_s = base_s
        self._probe_s = probe_s
        self._rng = rng
        self._clock = clock
        self._lock = threading.Lock()
        self._state = CircuitState.CLOSED
        self._failures = 0  # in a row
        self._opened_at = 0.0
        self._probe_at = 0.0

    @property
    def state(self) -> CircuitState:
        with self._lock:
            return self._state

    @property
    def wait_s(self) -> float:
        """How long nothing can go; 0 when something may, or when it depends on a probe under way."""
        with self._lock:
            return max(0.0, self._probe_at - self._clock()) if self._state is CircuitState.OPEN else 0.0

    @property
    def has_failed(self) -> bool:
        """Whether the last news of the destination was a failure to reach it."""
        with self._lock:
            return self._failures > 0

    def admit(self) -> Admission:
        """Ask before each batch. After PROBE tell how it went: `reached`, `unreached` or `probe_dropped`."""
        with self._lock:
            if self._state is CircuitState.CLOSED:
                return Admission.ALL
            if self._state is CircuitState.OPEN and self._clock() >= self._probe_at:
                self._advance(CircuitEvent.PROBE_BEGAN)
                return Admission.PROBE
            return Admission.NOTHING

    def reached(self) -> None:
        with self._lock:
            was = self._state
            self._failures = 0
            self._advance(CircuitEvent.REACHED)
            down_s = self._clock() - self._opened_at
        if was is not CircuitState.CLOSED:
            log.info("destination_reachable", destination=self._destination, down_s=round(down_s, 1))

    def unreached(self, reason: str, *, at_least_s: float = 0.0) -> None:
        """The peer could not be reached; it may have asked for a pause of some length."""
        with self._lock:
            was = self._state
            if was is CircuitState.OPEN:  # begun before it opened, and no news
                return
            self._failures += 1
            if was is CircuitState.CLOSED and (self._failures >= self._opens_after or at_least_s):
                self._advance(CircuitEvent.UNREACHED_TOO_OFTEN)
                self._opened_at = self._clock()
            else:
                self._advance(CircuitEvent.UNREACHED)
            pause_s = max(at_least_s, self._pause_s())
            self._probe_at = self._clock() + pause_s
            opened = was is CircuitState.CLOSED and self._state is CircuitState.OPEN
        if opened:
            log.warning(
                "destination_unreachable",
                destination=self._destination,
                reason=reason,
                effect="its deliveries wait; only probes are sent",
            )

    def probe_dropped(self) -> None:
        """The probe was not made: the next one may be at once."""
        with self._lock:
            self._advance(CircuitEvent.PROBE_DROPPED)

    def _advance(self, event: CircuitEvent) -> None:
        self._state = TRANSITIONS[self._state, event]

    def _pause_s(self) -> float:
        """Between half and all of a time that doubles with each failure, up to the longest."""
        doublings = min(max(0, self._failures - self._opens_after), _LARGEST_EXPONENT)
        longest_s = min(self._probe_s, self._base_s * 2.0**doublings)
        return self._rng.uniform(longest_s / 2, longest_s)
