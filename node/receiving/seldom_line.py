"""Log lines that anybody on the network can cause again and again: each is written once a minute and address."""

import threading
import time
from collections.abc import Callable
from typing import Final

_LINE_EVERY_S: Final = 60.0  # a peer that is refused again and again must not fill the log
_REMEMBERED_LINES: Final = 1024  # addresses; a scan from more of them may repeat a line


class SeldomLine:
    """Says when a log line about one thing may be written again, and how often it was held back meanwhile."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def held_back(self, event: str, address: str) -> int | None:
        """How many lines were held back since the last one; None: hold back this one too.

        `event` is one of few: nothing that a peer may choose at will.
        """
        now, key = self._clock(), (event, address)
        with self._lock:
            if len(self._last) > _REMEMBERED_LINES:
                self._last.clear()
            written, count = self._last.get(key, (-_LINE_EVERY_S, 0))
            if now - written < _LINE_EVERY_S:
                self._last[key] = (written, count + 1)
                return None
            self._last[key] = (now, 0)
            return count
