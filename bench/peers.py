"""The servers of the benchmarks, each in processes of its own on 127.0.0.1: Orthanc, storescp, and the C program that
does nothing but write and sync. SpineNode itself is in `bench.nodes`.

Every function is a context manager that gives a `Server` ready for associations; afterwards its processes are gone.
Servers without a bind address of their own are kept on loopback by the shim that the system tests use.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import httpx

from bench.postgresql import Postgresql
from bench.processes import ServerProcess
from bench.raw_sender import LARGEST_PDU, Target, association_acceptance
from tests.postgresql import free_port, postgresql_binaries
from tests.system.orthanc import ORTHANC, build_loopback_shim

STORESCP = shutil.which("storescp")
# apt-get install orthanc-postgresql
ORTHANC_POSTGRESQL_INDEX = Path("/usr/share/orthanc/plugins/libOrthancPostgreSQLIndex.so")
_SYNCED_WRITES = Path(__file__).with_name("synced_writes.c")
_DCMTK_WITHOUT_NAGLE = {"TCP_NODELAY": "1"}  # read by DCMTK's network layer, in Orthanc too
_ORTHANC_THREADS = 8  # one for each association of the widest run


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
        "Orthanc's index in PostgreSQL": ORTHANC_POSTGRESQL_INDEX if ORTHANC_POSTGRESQL_INDEX.exists() else None,
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


def _on_loopback(folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "LD_PRELOAD": str(build_loopback_shim(folder)), **more}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def orthanc(
    folder: Path, *, tuned: bool, more: Mapping[str, object] | None = None, database_pid: int | None = None
) -> Iterator[Server]:
    """Orthanc with its defaults; or tuned for receiving, its files still synced: threads, PDU, no checksums, no Nagle.

    Its own index does not sync a row before the answer (SQLite with a write-ahead log, synchronous=NORMAL); the index
    in PostgreSQL does. `more`: settings above these.
    """
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
    configuration |= more or {}
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
            database_pid=database_pid,
            check=lambda expected: _check_orthanc(http_port, expected),
            has_caught_up=lambda: True,
        )
    finally:
        process.stop()


@contextmanager
def orthanc_on_postgresql(folder: Path, *, postgresql: Postgresql) -> Iterator[Server]:
    """Orthanc tuned, its index in PostgreSQL."""
    with ExitStack() as parts:
        url, pid = parts.enter_context(postgresql.empty_database())
        index = {
            "Plugins": [str(ORTHANC_POSTGRESQL_INDEX)],
            "PostgreSQL": {
                "EnableIndex": True,
                "EnableStorage": False,
                "ConnectionUri": url.replace("+psycopg", ""),
                "IndexConnectionsCount": _ORTHANC_THREADS,
            },
        }
        yield parts.enter_context(orthanc(folder, tuned=True, more=index, database_pid=pid))


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
