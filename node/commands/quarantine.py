"""`spinenode quarantine`: objects that were refused, to look into, hand on, try again or throw away."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands.surroundings import LARGEST_ID, memory_of, settings_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from node.quarantine import Retried
    from storage.schema import QuarantineRow

app = typer.Typer(no_args_is_help=True, help="Objects that were refused: look, export, try again, remove.")

ObjectId = Annotated[int, typer.Argument(metavar="ID", min=1, max=LARGEST_ID, help="Number of the refused object.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="quarantine")


@app.command("list")
def show_list(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=LARGEST_ID, help="The newest so many.")] = 200,
    as_json: AsJson = False,
) -> None:
    """Show the newest refused objects and why they were refused."""
    from node.commands.output import show_json, show_table
    from storage import quarantine

    with memory_of(settings_of(context)) as database, database.reading() as session:
        rows = [quarantine.as_data(row) for row in quarantine.listing(session, limit)]
    if as_json:
        show_json(rows)
        return
    keys = ("id", "received_at", "calling_ae_title", "status", "byte_count", "reason")
    columns = ("id", "received", "from", "status", "bytes", "reason")
    show_table("Quarantine", columns, ([row[key] for key in keys] for row in rows))


@app.command()
def show(context: typer.Context, object_id: ObjectId, as_json: AsJson = False) -> None:
    """Show what is known about one refused object."""
    from node.commands.output import show_json, show_table
    from storage import quarantine

    with memory_of(settings_of(context)) as database, database.reading() as session:
        data = quarantine.as_data(_row(session, object_id))
    if as_json:
        show_json(data)
    else:
        show_table(f"Refused object {object_id}", ("attribute", "value"), data.items())


@app.command()
def export(
    context: typer.Context,
    object_id: ObjectId,
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Where to put the file and its description.")],
    as_json: AsJson = False,
) -> None:
    """Copy a refused object out, as it came, with a description beside it. The object may hold patient data."""
    from node.commands.output import show_json, show_text
    from storage import quarantine
    from storage.files import FileStore

    settings = settings_of(context)
    with memory_of(settings) as database, database.reading() as session:
        target, note = quarantine.export(FileStore(settings.storage.data_dir), _row(session, object_id), to)
    if as_json:
        show_json({"file": str(target), "description": str(note)})
    else:
        show_text(f"{target} and {note.name} written")


@app.command()
def retry(
    context: typer.Context,
    object_id: Annotated[
        int | None, typer.Argument(metavar="ID", min=1, max=LARGEST_ID, help="Number of the refused object.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every refused object.")] = False,
    as_json: AsJson = False,
) -> None:
    """Try to take a refused object again, with today's code and settings; what is taken leaves the quarantine.

    Fails when one is refused again.
    """
    from node.commands.output import show_json, show_table
    from node.errors import NodeError

    if (object_id is not None) == every:
        raise typer.BadParameter("name one refused object, or take --all for every one")
    results = _retry(context, object_id)
    refused = sum(one.outcome is None for one in results)
    rows = [
        {"id": one.row_id, "outcome": one.outcome.value if one.outcome is not None else "refused", "reason": one.reason}
        for one in results
    ]
    if as_json:
        show_json(rows)
    else:
        show_table("Tried again", ("id", "outcome", "reason"), ([*row.values()] for row in rows))
    if refused:
        raise NodeError(f"{refused} of {len(results)} refused objects cannot be taken yet; they stay in quarantine")


@app.command()
def remove(context: typer.Context, object_id: ObjectId, as_json: AsJson = False) -> None:
    """Remove a refused object for good."""
    from node.commands.output import show_json, show_text
    from storage import quarantine
    from storage.files import FileStore

    settings = settings_of(context)
    with memory_of(settings) as database:
        with database.reading() as session:
            _row(session, object_id)
        removed = quarantine.remove(database, FileStore(settings.storage.data_dir), [object_id])
    if as_json:
        show_json({"removed": removed})
    else:
        show_text(f"refused object {object_id} is removed")


def _retry(context: typer.Context, object_id: int | None) -> "list[Retried]":
    """Without an id every one, oldest first."""
    from node.quarantine import retry as run
    from storage import quarantine
    from storage.files import FileStore
    from storage.instances import InstanceRecorder

    settings = settings_of(context)
    with memory_of(settings) as database:
        with database.reading() as session:
            if object_id is not None:
                rows = [_row(session, object_id)]
            else:
                rows = list(reversed(quarantine.listing(session, quarantine.MOST_OBJECTS)))
        files, recorder = FileStore(settings.storage.data_dir), InstanceRecorder(database)
        try:
            return [run(database, files, recorder, settings.receiver, row) for row in rows]
        finally:
            recorder.close()


def _row(session: "Session", object_id: int) -> "QuarantineRow":
    from node.errors import NodeError
    from storage import quarantine

    row = quarantine.get(session, object_id)
    if row is None:
        raise NodeError(f"there is no refused object {object_id}; `spinenode quarantine list` shows them")
    return row
