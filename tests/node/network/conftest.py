"""Fixtures of the network's tests: a migrated database, a node that receives, an archive that it sends to."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.embedded_archive import EmbeddedArchive
from storage.database import upgrade
from tests.node.network.peers import ReceivingNode, receiving_node


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def node_database_url(tmp_path: Path, migrated_database: Path) -> str:
    return f"sqlite:///{shutil.copy(migrated_database, tmp_path / 'node.db')}"


@pytest.fixture
def node(tmp_path: Path, node_database_url: str) -> Iterator[ReceivingNode]:
    with receiving_node(tmp_path, node_database_url) as running:
        yield running


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[EmbeddedArchive]:
    archive = EmbeddedArchive(tmp_path / "archive")
    archive.start()
    yield archive
    archive.stop()


@pytest.fixture(scope="module")
def module_node(tmp_path_factory: pytest.TempPathFactory, migrated_database: Path) -> Iterator[ReceivingNode]:
    """One node for all tests of a module: it also has to live through what the tests before sent."""
    folder = tmp_path_factory.mktemp("node")
    database = shutil.copy(migrated_database, folder / "node.db")
    with receiving_node(folder, f"sqlite:///{database}") as running:
        yield running
