"""`spinenode serve` and the worker that it starts."""

import sys
import tempfile
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands.surroundings import settings_of

if TYPE_CHECKING:
    from config.settings import StorageSettings

LogLevel = Annotated[
    str,
    typer.Option("--log-level", envvar="SPINENODE_LOG_LEVEL", help="DEBUG, INFO, WARNING or ERROR.", metavar="LEVEL"),
]


def register(app: typer.Typer) -> None:
    app.command()(serve)
    app.command(hidden=True)(worker)
    app.command(hidden=True)(receiver)


def serve(context: typer.Context, log_level: LogLevel = "INFO") -> None:
    """Run the node: receive, group, analyse, report, send. Ends in order on SIGTERM or Ctrl-C.

    Logs go to stderr, as JSON lines unless it is a terminal. The line `node_ready` tells that images are taken.
    """
    settings = settings_of(context)
    _full_logs(log_level)
    _check_data_dir(settings.storage)
    from node.service import serve as run

    run(settings)


def worker(
    context: typer.Context,
    settings_from_stdin: Annotated[
        bool, typer.Option("--settings-from-stdin", help="Read the settings from stdin, stop when it ends.")
    ] = False,
    log_level: LogLevel = "INFO",
) -> None:
    """Run one worker: claim ready cases, analyse them, write their reports. `serve` starts one by itself.

    With PostgreSQL and a shared data_dir, further ones may be started by hand on other machines.
    """
    from node.child_process import read_settings
    from node.worker_process import run_worker

    settings = read_settings(sys.stdin) if settings_from_stdin else settings_of(context)
    _full_logs(log_level)
    raise typer.Exit(run_worker(settings, parent=sys.stdin if settings_from_stdin else None))


def receiver(
    settings_from_stdin: Annotated[
        bool, typer.Option("--settings-from-stdin", help="Read the settings from stdin.")
    ] = False,
    orders: Annotated[int, typer.Option(help="Descriptor of the socket that connections come over.")] = -1,
    channel: Annotated[int, typer.Option(help="Descriptor of the socket to the database's process.")] = -1,
    log_level: LogLevel = "INFO",
) -> None:
    """Run one receiver process. `serve` starts them by itself; it cannot run alone."""
    from node.errors import NodeError

    if not settings_from_stdin or orders < 0 or channel < 0:
        raise NodeError("a receiver process is started by `spinenode serve`, with its sockets; it cannot run alone")
    import socket

    from node.child_process import read_settings
    from node.receiving.receiver_process import run_receiver

    settings = read_settings(sys.stdin)
    _full_logs(log_level)
    sockets = {"orders": socket.socket(fileno=orders), "channel": socket.socket(fileno=channel)}
    raise typer.Exit(run_receiver(settings, **sockets))


def _check_data_dir(storage: "StorageSettings") -> None:
    """Raise NodeError or StorageError unless data_dir is a folder, perhaps made now, in which files can be made."""
    from node.errors import NodeError
    from storage.files import FileStore

    FileStore(storage.data_dir)
    try:
        with tempfile.TemporaryFile(dir=storage.data_dir):
            pass
    except OSError as error:
        raise NodeError(
            f"no file can be made in {storage.data_dir}: {error.strerror}; give this user the right to write there, or "
            "name another folder as storage.data_dir"
        ) from error


def _full_logs(level: str) -> None:
    import logging

    from node.errors import NodeError
    from node.logs import configure_logging

    name = level.upper()
    if name not in logging.getLevelNamesMapping():
        raise NodeError(f"log level {level!r}: DEBUG, INFO, WARNING or ERROR are allowed")
    configure_logging(level=name)
