"""Whether the disk has room for more objects, asked seldom enough to cost nothing, and waited for but a moment."""

import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from node.metrics import Metrics
from storage.errors import StorageError

log = structlog.get_logger(__name__)

# A fast sender writes some 500 MB in this time: receiver.minimum_free_bytes should be larger.
_ASK_EVERY_S: Final = 1.0
# A disk answers within a millisecond, unless it hangs. Who asks here has other peers, and the processes' signs of
# life, to answer.
_PATIENCE_S: Final = 1.0


class DiskRoom:
    """Remembers the answer for a second; says so when it changes. Safe for many threads.

    The disk is asked in a thread of its own: while it hangs there is no room, and nobody waits for it twice.
    """

    def __init__(
        self,
        free_bytes: Callable[[], int],
        minimum_free_bytes: int,
        *,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._free_bytes = free_bytes
        self._minimum = minimum_free_bytes
        self._metrics = metrics
        self._clock = clock
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._asked_at = -_ASK_EVERY_S
        self._asking: threading.Thread | None = None
        self._is_there = True

    def is_there(self) -> bool:
        """Whether new associations may be taken; a disk that does not answer has no room."""
        with self._lock:
            if self._asking is not None:
                if self._asking.is_alive():
                    return False
                self._asking = None
            if self._clock() - self._asked_at >= _ASK_EVERY_S:
                self._asked_at = self._clock()
                asking = threading.Thread(target=self._ask, name="disk-room", daemon=True)
                try:
                    asking.start()
                except RuntimeError as error:  # no thread left
                    log.error("disk_not_asked", reason=str(error))  # noqa: TRY400 - as above
                    return False
                asking.join(self._patience_s)
                if asking.is_alive():
                    self._asking = asking
                    log.error("disk_hangs", effect="new associations are refused for the moment (temporary congestion)")
                    return False
            return self._is_there

    def _ask(self) -> None:
        try:
            free = self._free_bytes()
        except StorageError as error:
            if self._is_there:
                log.error("disk_does_not_answer", reason=str(error))  # noqa: TRY400 - expected: the message says all
            self._is_there = False
            return
        self._metrics.set("free_bytes", free)
        room = free >= self._minimum
        if self._is_there and not room:
            log.error(
                "disk_nearly_full",
                free_bytes=free,
                minimum_free_bytes=self._minimum,
                effect="new associations are refused for the moment (temporary congestion)",
                remedy="make room on the disk of storage.data_dir, or let retention remove more",
            )
        elif room and not self._is_there:
            log.info("disk_has_room_again", free_bytes=free)
        self._is_there = room
