"""How many connections and associations there may be, in all and from one address: one table for all processes.

A connection is pending from its accept until its association request is taken; strangers and silent peers never get
further. When too many wait, the oldest of the address that has the most of them gives way, so that a flood from one
peer pushes out no other's. Only an association that is admitted takes a place.
"""

import threading
from collections import Counter
from dataclasses import dataclass

import structlog

from config.settings import ReceiverSettings
from node.admission import Refusal
from node.metrics import Metrics
from node.receiving.disk_room import DiskRoom
from node.receiving.seldom_line import SeldomLine

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Visit:
    address: str
    is_pending: bool = True


class PlaceTable:
    """The connections of all receiver processes. Safe for many threads."""

    def __init__(self, settings: ReceiverSettings, *, room: DiskRoom, metrics: Metrics) -> None:
        self._settings = settings
        self._room = room
        self._metrics = metrics
        self._lines = SeldomLine()
        self._lock = threading.Lock()
        self._visits: dict[int, _Visit] = {}  # in the order of their arrival
        self._pending: Counter[str] = Counter()  # by address
        self._by_address: Counter[str] = Counter()  # associations
        self._closed = False

    def arrive(self, connection: int, address: str) -> int | None:
        """Enter a new connection; the number of the pending one that has to go for it, if any."""
        with self._lock:
            self._visits[connection] = _Visit(address)
            self._pending[address] += 1
            oldest = self._oldest_pending() if self.pending > self._settings.maximum_pending_connections else None
            self._show()
        return None if oldest is None else self._evict(oldest)

    def take(self, connection: int) -> Refusal | None:
        """Take a place for the association that this connection asks for, or say why there is none now."""
        room = self._room.is_there()  # before the lock: it may ask the disk
        with self._lock:
            visit = self._visits.get(connection)
            if visit is None or self._closed:  # closed under the request, or the node is stopping
                return Refusal.TEMPORARY_CONGESTION
            if not visit.is_pending:
                return None
            limit = self._limit_reached(visit.address)
            if room and limit is None:
                visit.is_pending = False
                self._pending -= Counter([visit.address])  # forgets the addresses that have none left
                self._by_address[visit.address] += 1
                self._show()
                return None
        if not room:
            self._metrics.count("refused_associations", reason="disk nearly full")
            return Refusal.TEMPORARY_CONGESTION
        assert limit is not None  # noqa: S101 - for the type checker
        self._tell(limit, visit.address)
        return Refusal.LOCAL_LIMIT_EXCEEDED

    def leave(self, connection: int) -> None:
        """The connection has ended. Harmless when it is known already."""
        with self._lock:
            visit = self._visits.pop(connection, None)
            if visit is None:
                return
            if visit.is_pending:
                self._pending -= Counter([visit.address])
            else:
                self._by_address -= Counter([visit.address])
            self._show()

    def close(self) -> None:
        """Give no places any more: the node is stopping."""
        with self._lock:
            self._closed = True

    @property
    def associations(self) -> int:
        return self._by_address.total()

    @property
    def pending(self) -> int:
        return self._pending.total()

    def _oldest_pending(self) -> int:
        """Of the address that has the most; of several such addresses the oldest of all."""
        most = max(self._pending.values())
        return next(
            number
            for number, visit in self._visits.items()
            if visit.is_pending and self._pending[visit.address] == most
        )

    def _evict(self, connection: int) -> int:
        visit = self._visits.get(connection)
        self.leave(connection)
        self._metrics.count("evicted_connections")
        address = "" if visit is None else visit.address
        if (more := self._lines.held_back("evicted", address)) is not None:
            log.warning(
                "connection_evicted",
                address=address,
                not_logged_before=more,
                reason="more connections without an association than receiver.maximum_pending_connections",
                remedy="look for the peer or scanner that opens connections and asks for nothing",
            )
        return connection

    def _limit_reached(self, address: str) -> str | None:
        if self._by_address.total() >= self._settings.maximum_associations:
            return "maximum_associations"
        if self._by_address[address] >= self._settings.maximum_associations_per_address:
            return "maximum_associations_per_address"
        return None

    def _tell(self, limit: str, address: str) -> None:
        self._metrics.count("refused_associations", reason=limit)
        if (more := self._lines.held_back(limit, address)) is not None:
            log.warning(
                "association_limit_reached",
                address=address,
                limit=f"receiver.{limit}",
                allowed=getattr(self._settings, limit),
                not_logged_before=more,
            )

    def _show(self) -> None:
        self._metrics.set("pending_connections", self.pending)
        self._metrics.set("associations", self._by_address.total())
