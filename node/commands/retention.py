"""`spinenode retention`: remove what is delivered and old, now instead of at night; or only say what would go."""

from typing import Annotated

import typer

from node.commands.surroundings import memory_of, settings_of


def register(app: typer.Typer) -> None:
    app.command()(retention)


def retention(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing: say what would go.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Remove delivered cases and images that are older than the settings say, and more when the disk is full.

    Never what is not delivered yet, nor what an open case needs. The node does the same by itself: by age every night,
    for space every minute.
    """
    from dataclasses import asdict

    from node.commands.output import show_json, show_table
    from node.retention import rehearse_aged, rehearse_for_space, remove_aged, remove_for_space
    from storage.files import FileStore

    settings = settings_of(context)
    with memory_of(settings) as database:
        files = FileStore(settings.storage.data_dir)
        if dry_run:
            freed = {
                "by_age": rehearse_aged(database, files, settings),
                "for_space": rehearse_for_space(database, files, settings),
            }
        else:
            freed = {
                "by_age": remove_aged(database, files, settings),
                "for_space": remove_for_space(database, files, settings),
            }
    if as_json:
        show_json({"dry_run": dry_run, **{why: asdict(one) for why, one in freed.items()}})
        return
    names = {"by_age": f"older than {settings.retention.keep_days:g} days", "for_space": "for space"}
    rows = [
        (names[why], one.cases, one.instances, one.report_objects, f"{one.byte_count / 1e9:.3f} GB")
        for why, one in freed.items()
    ]
    title = "Would be removed" if dry_run else "Removed"
    show_table(title, ("why", "cases", "images", "report objects", "space"), rows)
