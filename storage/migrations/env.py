"""Run by Alembic: hands it the connection that `storage.database.upgrade` opened, inside its one transaction."""

from typing import Any, Literal

from alembic import context

from storage import schema  # noqa: F401 - its tables belong to the metadata
from storage.base import Base, UtcDateTime


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write a migration in SQLAlchemy's own types: ours may change, a migration must not."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite changes a table by building it anew
    transactional_ddl=True,  # SQLite can, when the driver begins nothing by itself; so a failed step leaves no trace
    transaction_per_migration=False,
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()
