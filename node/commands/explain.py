"""`spinenode explain`: why a case was decided as it was, as a page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands.case import AsJson
from node.commands.surroundings import LARGEST_ID, memory_of, quiet_logs, settings_of, worker_settings_of

if TYPE_CHECKING:
    from node.explanation.question import Question


def register(app: typer.Typer) -> None:
    app.command()(explain)


def explain(
    context: typer.Context,
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where explanation.html and explanation.json go.")
    ],
    case_id: Annotated[
        int | None, typer.Argument(metavar="[CASE]", min=1, max=LARGEST_ID, help="Number of an answered case.")
    ] = None,
    files: Annotated[
        Path | None, typer.Option("--files", metavar="FOLDER", help="DICOM files of one patient instead of a case.")
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FOLDER", help="The weights; without it those of the settings or the demo."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the arithmetic of a decision, what would have changed it, and where the classifier is sensitive.

    The networks run again, and the sequence classifier some hundred times per sequence: minutes for a large model on a
    CPU. The page is one file without scripts. It holds images of a patient.
    """
    from inference.durable_files import require_writable
    from node.commands.output import show_json, show_text
    from node.commands.stages import Stages
    from node.explanation.question import answer
    from node.explanation.result import PAGE, write

    if (case_id is None) == (files is None):
        raise typer.BadParameter("give either the number of a case or --files FOLDER")
    quiet_logs()
    require_writable(out)  # told before the networks have run
    question = _of_files(context, files, bundle) if files is not None else _of_case(context, case_id or 0, bundle)
    with Stages(shown=not as_json) as stages:
        told = answer(question, report=stages.report)
    write(out, told, question)
    if as_json:
        show_json(told.to_json())
        return
    show_text(f"explained: {out / PAGE}")
    show_text("The folder holds patient data: remove it when you have seen it.")


def _of_files(context: typer.Context, folder: Path, bundle: Path | None) -> "Question":
    from node.engine import runtime_of
    from node.explanation.question import of_files

    worker = worker_settings_of(context)
    return of_files(folder, bundle or worker.bundle, runtime_of(worker))


def _of_case(context: typer.Context, case_id: int, bundle: Path | None) -> "Question":
    from node.commands.case import case_of
    from node.engine import runtime_of
    from node.explanation.question import of_case
    from storage.files import FileStore

    settings = settings_of(context)
    chosen, runtime = bundle or settings.worker.bundle, runtime_of(settings.worker)
    with memory_of(settings) as database, database.reading() as session:
        return of_case(session, case_of(session, case_id), FileStore(settings.storage.data_dir), chosen, runtime)
