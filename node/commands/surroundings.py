"""What most commands need first: quiet logs, the settings, the node's memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

LARGEST_ID: Final = 2**31 - 1  # of a row: the numbers are 32-bit integers in PostgreSQL

if TYPE_CHECKING:
    from config.settings import Settings, WorkerSettings
    from storage.database import Database


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    """What was given before the command's name."""

    config: Path | None = None


def settings_of(context: typer.Context) -> "Settings":
    """The settings that `--config` or the environment names, with logs at WARNING. Raises ConfigError."""
    from config.loading import load_settings

    quiet_logs()
    options = context.find_object(GlobalOptions) or GlobalOptions()
    return load_settings(options.config)


def worker_settings_of(context: typer.Context) -> "WorkerSettings":
    """For commands that need no node: those of the settings file, or as shipped where none is named or lies here."""
    from config.settings import DEFAULT_CONFIG_PATH, WorkerSettings

    options = context.find_object(GlobalOptions) or GlobalOptions()
    if options.config is None and not DEFAULT_CONFIG_PATH.is_file():
        return WorkerSettings()
    return settings_of(context).worker


def quiet_logs() -> None:
    """For commands that answer by themselves: only warnings are logged."""
    from node.logs import configure_logging

    configure_logging(level="WARNING")


@contextmanager
def memory_of(settings: "Settings") -> Iterator["Database"]:
    """The node's database, at the schema of this version.

    Raises NodeError when there is none yet, StorageError when it does not answer or has another schema.
    """
    from node.errors import NodeError
    from storage.database import Database, check_schema

    database = Database(settings.storage.url())
    try:
        file = database.engine.url.database
        if database.is_sqlite and not Path(file or "").is_file():
            raise NodeError(f"there is no database {file} yet: start the node with `spinenode serve`")
        check_schema(database)
        yield database
    finally:
        database.dispose()
