"""`spinenode config`: write a settings file, check one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.surroundings import settings_of

if TYPE_CHECKING:
    from config.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The settings file: write one, check one.")


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="config")


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("spinenode.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a settings file with every setting, its default and what it means."""
    from config.loading import DEFAULT_FILE
    from node.commands.output import show_text
    from node.errors import NodeError

    if path.exists() and not force:
        raise NodeError(f"{path} is there already: name another file, or replace it with --force")
    try:
        path.write_text(DEFAULT_FILE.read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        raise NodeError(f"{path} cannot be written: {error.strerror}") from error
    show_text(f"wrote {path}: set [[callers]] and [[destinations]], then run `spinenode --config {path} config check`")


@app.command()
def check(context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Read the settings as the node would, print what is in force, and name what will not work as meant."""
    from node.commands.output import show_json, show_text

    settings = settings_of(context)
    values = settings.model_dump(mode="json")  # secrets come out as stars
    warnings = doubts(settings)
    if as_json:
        show_json({"settings": values, "warnings": warnings})
        return
    for line in _lines("", values):
        show_text(line)
    for warning in warnings:
        show_text(f"warning: {warning}")
    show_text("the settings are valid")


def doubts(settings: "Settings") -> list[str]:
    """What is allowed but hardly meant."""
    notes = []
    if not settings.callers:
        notes.append("no [[callers]]: every sender is refused")
    if not settings.routes:
        notes.append("no [[routes]]: every image is set aside")
    for route in settings.routes:
        if route.pipeline != "none" and not route.results_to:
            notes.append(f"route {route.name} delivers its results to nobody (results_to is empty)")
        if route.pipeline == "none" and not route.forward_originals_to:
            notes.append(f"route {route.name} neither analyses nor forwards")
    unrouted = [one.ae_title for one in settings.callers if settings.route_for(one.ae_title) is None]
    if settings.routes and unrouted:
        notes.append(f"no route takes the images of {', '.join(unrouted)}: they are set aside")
    return notes


def _lines(prefix: str, value: Any) -> list[str]:
    if isinstance(value, dict) and value:
        return [line for key, inner in value.items() for line in _lines(f"{prefix}.{key}" if prefix else key, inner)]
    if isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        return [line for number, inner in enumerate(value) for line in _lines(f"{prefix}.{number}", inner)]
    return [f"{prefix} = {'(none)' if value is None else value}"]
