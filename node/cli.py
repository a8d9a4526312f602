"""The command `spinenode`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from node.commands import (
    calibrate,
    case,
    configuration,
    data,
    database,
    demo,
    evaluate,
    explain,
    outbox,
    phantom,
    quarantine,
    report,
    retention,
    sending,
    serving,
    status,
    train,
    verify,
    weights,
)
from node.commands.surroundings import GlobalOptions

_FAILED: Final = 1

app = typer.Typer(
    name="spinenode",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A DICOM node that finds spine tumours on MR series and sends back SR and overlays. For research use.",
)
for group in (
    serving,
    sending,
    status,
    outbox,
    case,
    report,
    verify,
    retention,
    quarantine,
    configuration,
    database,
    demo,
    phantom,
    data,
    weights,
    train,
    calibrate,
    evaluate,
    explain,
):
    group.register(app)


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            envvar="SPINENODE_CONFIG",
            metavar="PATH",
            help="The settings file; without it spinenode.toml in this folder.",
        ),
    ] = None,
) -> None:
    context.obj = GlobalOptions(config=config)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0 done, 1 failed with one message on stderr, 2 wrong usage, 130 stopped."""
    try:
        app(args=None if argv is None else list(argv), prog_name="spinenode")
    except SystemExit as end:
        if isinstance(getattr(end.__context__, "__cause__", None), KeyboardInterrupt):  # a command told nothing of it
            sys.stderr.write("spinenode: stopped\n")
        return end.code if isinstance(end.code, int) else _FAILED if end.code else 0
    except Exception as error:
        if not _is_expected(error):
            raise
        sys.stderr.write(f"spinenode: {_message(error)}\n")
        return _FAILED
    return 0


def _is_expected(error: Exception) -> bool:
    """Whether the message says by itself what to do; anything else is a fault of ours and shows its traceback."""
    from config.settings import ConfigError
    from inference.errors import InferenceError
    from node.errors import NodeError
    from storage.errors import StorageError

    return isinstance(error, ConfigError | NodeError | StorageError | InferenceError | OSError)


def _message(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    what = f"cannot use {error.filename}" if error.filename is not None else "the system refused"
    if error.filename2 is not None:
        what = f"cannot bring {error.filename} to {error.filename2}"
    return f"{what}: {error.strerror or error or type(error).__name__}"


if __name__ == "__main__":
    sys.exit(main())
