"""The PostgreSQL that a server of the benchmarks keeps its rows in; as in `bench.peers`."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.processes import ServerProcess
from tests.postgresql import SERVER_USER, free_port, postgresql_binaries


class Postgresql:
    """A server in a folder of its own, with its default settings: everything is synced."""

    def __init__(self, folder: Path) -> None:
        binaries = postgresql_binaries()
        assert binaries is not None
        is_root = os.geteuid() == 0  # PostgreSQL refuses to run as root
        self._binaries = binaries
        self._user = SERVER_USER if is_root else pwd.getpwuid(os.geteuid()).pw_name
        self._as_user = {"user": SERVER_USER, "group": SERVER_USER, "extra_groups": []} if is_root else {}
        self._folder = folder
        folder.mkdir()
        if is_root:
            shutil.chown(folder, SERVER_USER, SERVER_USER)
        initdb = [binaries / "initdb", "-D", folder / "data", "-A", "trust", "-U", self._user, "-E", "UTF8"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, timeout=120, **self._as_user)
        self._databases = 0

    @contextmanager
    def empty_database(self) -> Iterator[tuple[str, int]]:
        """The server started, with a new database: its URL and the server's pid. Stopped afterwards."""
        port = free_port()
        options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": self._folder}
        words = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        command = [self._binaries / "postgres", "-D", self._folder / "data", *words]
        process = ServerProcess(command, folder=self._folder, environment=os.environ, **self._as_user)
        try:
            process.wait_until(lambda: self._answers(port))
            self._databases += 1
            name = f"bench_{self._databases}"
            self._administer(port, f'CREATE DATABASE "{name}"')
            yield f"postgresql+psycopg://{self._user}@127.0.0.1:{port}/{name}", process.pid
            self._administer(port, f'DROP DATABASE "{name}" WITH (FORCE)')
        finally:
            process.stop(signal.SIGINT)  # "fast shutdown": ends its clients

    def _connect(self, port: int) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            f"host=127.0.0.1 port={port} user={self._user} dbname=postgres connect_timeout=5", autocommit=True
        )

    def _answers(self, port: int) -> bool:
        try:
            self._connect(port).close()
        except psycopg.OperationalError:
            return False
        return True

    def _administer(self, port: int, statement: str) -> None:
        with self._connect(port) as connection:
            connection.execute(statement.encode())
