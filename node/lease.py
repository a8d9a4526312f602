"""Keeps a lease alive while its holder works."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import structlog

from storage.errors import LeaseLost, StorageError

log = structlog.get_logger(__name__)

_RENEWALS_PER_LEASE: Final = 4  # three may fail before the lease runs out


class Heartbeat:
    """Calls `renew` from a thread of its own, four times per lease, until the block is left or the lease is lost."""

    def __init__(self, renew: Callable[[], None], *, lease_s: float) -> None:
        self._renew = renew
        self._every_s = lease_s / _RENEWALS_PER_LEASE
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease-heartbeat", daemon=True)

    @property
    def lost(self) -> bool:
        """Whether someone else has the work now: write nothing more."""
        return self._lost.is_set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(self._every_s):
            try:
                self._renew()
            except LeaseLost as error:
                self._lost.set()
                log.warning("lease_lost", reason=str(error))
                return
            except StorageError as error:  # the next beat tries again, the lease has time for three
                log.warning("lease_renewal_failed", reason=str(error))
