"""`spinenode report`: what a case was answered with, for a person without a viewer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.case import AsJson, CaseId, case_of
from node.commands.surroundings import memory_of, settings_of

if TYPE_CHECKING:
    from node.report_view.show import ShownObject

app = typer.Typer(no_args_is_help=True, help="Report objects: look at them without a viewer.")


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="report")


@app.command()
def show(
    context: typer.Context,
    case_id: CaseId,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Where the files go; without it report-case-ID in this folder."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the newest report of a case as HTML, PNG and PDF files, with an index.html. They hold patient data.

    What an earlier run wrote into the folder is replaced; a folder with anything else in it is left alone.
    """
    from node.commands.output import show_json
    from node.errors import NodeError
    from node.report_view.folder import INDEX, OutputFolder
    from node.report_view.show import show_report
    from node.report_view.stored import stored_report
    from storage.files import FileStore

    settings = settings_of(context)
    with memory_of(settings) as database, database.reading() as session:
        report = stored_report(session, case_of(session, case_id), FileStore(settings.storage.data_dir))
    folder = OutputFolder(out or Path(f"report-case-{case_id}"))
    shown = show_report(report, folder)
    data = {
        "case": case_id,
        "revision": report.revision,
        "newest_revision": report.newest_revision,
        "index": str(folder.path / INDEX),
        "objects": [_as_data(one) for one in shown],
    }
    if as_json:
        show_json(data)
    else:
        _print(data)
    if not any(one.files for one in shown):
        raise NodeError(f"no object of case {case_id} can be shown; {INDEX} says why for each")


def _as_data(one: "ShownObject") -> dict[str, Any]:
    return {
        "kind": one.kind,
        "sop_instance_uid": one.sop_instance_uid,
        "files": [name for name, _ in one.files],
        "problem": one.problem,
    }


def _print(data: dict[str, Any]) -> None:
    from node.commands.output import show_table, show_text

    show_text(f"Case {data['case']}, revision {data['revision']}: {data['index']}")
    if data["newest_revision"] != data["revision"]:
        show_text(f"revision {data['newest_revision']} is not answered yet")
    rows = ((one["kind"], "\n".join(one["files"]), one["problem"]) for one in data["objects"])
    show_table("Report objects", ("kind", "files", "not shown, because"), rows)
    show_text("The folder holds patient data: remove it when you have seen it.")
