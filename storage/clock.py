"""A clock that never goes back: what waits for a time must not stand still because a machine's clock was set.

Leases, delays and quiet times compare stored times with now. When the wall clock is set back, by NTP, by hand or by an
empty battery, this one goes on at the pace of the monotonic clock; when the wall clock is ahead, it follows at once.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

log = structlog.get_logger(__name__)

# Stored times are believed so far ahead of the wall clock. Further ahead they were written by a clock that was wrong.
_FARTHEST_AHEAD: Final = timedelta(days=2)
_WORTH_TELLING: Final = timedelta(seconds=5)


class SteadyClock:
    """UTC, never earlier than before. Safe for many threads."""

    def __init__(
        self,
        *,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._base = wall()
        self._began = monotonic()

    def start_after(self, newest_stored: datetime) -> None:
        """Go on from a time that is stored already, where that is later."""
        ahead = newest_stored - self.now()
        if ahead > _WORTH_TELLING:
            believed = ahead <= _FARTHEST_AHEAD
            log.warning(
                "clock_behind_stored_times",
                seconds=round(ahead.total_seconds()),
                effect="the node's times go on from the stored ones"
                if believed
                else "the stored ones lie in the future",
                remedy="check the clock of this machine",
            )
            if not believed:
                return
        if ahead > timedelta(0):
            with self._lock:
                self._base += ahead

    def now(self) -> datetime:
        with self._lock:
            passed = self._monotonic() - self._began
            steady = self._base + timedelta(seconds=passed)
            wall = self._wall()
            if wall > steady:
                self._base += wall - steady
                return wall
            return steady
