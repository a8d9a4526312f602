import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect, make_url

from storage.database import Database, check_schema, upgrade
from storage.errors import StorageError
from storage.instances import InstanceRecorder, Outcome
from storage.schema import Base
from tests.storage.conftest import new_instance

STARTERS = 4


def constraints_of(url: str) -> dict[str, Any]:
    """Everything about the tables that Alembic's comparison does not look at, in an order that does not matter."""
    engine = create_engine(url)
    try:
        look = inspect(engine)
        return {
            table: {
                "checks": {check["name"] for check in look.get_check_constraints(table)},
                "unique": {(one["name"], *one["column_names"]) for one in look.get_unique_constraints(table)},
                "foreign": {(one["name"], one["referred_table"]) for one in look.get_foreign_keys(table)},
                "primary": look.get_pk_constraint(table)["name"],
                "indexes": {(one["name"], *one["column_names"]) for one in look.get_indexes(table)},
            }
            for table in Base.metadata.tables
        }
    finally:
        engine.dispose()


def test_migrations_lead_to_the_tables_of_the_schema(database_url: str) -> None:
    database = Database(database_url)

    with database.reading() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_server_default": True})
        differences = compare_metadata(context, Base.metadata)

    assert differences == []
    database.dispose()


def test_migrations_make_the_same_constraints_as_the_schema(database_url: str, empty_database_url: str) -> None:
    if make_url(database_url).get_backend_name() != make_url(empty_database_url).get_backend_name():
        pytest.skip("compares databases of one kind")
    engine = create_engine(empty_database_url)
    Base.metadata.create_all(engine)
    engine.dispose()

    migrated = constraints_of(database_url)

    assert migrated == constraints_of(empty_database_url)
    assert "ck_case_state_known" in migrated["case"]["checks"]


def test_upgrade_makes_the_folder_of_an_sqlite_file(tmp_path: Path) -> None:
    upgrade(f"sqlite:///{tmp_path / 'new' / 'folder' / 'node.db'}")

    assert (tmp_path / "new" / "folder" / "node.db").is_file()


def test_upgrade_of_a_database_with_rows_keeps_them(database_url: str) -> None:
    database = Database(database_url)
    InstanceRecorder(database).record(new_instance())

    upgrade(database_url)

    assert InstanceRecorder(database).record(new_instance()) is Outcome.DUPLICATE
    database.dispose()


def test_processes_that_upgrade_at_the_same_moment_do_not_disturb_each_other(empty_database_url: str) -> None:
    code = (
        "import sys; from storage.database import *; sys.stdout.write('ready\\n'); sys.stdout.flush();"
        "sys.stdin.readline(); upgrade(sys.argv[1]);"
        "check_schema(Database(sys.argv[1]))"
    )
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", code, empty_database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(STARTERS)
    ]

    for process in starters:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in starters:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1] for process in starters]

    assert [process.returncode for process in starters] == [0] * STARTERS, errors


def test_a_database_without_tables_is_refused_with_the_command_that_helps(empty_database_url: str) -> None:
    database = Database(empty_database_url)

    with pytest.raises(StorageError, match="spinenode db upgrade"):
        check_schema(database)
    database.dispose()


def test_a_database_at_the_newest_schema_is_accepted(database_url: str) -> None:
    database = Database(database_url)

    check_schema(database)

    database.dispose()
