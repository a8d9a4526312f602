"""The servers of the benchmarks, each in processes of its own on 127.0.0.1: SpineNode, Orthanc, storescp, PostgreSQL,
and the C program that does nothing but write and sync.

Every function is a context manager that gives a `Server` ready for associations; afterwards its processes are gone.
Servers without a bind address of their own are kept on loopback by the shim that the system tests use.
"""

import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import httpx
import psycopg
from sqlalchemy import select

from bench.processes import ServerProcess
from bench.raw_sender import AE_TITLE, LARGEST_PDU, Target, association_acceptance
from storage.database import Database, upgrade
from storage.files import FileStore
from storage.schema import InstanceRow, Placement
from tests.postgresql import SERVER_USER, free_port, postgresql_binaries
from tests.system.orthanc import ORTHANC, build_loopback_shim

STORESCP = shutil.which("storescp")
NODE_AE_TITLE = "SPINENODE"
SPINENODE = Path(sys.executable).with_name("spinenode")
_SYNCED_WRITES = Path(__file__).with_name("synced_writes.c")
_DCMTK_WITHOUT_NAGLE = {"TCP_NODELAY": "1"}  # read by DCMTK's network layer, in Orthanc too
_ORTHANC_THREADS = 8  # one for each association of the widest run
_OTHER_UIDS_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server under load. `check` raises AssertionError unless it holds exactly the instances of these UIDs."""

    target: Target
    pid: int
    check: Callable[[set[str]], None]
    database_pid: int | None = None
    has_caught_up: Callable[[], bool] | None = None  # of servers that put work off: whether all of it is done


def needed_programs() -> list[str]:
    """What is missing on this machine for the benchmarks; empty when all is there."""
    found = {
        "Orthanc": ORTHANC,
        "storescp": STORESCP,
        "PostgreSQL": postgresql_binaries(),
        "cc": shutil.which("cc"),
    }
    return [name for name, path in found.items() if path is None]


def versions() -> dict[str, str]:
    """Name -> version of everything that is compared."""
    binaries = postgresql_binaries()
    commands = {"orthanc": [ORTHANC, "--version"], "dcmtk": [STORESCP, "--version"]}
    if binaries is not None:
        commands["postgresql"] = [str(binaries / "postgres"), "--version"]
    found = {name: version(name) for name in ("spinenode", "pynetdicom", "pydicom", "sqlalchemy")}
    found["python"] = sys.version.split()[0]
    for name, command in commands.items():
        if command[0] is not None:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
            numbers = re.search(r"\d+(\.\d+)+", answer)
            found[name] = numbers.group() if numbers else "unknown"
    return found


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def _on_loopback(folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "LD_PRELOAD": str(build_loopback_shim(folder)), **more}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# --- SpineNode -------------------------------------------------------------------------------------------------------

_SETTINGS = """
[receiver]
ae_title = "{node}"
bind_address = "127.0.0.1"
port = {port}
[storage]
data_dir = "{data_dir}"
{database}
[worker]
device = "cpu"
threads = 1
[[callers]]
ae_title = "{caller}"
addresses = ["127.0.0.1"]
[[routes]]
name = "bench"
pipeline = "none"
{forwarding}
"""
_DESTINATION = """
[[destinations]]
name = "peer"
ae_title = "{target.ae_title}"
host = "127.0.0.1"
port = {target.port}
"""


def write_settings(
    folder: Path, *, port: int, database_url: str | None = None, forward_to: Target | None = None
) -> Path:
    """Default settings but for addresses; nothing is analysed, so that the worker has nothing to do."""
    path = folder / "spinenode.toml"
    database = f'database_url = "{database_url}"' if database_url else ""
    forwarding = ""
    if forward_to is not None:
        forwarding = 'forward_originals_to = ["peer"]' + _DESTINATION.format(target=forward_to)
    path.write_text(
        _SETTINGS.format(
            node=NODE_AE_TITLE,
            port=port,
            data_dir=folder / "data",
            database=database,
            caller=AE_TITLE,
            forwarding=forwarding,
        )
    )
    return path


@contextmanager
def node_process(settings: Path) -> Iterator[ServerProcess]:
    """`spinenode serve` as a user starts it."""
    process = ServerProcess(
        [SPINENODE, "--config", settings, "serve"], folder=settings.parent, environment=_environment()
    )
    already = process.log_text().count('"node_ready"')
    try:
        process.wait_until(lambda: process.log_text().count('"node_ready"') > already)
        yield process
    finally:
        process.stop()


@contextmanager
def spinenode(folder: Path, *, database_url: str | None = None, database_pid: int | None = None) -> Iterator[Server]:
    """Durable, as it is shipped; on SQLite unless another database is named."""
    target = Target(port=free_port(), ae_title=NODE_AE_TITLE)
    settings = write_settings(folder, port=target.port, database_url=database_url)
    if database_url is not None:
        upgrade(database_url)
    url = database_url or f"sqlite:///{folder / 'data' / 'spinenode.db'}"
    with node_process(settings) as process:
        yield Server(
            target=target,
            pid=process.pid,
            database_pid=database_pid,
            check=lambda expected: _check_node(url, folder / "data", expected),
            has_caught_up=lambda: _all_placed(url),
        )


def _check_node(url: str, data_dir: Path, expected: set[str]) -> None:
    """Every acknowledged instance has its row, its whole file, and nothing else has."""
    database, files = Database(url), FileStore(data_dir)
    try:
        with database.reading() as session:
            columns = InstanceRow.sop_instance_uid, InstanceRow.file, InstanceRow.byte_count
            rows = session.execute(select(*columns)).all()
    finally:
        database.dispose()
    held = [uid for uid, _, _ in rows]
    assert len(held) == len(set(held)), f"{len(held) - len(set(held))} instances have a second row"
    _compare("spinenode", set(held), expected)
    for uid, file, byte_count in rows:
        size = files.path(file).stat().st_size
        assert size >= byte_count > 0, f"the file of {uid} has {size} bytes, its row says {byte_count}"


def _all_placed(url: str) -> bool:
    """Whether grouping has looked at every instance."""
    database = Database(url)
    try:
        with database.reading() as session:
            new = select(InstanceRow.id).where(InstanceRow.placement == Placement.NEW.value).limit(1)
            return session.scalar(new) is None
    finally:
        database.dispose()


def _compare(name: str, held: set[str], expected: set[str]) -> None:
    missing, unknown = sorted(expected - held), sorted(held - expected)
    assert not missing, f"{name} lost {len(missing)} acknowledged instances: {missing[:_OTHER_UIDS_SHOWN]}"
    assert not unknown, f"{name} holds {len(unknown)} others: {unknown[:_OTHER_UIDS_SHOWN]}"


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


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


@contextmanager
def spinenode_on_postgresql(folder: Path, *, postgresql: Postgresql) -> Iterator[Server]:
    with ExitStack() as parts:
        url, pid = parts.enter_context(postgresql.empty_database())
        yield parts.enter_context(spinenode(folder, database_url=url, database_pid=pid))


# --- the others ------------------------------------------------------------------------------------------------------


@contextmanager
def orthanc(folder: Path, *, tuned: bool) -> Iterator[Server]:
    """Orthanc with its defaults; or tuned for receiving, still synced: threads, PDU, no checksums, no Nagle."""
    http_port = free_port()
    target = Target(port=free_port(), ae_title="ORTHANC")
    configuration = {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "DicomAet": target.ae_title,
        "DicomPort": target.port,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [],
    }
    if tuned:
        configuration |= {
            "DicomThreadsCount": _ORTHANC_THREADS,
            "MaximumPduLength": LARGEST_PDU,
            "StorageCompression": False,
            "StoreMD5ForAttachments": False,
            "MaximumStorageCacheSize": 0,
            "SyncStorageArea": True,
        }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration))
    assert ORTHANC is not None
    environment = _on_loopback(folder, _DCMTK_WITHOUT_NAGLE if tuned else {})
    process = ServerProcess([ORTHANC, path], folder=folder, environment=environment)
    try:
        process.wait_until(lambda: _listens(target.port) and _listens(http_port))
        yield Server(
            target=target,
            pid=process.pid,
            check=lambda expected: _check_orthanc(http_port, expected),
            has_caught_up=lambda: True,
        )
    finally:
        process.stop()


def _check_orthanc(http_port: int, expected: set[str]) -> None:
    statistics = httpx.get(f"http://127.0.0.1:{http_port}/statistics", timeout=60.0).json()
    assert statistics["CountInstances"] == len(expected), f"Orthanc holds {statistics['CountInstances']} instances"


@contextmanager
def storescp(folder: Path, *, tuned: bool, keep: bool = True) -> Iterator[Server]:
    """DCMTK's storescp, a process per association; never synced. `keep`: files are written, else thrown away."""
    target = Target(port=free_port(), ae_title="STORESCP")
    received = folder / "received"
    received.mkdir()
    assert STORESCP is not None
    command = [STORESCP, "--fork", "--output-directory", received]
    command += ["--max-pdu", str(LARGEST_PDU)] if tuned else []
    command += [] if keep else ["--ignore"]
    environment = _on_loopback(folder, _DCMTK_WITHOUT_NAGLE if tuned else {})
    process = ServerProcess([*command, str(target.port)], folder=folder, environment=environment)
    try:
        process.wait_until(lambda: _listens(target.port))
        yield Server(target=target, pid=process.pid, check=lambda expected: _check_files(received, expected))
    finally:
        process.stop()


def _check_files(received: Path, expected: set[str]) -> None:
    held = sum(1 for _ in received.iterdir())
    assert held == len(expected), f"{held} files were written for {len(expected)} instances"


def compile_synced_writes(folder: Path) -> Path:
    """The program of `synced_writes.c`."""
    program = folder / "synced_writes"
    subprocess.run(["cc", "-O2", "-Wall", "-o", str(program), str(_SYNCED_WRITES)], check=True, timeout=60)
    return program


@contextmanager
def synced_writes(folder: Path, *, program: Path, sync_folder: bool) -> Iterator[Server]:
    """The limit of the disk: each data set from the socket to a synced file, nothing parsed, nothing remembered."""
    target = Target(port=free_port(), ae_title="LIMIT")
    received = folder / "received"
    received.mkdir()
    kind = "file-and-folder" if sync_folder else "file"
    accept = folder / "accept.pdu"
    accept.write_bytes(association_acceptance(target.ae_title))
    command = [program, str(target.port), received, kind, accept]
    process = ServerProcess(command, folder=folder, environment=os.environ)
    try:
        process.wait_until(lambda: _listens(target.port))
        yield Server(target=target, pid=process.pid, check=lambda expected: _check_files(received, expected))
    finally:
        process.stop()
