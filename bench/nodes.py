"""SpineNode as a server of the benchmarks; as in `bench.peers`."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import select

from bench.peers import Server
from bench.postgresql import Postgresql
from bench.processes import ServerProcess
from bench.raw_sender import AE_TITLE, Target
from storage.database import Database, upgrade
from storage.files import FileStore
from storage.schema import InstanceRow, Placement
from tests.postgresql import free_port

NODE_AE_TITLE = "SPINENODE"
SPINENODE = Path(sys.executable).with_name("spinenode")
_OTHER_UIDS_SHOWN = 3

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
        [SPINENODE, "--config", settings, "serve"],
        folder=settings.parent,
        environment={**os.environ, "OMP_NUM_THREADS": "1"},
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
    _compare(set(held), expected)
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


def _compare(held: set[str], expected: set[str]) -> None:
    missing, unknown = sorted(expected - held), sorted(held - expected)
    assert not missing, f"lost {len(missing)} acknowledged instances: {missing[:_OTHER_UIDS_SHOWN]}"
    assert not unknown, f"there are {len(unknown)} unknown ones: {unknown[:_OTHER_UIDS_SHOWN]}"


@contextmanager
def spinenode_on_postgresql(folder: Path, *, postgresql: Postgresql) -> Iterator[Server]:
    with ExitStack() as parts:
        url, pid = parts.enter_context(postgresql.empty_database())
        yield parts.enter_context(spinenode(folder, database_url=url, database_pid=pid))
