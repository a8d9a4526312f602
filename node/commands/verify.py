"""`spinenode verify`: does the memory agree with the disk, and with the destinations?"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.surroundings import memory_of, settings_of

if TYPE_CHECKING:
    from storage.discrepancies import Discrepancy

_FOUND = 1


def register(app: typer.Typer) -> None:
    app.command()(verify)


def verify(
    context: typer.Context,
    contents: Annotated[
        bool, typer.Option("--contents", help="Read every file and compare its bytes with what was received.")
    ] = False,
    mend: Annotated[
        bool, typer.Option("--mend", help="First remove files without a row that are older than an hour.")
    ] = False,
    ask_pacs: Annotated[
        bool, typer.Option("--ask-pacs", help="Ask the destinations whether they hold what was delivered.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Compare database and files: every acknowledged image is there, and in exactly one known state.

    Fails with a list of what is not as it should be: which, why, and what to do. The node may run meanwhile.
    """
    from node.commands.output import show_json
    from node.running_node import is_running
    from node.verification import Asked, ask_destinations, stuck_after_s
    from storage.files import FileStore
    from storage.orphans import mend as run_mend
    from storage.verify import Depth, discrepancies

    settings = settings_of(context)
    asked = Asked() if ask_pacs else None
    with memory_of(settings) as database:
        files = FileStore(settings.storage.data_dir)
        mended = {why.value: count for why, count in run_mend(database, files).items()} if mend else {}
        runs = database.is_sqlite and is_running(settings.storage.data_dir)
        depth = Depth(read_contents=contents, stuck_after_s=stuck_after_s(settings) if runs else None)
        found = list(discrepancies(database, files, depth))
        if asked is not None:
            found += ask_destinations(database, settings, asked)
    data = {
        "clean": not found,
        "discrepancies": [_as_data(one) for one in found],
        "mended": mended,
        "destinations": None
        if asked is None
        else {"held": asked.held, "missing": asked.missing, "unknown": asked.unknown},
    }
    if as_json:
        show_json(data)
    else:
        _print(data)
    if found:
        raise typer.Exit(_FOUND)


def _as_data(one: "Discrepancy") -> dict[str, Any]:
    return {"kind": one.kind.value, "where": one.where, "what": one.what, "what_to_do": one.remedy}


def _print(data: dict[str, Any]) -> None:
    from node.commands.output import show_table, show_text

    if data["mended"]:
        show_text("mended: " + ", ".join(f"{count} {why}" for why, count in data["mended"].items()))
    if (answers := data["destinations"]) is not None:
        show_text(
            f"the destinations hold {answers['held']} delivered objects, lack {answers['missing']}, "
            f"and cannot say of {answers['unknown']}"
        )
    if data["clean"]:
        show_text("clean: every row has its file, every file its row, every state is legal")
        return
    columns = ("kind", "where", "what", "what_to_do")
    rows = ([one[column] for column in columns] for one in data["discrepancies"])
    show_table("Discrepancies", ("kind", "where", "what", "what to do"), rows)
