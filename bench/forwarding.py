"""How fast a running node empties its outbox: originals that it received while it knew of no way to send them on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import func, select

from bench import nodes
from bench.instances import InstanceSize
from bench.messages import Payload
from bench.raw_sender import Load, Target, send_burst
from storage.database import Database
from storage.schema import DeliveryRow, DeliveryState
from tests.postgresql import free_port

_RECEIVE_TIMEOUT_S = 60.0
_SEND_TIMEOUT_S = 120.0


def outbox_instances_per_s(folder: Path, target: Target, size: InstanceSize, count: int) -> float:
    """Receive `count` instances with the destination away, then start the node again with the destination there.

    The rate of those that were sent at the first attempt: what was tried while nobody listened waits for its backoff.
    """
    port = free_port()
    away = Target(port=free_port(), ae_title=target.ae_title)  # nobody listens
    settings = nodes.write_settings(folder, port=port, forward_to=away)
    with closing_database(folder) as database:
        with nodes.node_process(settings) as node:
            node_target = Target(port=port, ae_title=nodes.NODE_AE_TITLE)
            load = Load(associations=1, instances=count, duration_s=_RECEIVE_TIMEOUT_S)
            assert send_burst(Payload(size), node_target, load, run=1).total == count
            node.wait_until(lambda: _deliveries(database) == count)
        nodes.write_settings(folder, port=port, forward_to=target)
        with nodes.node_process(settings) as node:
            node.wait_until(lambda: _deliveries(database, DeliveryState.SENT) == count, timeout_s=_SEND_TIMEOUT_S)
        return _rate_of_first_attempts(database)


@contextmanager
def closing_database(folder: Path) -> Iterator[Database]:
    """The node's own memory, beside the node."""
    database = Database(f"sqlite:///{folder / 'data' / 'spinenode.db'}")
    try:
        yield database
    finally:
        database.dispose()


def _deliveries(database: Database, *states: DeliveryState) -> int:
    wanted = [state.value for state in states or DeliveryState]
    with database.reading() as session:
        statement = select(func.count()).select_from(DeliveryRow).where(DeliveryRow.state.in_(wanted))
        return int(session.scalars(statement).one())


def _rate_of_first_attempts(database: Database) -> float:
    at_once = DeliveryRow.attempts == 1
    statement = select(func.count(), func.min(DeliveryRow.sent_at), func.max(DeliveryRow.sent_at)).where(at_once)
    with database.reading() as session:
        count, first, last = session.execute(statement).one()
    assert count > 1, f"{count} deliveries were sent at the first attempt"
    return float((count - 1) / (last - first).total_seconds())
