"""Fixtures of every room's tests."""

from tests.postgresql import (
    _database_number,
    _postgresql_template,
    _sqlite_template,
    database_url,
    empty_database_url,
    postgresql_server,
    postgresql_url,
)

__all__ = [
    "_database_number",
    "_postgresql_template",
    "_sqlite_template",
    "database_url",
    "empty_database_url",
    "postgresql_server",
    "postgresql_url",
]
