"""The statement that every received instance passes: an INSERT of the rows whose SOP Instance UIDs are not known."""

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from sqlalchemy import Dialect, Table
from sqlalchemy.exc import StatementError

from storage.held_connection import Run
from storage.schema import InstanceRow

_TABLE: Final = cast(Table, InstanceRow.__table__)


class NewRows:
    """For databases of one dialect."""

    def __init__(self, dialect: Dialect, columns: Sequence[str]) -> None:
        """`columns` are those that every row gives; the others stay empty."""
        self._columns = tuple(columns)
        self._bound = tuple(_binding(dialect, name) for name in columns)
        parameter = "?" if dialect.paramstyle == "qmark" else "%s"
        self._row = f"({', '.join([parameter] * len(columns))})"

    def insert(self, run: Run, rows: Sequence[dict[str, Any]]) -> set[tuple[str, str]]:
        """Insert them with one statement; returns the SOP Instance UIDs and contents that were not known.

        Raises StatementError for a value that its column cannot hold, and what `run` raises.
        """
        statement = (
            f"INSERT INTO {_TABLE.name} ({', '.join(self._columns)}) "  # noqa: S608 - our own names
            f"VALUES {', '.join([self._row] * len(rows))} "
            "ON CONFLICT DO NOTHING RETURNING sop_instance_uid, content_sha256"
        )
        try:
            values = [bound(row[name]) for row in rows for name, bound in zip(self._columns, self._bound, strict=True)]
        except Exception as error:  # noqa: BLE001 - whatever a type raises; SQLAlchemy makes the same of it
            raise StatementError(str(error), None, None, error, hide_parameters=True) from None
        return {(uid, content_sha256) for uid, content_sha256 in run(statement, values)}


def _binding(dialect: Dialect, column: str) -> Callable[[Any], Any]:
    """What the type of a column makes of a value for the driver."""
    return _TABLE.c[column].type.dialect_impl(dialect).bind_processor(dialect) or (lambda value: value)
