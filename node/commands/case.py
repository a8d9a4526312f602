"""`spinenode case`: what became of a case and why; a person's word on held ones."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.surroundings import LARGEST_ID, memory_of, settings_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from storage.schema import CaseRow

app = typer.Typer(no_args_is_help=True, help="Cases: list, look into one, decide on a held one.")

CaseId = Annotated[int, typer.Argument(metavar="ID", min=1, max=LARGEST_ID, help="Number of the case.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the history. Write no patient data here.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="case")


@app.command("list")
def show_list(
    context: typer.Context,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", help="Only these: collecting, ready, running, reported, done, held, failed."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the cases, oldest first."""
    from node.commands.case_view import summary
    from node.commands.output import show_json, show_table
    from storage import cases
    from storage.schema import CaseState

    states = [_state(name) for name in state] if state else list(CaseState)
    with memory_of(settings_of(context)) as database, database.reading() as session:
        rows = [summary(session, case) for case in cases.in_state(session, *states)]
    if as_json:
        show_json(rows)
        return
    columns = ("id", "state", "since", "revision", "attempts", "images", "answer", "reason")
    keys = ("id", "state", "state_since", "revision", "attempts", "instances", "answer", "reason")
    show_table("Cases", columns, ([row[key] for key in keys] for row in rows))


@app.command()
def show(context: typer.Context, case_id: CaseId, as_json: AsJson = False) -> None:
    """Show one case: its history, the series used and left out, the votes, the decision, what was sent."""
    from node.commands.case_view import details, print_details
    from node.commands.output import show_json

    with memory_of(settings_of(context)) as database, database.reading() as session:
        data = details(session, case_of(session, case_id))
    if as_json:
        show_json(data)
    else:
        print_details(data)


@app.command()
def release(context: typer.Context, case_id: CaseId, reason: Reason, as_json: AsJson = False) -> None:
    """A held case is one patient after all: analyse it."""
    from storage import cases

    _decide(context, case_id, reason, cases.release, as_json=as_json)


@app.command()
def reject(context: typer.Context, case_id: CaseId, reason: Reason, as_json: AsJson = False) -> None:
    """A held case must not be analysed: report "not analysed, because of an identity conflict" instead."""
    from storage import cases

    _decide(context, case_id, reason, cases.reject, as_json=as_json)


def _decide(
    context: typer.Context,
    case_id: int,
    reason: str,
    decision: "Callable[[Session, CaseRow, str, datetime], None]",
    *,
    as_json: bool,
) -> None:
    from node.commands.case_view import summary
    from node.commands.output import show_json, show_text
    from node.errors import NodeError
    from storage.schema import CaseState

    if not reason.strip():
        raise NodeError("--reason is empty: say why, the history keeps it")
    with memory_of(settings_of(context)) as database, database.transaction() as session:
        case = case_of(session, case_id)
        if case.state != CaseState.HELD.value:
            raise NodeError(f"case {case_id} is {case.state}: only a held case can be released or rejected")
        decision(session, case, reason.strip(), database.now())
        after = summary(session, case)
    if as_json:
        show_json(after)
    else:
        show_text(f"case {case_id} is {after['state']} now")


def case_of(session: "Session", case_id: int) -> "CaseRow":
    """Raises NodeError where there is no such case."""
    from node.errors import NodeError
    from storage.schema import CaseRow

    case = session.get(CaseRow, case_id)
    if case is None:
        raise NodeError(f"there is no case {case_id}; `spinenode case list` shows them")
    return case


def _state(name: str) -> Any:
    from storage.schema import CaseState

    try:
        return CaseState(name)
    except ValueError:
        allowed = ", ".join(member.value for member in CaseState)
        raise typer.BadParameter(f"{name!r}: one of {allowed}", param_hint="--state") from None
