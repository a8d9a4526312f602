"""A held connection is used again, replaced after a rest, and given up after a fault."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine
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
        connection.exec_driver_sql("CREATE TABLE kept (number INTEGER)")
    yield engine
    engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def prepared() -> list[object]:
    return []


@pytest.fixture
def held(engine: Engine, clock: Clock, prepared: list[object]) -> Iterator[HeldConnection]:
    held = HeldConnection(engine, begin="BEGIN IMMEDIATE", prepare=prepared.append, monotonic=clock)
    yield held
    held.release()


def insert(held: HeldConnection, *numbers: int) -> None:
    with held.transaction() as run:
        for number in numbers:
            assert run("INSERT INTO kept VALUES (?) RETURNING number", (number,)) == [(number,)]


def kept(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.exec_driver_sql("SELECT number FROM kept ORDER BY number").scalars())


def test_each_block_is_a_transaction_of_the_same_connection(
    engine: Engine, held: HeldConnection, prepared: list[object]
) -> None:
    insert(held, 1, 2)
    insert(held, 3)

    assert kept(engine) == [1, 2, 3]
    assert len(prepared) == 1


def test_one_that_has_rested_is_replaced(
    engine: Engine, held: HeldConnection, prepared: list[object], clock: Clock
) -> None:
    insert(held, 1)
    clock.now = 60.0
    insert(held, 2)

    assert kept(engine) == [1, 2]
    assert len(prepared) == 2


def test_after_a_fault_nothing_of_the_block_is_kept_and_the_next_works(
    engine: Engine, held: HeldConnection, prepared: list[object]
) -> None:
    def break_off() -> None:
        with held.transaction() as run:
            run("INSERT INTO kept VALUES (1)", ())
            run("INSERT INTO nowhere VALUES (1)", ())

    with pytest.raises(OperationalError, match="nowhere"):
        break_off()
    insert(held, 2)

    assert kept(engine) == [2]
    assert len(prepared) == 2


def test_a_fault_of_the_block_itself_is_raised_as_it_is(engine: Engine, held: HeldConnection) -> None:
    def break_off() -> None:
        with held.transaction() as run:
            run("INSERT INTO kept VALUES (1)", ())
            raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        break_off()

    assert kept(engine) == []


def test_a_released_one_takes_no_place_in_the_pool(engine: Engine, held: HeldConnection) -> None:
    insert(held, 1)
    held.release()
    held.release()

    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_a_connection_that_cannot_be_had_is_an_error_of_sqlalchemy(tmp_path: Path) -> None:
    held = HeldConnection(create_engine(f"sqlite:///{tmp_path / 'nowhere' / 'held.db'}"), begin="", prepare=print)

    with pytest.raises(OperationalError, match="unable to open"):
        insert(held, 1)


def test_a_second_fault_while_giving_up_hands_no_connection_back(
    engine: Engine, held: HeldConnection, prepared: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    def break_off() -> None:
        with held.transaction() as run:
            run("INSERT INTO nowhere VALUES (1)", ())

    with monkeypatch.context() as patched:
        patched.setattr(engine.dialect, "do_rollback", fail)
        with pytest.raises(MemoryError):
            break_off()
    insert(held, 2)

    assert kept(engine) == [2]
    assert prepared[0] is not prepared[1]
