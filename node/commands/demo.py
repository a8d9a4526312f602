"""`spinenode demo`: the main job on this machine in a minute or two."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

if TYPE_CHECKING:
    from node.demo.outcome import CaseOutcome


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    study: Annotated[
        Path | None,
        typer.Option("--study", metavar="FOLDER", help="DICOM files to send; without it a phantom patient is made."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where the SR, overlays and pictures go.")
    ] = Path("demo-output"),
    bundle: Annotated[
        Path | None, typer.Option("--bundle", metavar="FOLDER", help="Other weights than the demo bundle.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the same as data.")] = False,
) -> None:
    """Start a node and a receiving archive on free ports, send one patient, show what comes back."""
    from rich.console import Console

    from node.commands.output import console
    from node.demo.run import DemoRequest, prepare_folder, run_demo
    from node.demo.view import as_data, show, write_json, write_pictures

    prepare_folder(out)  # before the log is opened: a folder of others stays as it is
    with _logs_into(out / "node.log") as terminal:
        progress = Console(file=terminal, highlight=False)
        outcomes = run_demo(
            DemoRequest(out=out, study=study, bundle=bundle), say=lambda text: progress.print(text, style="dim")
        )
    pictures = [write_pictures(outcome, out / "pictures") for outcome in outcomes]
    data = [as_data(outcome, files) for outcome, files in zip(outcomes, pictures, strict=True)]
    write_json(data, out / "result.json")
    if as_json:
        sys.stdout.write((out / "result.json").read_text(encoding="utf-8"))
    else:
        for outcome, files in zip(outcomes, pictures, strict=True):
            show(outcome, files, console())
    _judge(outcomes)


def _judge(outcomes: list["CaseOutcome"]) -> None:
    """Fail unless every case was answered with a report that arrived."""
    from node.errors import NodeError

    if not outcomes:
        raise NodeError("no file of the study belongs to a case; node.log in the output folder says why for each")
    for outcome in outcomes:
        if outcome.state != "done" or not any(o.kind == "sr" for o in outcome.objects):
            raise NodeError(f"case {outcome.case_id} is {outcome.state}: {outcome.reason}; see node.log")


@contextmanager
def _logs_into(path: Path) -> Iterator[TextIO]:
    """Send the logs of this process and of the worker it starts to a file; yields the stderr that was.

    The worker inherits the file descriptor of stderr, so it is the descriptor that is changed, not the stream.
    """
    from node.logs import configure_logging

    sys.stderr.flush()
    descriptor = sys.stderr.fileno()
    with os.fdopen(os.dup(descriptor), "w", encoding="utf-8") as terminal, path.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), descriptor)
        configure_logging(stream=file)
        try:
            yield terminal
        finally:
            sys.stderr.flush()
            os.dup2(terminal.fileno(), descriptor)
            configure_logging(level="WARNING")
