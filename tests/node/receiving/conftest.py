"""Fixtures of the receiving side's tests."""

from tests.node.network.conftest import migrated_database, node_database_url

__all__ = ["migrated_database", "node_database_url"]
