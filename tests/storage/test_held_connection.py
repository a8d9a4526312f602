"""A held connection is used again, replaced after a rest, and given up after a fault."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from storage.held_connection import HeldConnection


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'held.db'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE kept (number INTEGER)"))
    yield engine
    engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def held(engine: Engine, clock: Clock) -> Iterator[HeldConnection]:
    held = HeldConnection(engine, monotonic=clock)
    yield held
    held.release()


def driver_connection(connection: Connection) -> object:
    return connection.connection.driver_connection


def insert(held: HeldConnection, number: int) -> object:
    with held.begin() as connection:
        connection.execute(text("INSERT INTO kept VALUES (:number)"), {"number": number})
        return driver_connection(connection)


def kept(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT number FROM kept ORDER BY number")))


def test_each_block_is_a_transaction_of_the_same_connection(engine: Engine, held: HeldConnection) -> None:
    first, second = insert(held, 1), insert(held, 2)

    assert first is second
    assert kept(engine) == [1, 2]


def test_one_that_has_rested_is_replaced(engine: Engine, held: HeldConnection, clock: Clock) -> None:
    first = insert(held, 1)
    clock.now = 60.0

    assert insert(held, 2) is not first
    assert kept(engine) == [1, 2]


def test_after_a_fault_nothing_of_the_block_is_kept_and_the_next_works(engine: Engine, held: HeldConnection) -> None:
    def break_off() -> None:
        with held.begin() as connection:
            connection.execute(text("INSERT INTO kept VALUES (1)"))
            connection.execute(text("INSERT INTO nowhere VALUES (1)"))

    with pytest.raises(OperationalError):
        break_off()

    insert(held, 2)

    assert kept(engine) == [2]


def test_a_released_one_goes_back_to_the_pool(engine: Engine, held: HeldConnection) -> None:
    insert(held, 1)
    held.release()
    held.release()

    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
