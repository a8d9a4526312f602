"""`spinenode db`: the schema of the database."""

import typer

from node.commands.surroundings import settings_of

app = typer.Typer(no_args_is_help=True, help="The database.")


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="db")


@app.callback()
def database() -> None:
    """The database of the node."""


@app.command()
def upgrade(context: typer.Context) -> None:
    """Bring the database to the schema of this version. Stop the node first; harmless when there is nothing to do."""
    from node.commands.output import show_text
    from storage.database import Database, check_schema
    from storage.database import upgrade as run

    url = settings_of(context).storage.url()
    run(url)
    memory = Database(url)
    try:
        check_schema(memory)
        show_text(f"the {memory.engine.dialect.name} database has the schema of this version")
    finally:
        memory.dispose()
