"""Statements that claim and change rows the same way on SQLite and PostgreSQL."""

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, CursorResult, Select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from storage.base import Base

Entity = TypeVar("Entity", bound=Base)

# Lease owners are kept for people to read; the fence is what decides.
LEASE_OWNER_CHARACTERS = 64


def change(session: Session, table: type[Base], where: Sequence[ColumnElement[bool]], values: dict[str, Any]) -> int:
    """Update the rows that fulfil every condition and return how many there were."""
    statement = update(table).where(*where).values(**values)
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)  # noqa: S101 - for the type checker: an UPDATE gives a cursor
    return result.rowcount


def show(row: Base, values: dict[str, Any]) -> None:
    """Let a row object, attached or not, show values that `change` has written."""
    for column, value in values.items():
        set_committed_value(row, column, value)


def fresh(session: Session, statement: Select[Entity]) -> list[Entity]:
    """The rows as the database has them now, also those that this session read before."""
    return list(session.scalars(statement.execution_options(populate_existing=True)))


def locked(session: Session, statement: Select[Entity], *, skip_locked: bool = False) -> list[Entity]:
    """The rows as they are now, locked until the end of this transaction.

    PostgreSQL: FOR NO KEY UPDATE, so that rows that refer to these can be inserted meanwhile. SQLite has no row
    locks and needs none: BEGIN IMMEDIATE lets one transaction in at a time.
    """
    return fresh(session, statement.with_for_update(key_share=True, skip_locked=skip_locked))
