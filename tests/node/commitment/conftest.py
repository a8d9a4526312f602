"""Fixtures of the tests of storage commitment: a memory on SQLite, for the statements are tested with storage."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.database import Database
from tests.node.commitment.peers import Outbox
from tests.node.conftest import Clock


@pytest.fixture
def memory(tmp_path: Path, _sqlite_template: Path, clock: Clock) -> Iterator[Database]:
    path = tmp_path / "node.db"
    path.write_bytes(_sqlite_template.read_bytes())
    database = Database(f"sqlite:///{path}", clock=clock)
    yield database
    database.dispose()


@pytest.fixture
def outbox(memory: Database, clock: Clock) -> Outbox:
    return Outbox(memory, clock)
