"""A PostgreSQL server that can be stopped at once, as when its machine restarts, and comes back on the same data."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.postgresql import PostgresqlServer, postgresql_binaries

_STOP_TIMEOUT_S: Final = 60.0


class RestartingPostgresql(PostgresqlServer):
    """The tests' throw-away server; `stop_at_once` and `come_back` between its start and its stop."""

    def stop_at_once(self) -> None:
        """Immediate shutdown: sessions are broken off without a word, the log is replayed at the next start."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(_STOP_TIMEOUT_S)

    def come_back(self) -> None:
        assert self._process is not None
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._process.args, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder, **self._as_user
            )
        self._wait_until_it_answers()


@contextmanager
def restarting_postgresql() -> Iterator[RestartingPostgresql]:
    """Raises FileNotFoundError where PostgreSQL is not installed."""
    binaries = postgresql_binaries()
    if binaries is None:
        raise FileNotFoundError("postgres")
    server = RestartingPostgresql(binaries)
    try:
        server.start()
        yield server
    finally:
        server.stop()
