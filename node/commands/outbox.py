"""`spinenode outbox`: what waits to be sent, what is a dead letter, and sending it again."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.surroundings import LARGEST_ID, memory_of, settings_of

if TYPE_CHECKING:
    from storage.schema import DeliveryRow

app = typer.Typer(no_args_is_help=True, help="Deliveries to the destinations: look, and send again.")


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="outbox")


@app.command("list")
def show_list(
    context: typer.Context,
    state: Annotated[
        list[str] | None, typer.Option("--state", help="Only these: pending, sending, sent, committed, dead.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=LARGEST_ID, help="The newest so many.")] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show the newest deliveries.

    What a destination took with a warning is counted apart; its reason is the warning.
    """
    from node.commands.output import show_json, show_table
    from storage import outbox
    from storage.schema import DeliveryState

    states = [_state(name) for name in state] if state else None
    with memory_of(settings_of(context)) as database, database.reading() as session:
        rows = [as_data(row) for row in outbox.listing(session, states=states, limit=limit)]
        counts, notes = outbox.counts(session), outbox.notes(session)
    if as_json:
        show_json(rows)
        return
    summary = [
        (name, of_state.value, number, notes.get((name, of_state), "")) for (name, of_state), number in counts.items()
    ]
    show_table("Deliveries", ("destination", "state", "number", "with a warning"), summary)
    columns = ("id", "destination", "state", "object", "case", "attempts", "due", "reason")
    keys = ("id", "destination", "state", "object", "case_id", "attempts", "available_at", "reason")
    if rows:
        show_table(f"The newest {len(rows)}", columns, ([row[key] for key in keys] for row in rows))
    if counts and any(found is DeliveryState.DEAD for _, found in counts):
        from node.commands.output import show_text

        show_text("Send dead letters again with `spinenode outbox retry --dead`, or one with `... retry ID`.")


@app.command()
def retry(
    context: typer.Context,
    ids: Annotated[
        list[int] | None, typer.Argument(metavar="ID", min=1, max=LARGEST_ID, help="Numbers of deliveries.")
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Every dead letter.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Send dead letters again, or deliveries that wait for their next attempt, now and with attempts counted anew."""
    from node.commands.output import show_json, show_text
    from node.errors import NodeError
    from storage import dead_letters

    if bool(ids) == dead:
        raise typer.BadParameter("name the deliveries, or take --dead for every dead letter")
    with memory_of(settings_of(context)) as database, database.transaction() as session:
        asked = dead_letters.resend(session, ids or None, database.now())
    if as_json:
        show_json({"asked_again": asked.due, "removed_by_retention": asked.removed})
    else:
        show_text(f"{asked.due} deliveries are due now")
        if asked.removed:
            show_text(f"{len(asked.removed)} stay dead letters: their objects were removed by retention")
    if ids and (others := len(set(ids)) - asked.due):
        removed = ", ".join(map(str, asked.removed))
        reasons = (
            f"removed by retention ({removed}), sent already, or unknown" if removed else "sent already, or unknown"
        )
        raise NodeError(f"{others} of these deliveries cannot be sent again: {reasons}")


def as_data(row: "DeliveryRow") -> dict[str, Any]:
    original = row.report_object_id is None
    return {
        "id": row.id,
        "destination": row.destination,
        "state": row.state,
        "object": f"original {row.instance_id}" if original else f"report object {row.report_object_id}",
        "case_id": row.case_id,
        "attempts": row.attempts,
        "available_at": row.available_at,
        "created_at": row.created_at,
        "sent_at": row.sent_at,
        "reason": row.reason,
    }


def _state(name: str) -> Any:
    from storage.schema import DeliveryState

    try:
        return DeliveryState(name)
    except ValueError:
        allowed = ", ".join(member.value for member in DeliveryState)
        raise typer.BadParameter(f"{name!r}: one of {allowed}", param_hint="--state") from None
