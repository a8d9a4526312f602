"""Databases for tests: SQLite in a temporary folder, and a private PostgreSQL server on loopback.

The server is made once per test session (per worker of pytest-xdist) and ended by its process id. Where PostgreSQL is
not installed, or cannot be started, the tests that need it are skipped with the reason.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from storage.database import upgrade

SERVER_USER = "postgres"  # PostgreSQL refuses to run as root
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
DIALECTS = ("sqlite", "postgresql")


def postgresql_binaries() -> Path | None:
    """The folder of the newest installed server (Debian's layout), or of the one on the PATH."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = max(versions, key=lambda path: float(path.parts[-3]), default=None)
    found = newest or shutil.which("postgres")
    return Path(found).resolve().parent if found else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class PostgresqlServer:
    """A throw-away server. `url(name)` names a database on it."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._user = SERVER_USER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self._as_user = {"user": SERVER_USER, "group": SERVER_USER, "extra_groups": []} if os.geteuid() == 0 else {}
        self.folder = Path(tempfile.mkdtemp(prefix="spinenode-postgresql-"))
        if os.geteuid() == 0:
            shutil.chown(self.folder, SERVER_USER, SERVER_USER)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        data = self.folder / "data"
        initdb = [self._binaries / "initdb", "-D", data, "-A", "trust", "-U", self._user, "--no-sync", "-E", "UTF8"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=self.folder, **self._as_user)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "fsync": "off",  # tests kill clients, never the machine
            "full_page_writes": "off",
            "max_connections": "100",
        }
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", data, *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                **self._as_user,
            )
        self._wait_until_it_answers()

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # "fast shutdown": ends its clients
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://{self._user}@127.0.0.1:{self.port}/{name}"

    @contextmanager
    def database(self, name: str, *, template: str = "template1") -> Iterator[str]:
        """A new database, a copy of the template; dropped afterwards, whoever is still connected."""
        self._administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield self.url(name)
        finally:
            self._administer(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _administer(self, statement: str) -> None:
        with psycopg.connect(self._connection("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _connection(self, name: str) -> str:
        return f"host=127.0.0.1 port={self.port} user={self._user} dbname={name} connect_timeout=5"

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                psycopg.connect(self._connection("postgres")).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.05)  # between two looks at a condition with a deadline
            else:
                return


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    binaries = postgresql_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    server = PostgresqlServer(binaries)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgresql_url(postgresql_server: PostgresqlServer) -> Iterator[str]:
    """One database at the newest schema, shared by the session; see `database_url` for one per test."""
    with postgresql_server.database("shared") as url:
        upgrade(url)
        yield url


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def _postgresql_template(postgresql_server: PostgresqlServer) -> Iterator[str]:
    with postgresql_server.database("template_spinenode") as url:
        upgrade(url)
        yield "template_spinenode"


@pytest.fixture(scope="session")
def _database_number() -> Callable[[], int]:
    numbers = iter(range(1_000_000))
    return lambda: next(numbers)


@pytest.fixture(params=DIALECTS)
def empty_database_url(
    request: pytest.FixtureRequest, tmp_path: Path, _database_number: Callable[[], int]
) -> Iterator[str]:
    """A database without any table, one per test, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    with server.database(f"empty_{_database_number()}") as url:
        yield url


@pytest.fixture(params=DIALECTS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path, _database_number: Callable[[], int]) -> Iterator[str]:
    """A database at the newest schema without rows, one per test, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("_sqlite_template")
        path = shutil.copy(template, tmp_path / "spinenode.db")
        yield f"sqlite:///{path}"
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    name = request.getfixturevalue("_postgresql_template")
    with server.database(f"test_{_database_number()}", template=name) as url:
        yield url


def is_postgresql(url: str) -> bool:
    return make_url(url).get_backend_name() == "postgresql"
