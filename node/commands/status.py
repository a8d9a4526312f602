"""`spinenode status`: is the node's memory reachable, what waits, which model speaks."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.surroundings import memory_of, settings_of

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from config.settings import Settings
    from storage.database import Database


def register(app: typer.Typer) -> None:
    app.command()(status)


def status(context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Show cases and deliveries by state, the oldest that wait, free space and the model.

    Fails when the settings, the database or the model cannot be read: fit for a health check.
    """
    from node.commands.output import show_json

    settings = settings_of(context)
    with memory_of(settings) as database:
        data = as_data(settings, database)
    if as_json:
        show_json(data)
    else:
        _print(data)


def as_data(settings: "Settings", database: "Database") -> dict[str, Any]:
    from inference.bundle import DEMO_BUNDLE, open_bundle
    from inference.pipeline import changed_sizes
    from node.engine import runtime_of
    from storage.files import FileStore
    from storage.schema import Placement

    opened = open_bundle(settings.worker.bundle or DEMO_BUNDLE)
    bundle = opened.identity
    with database.reading() as session:
        content = _content(session)
        never_committed = _never_committed(session, settings, database.now())
    return {
        "ae_title": settings.receiver.ae_title,
        "port": settings.receiver.port,
        "database": database.engine.dialect.name,
        "free_bytes": FileStore(settings.storage.data_dir).free_bytes(),
        "model": {
            "name": bundle.name,
            "version": bundle.version,
            "sha256": bundle.sha256,
            "trained_on": bundle.trained_on,
            "validated_on": bundle.validated_on,
            "phantom_trained": bundle.phantom_trained,
            "changed": [str(one) for one in changed_sizes(opened, runtime_of(settings.worker))],
        },
        "unplaced_instances": content["instances"].get(Placement.NEW.value, 0),
        **content,
        "never_committed": never_committed,
    }


def _never_committed(session: "Session", settings: "Settings", now: "datetime") -> dict[str, int]:
    """Deliveries that wait for their storage commitment longer than the settings are patient, by destination."""
    from config.settings import DestinationSettings
    from node.commitment.delay import commitment_patience
    from storage import commitments

    sent_before = now - commitment_patience(settings.sender)
    return {
        one.name: number
        for one in settings.destinations
        if isinstance(one, DestinationSettings) and one.commitment is not None
        if (number := commitments.never_answered(session, destination=one.name, sent_before=sent_before))
    }


def _content(session: "Session") -> dict[str, Any]:
    from sqlalchemy import func, select

    from storage import outbox
    from storage.schema import CaseRow, CaseState, DeliveryRow, DeliveryState, InstanceRow

    open_states = (CaseState.COLLECTING, CaseState.READY, CaseState.RUNNING, CaseState.HELD)
    oldest_case = session.scalar(
        select(func.min(CaseRow.state_since)).where(CaseRow.state.in_([state.value for state in open_states]))
    )
    waiting = (DeliveryState.PENDING.value, DeliveryState.SENDING.value)
    oldest_delivery = session.scalar(select(func.min(DeliveryRow.created_at)).where(DeliveryRow.state.in_(waiting)))
    placements = select(InstanceRow.placement, func.count()).group_by(InstanceRow.placement)
    states = select(CaseRow.state, func.count()).group_by(CaseRow.state)
    deliveries: dict[str, dict[str, int]] = {}
    for (destination, state), number in outbox.counts(session).items():
        deliveries.setdefault(destination, {})[state.value] = number
    return {
        "instances": dict(session.execute(placements).all()),
        "cases": dict(session.execute(states).all()),
        "oldest_open_case_since": oldest_case,
        "deliveries": deliveries,
        "oldest_delivery_since": oldest_delivery,
    }


def _print(data: dict[str, Any]) -> None:
    from node.commands.output import show_table, show_text

    model = data["model"]
    show_text(f"{data['ae_title']} on port {data['port']}, {data['database']}, {data['free_bytes'] / 1e9:.1f} GB free")
    show_text(
        f"model {model['name']} {model['version']}, sha256 {model['sha256'][:12]}; trained on {model['trained_on']}"
    )
    if model["changed"]:
        show_text(f"it runs with {', '.join(model['changed'])}, as [worker] says: docs/speed.md")
    if model["phantom_trained"]:
        show_text("this model was trained on a phantom: its findings say nothing about real patients")
    show_table("Images", ("placement", "number"), data["instances"].items())
    show_table(f"Cases{_since(data['oldest_open_case_since'])}", ("state", "number"), data["cases"].items())
    deliveries = [
        (destination, state, number)
        for destination, states in data["deliveries"].items()
        for state, number in states.items()
    ]
    show_table(f"Deliveries{_since(data['oldest_delivery_since'])}", ("destination", "state", "number"), deliveries)
    for destination, number in data["never_committed"].items():
        show_text(
            f"{destination} has not committed itself to {number} objects that it took long ago: they are kept, and "
            "asked about again; let it answer to this node, or take its commitment out of the settings"
        )


def _since(moment: Any) -> str:
    return "" if moment is None else f", the oldest open one since {moment:%Y-%m-%d %H:%M:%SZ}"
