"""One destination's deliveries: whose they are while they are under way, and what is counted."""

import random
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from config.settings import DestinationSettings, SenderSettings
from node.metrics import Metrics
from node.sending.circuit import Circuit
from node.sending.lane import Holdings, Lane, Office
from node.sending.results import NoAnswer, Shipment, StoreOutcome, StoreResult
from storage import outbox
from storage.database import Database
from storage.files import FileStore
from storage.instances import InstanceRecorder
from storage.schema import DeliveryRow, InstanceRow
from tests.node.commitment.peers import received
from tests.node.conftest import Clock
from tests.node.network.peers import wait_until

LEASE_S = 0.4  # its quarter is how often it is renewed
DESTINATION = DestinationSettings(name="pacs", ae_title="ARCHIVE", host="127.0.0.1", port=104, timeout_s=0.1)


class ScriptedCarrier:
    """A way that does what a test says with each object."""

    def __init__(self, outcome: Callable[[Path], StoreResult]) -> None:
        self._outcome = outcome

    def carry(self, shipments: Sequence[Shipment]) -> Generator[StoreResult, None, None]:
        for shipment in shipments:
            yield self._outcome(shipment.path)

    def rest(self) -> None:
        return None

    def close(self) -> None:
        return None


def result(path: Path, outcome: StoreOutcome, no_answer: NoAnswer | None = None) -> StoreResult:
    return StoreResult(
        path=path, sop_instance_uid="2.25.1", status=None, outcome=outcome, reason="a reason", no_answer=no_answer
    )


@pytest.fixture
def memory(database_url: str, clock: Clock) -> Iterator[Database]:
    database = Database(database_url, clock=clock)
    recorder = InstanceRecorder(database)
    recorder.record(received("2.25.1", clock))
    recorder.close()
    with database.transaction() as session:
        outbox.forward(session, session.scalars(select(InstanceRow)).one(), ["pacs"], clock())
    yield database
    database.dispose()


def lane(
    memory: Database,
    folder: Path,
    metrics: Metrics,
    outcome: Callable[[Path], StoreResult],
    holdings: Holdings | None = None,
) -> Lane:
    rng = random.Random(7)  # noqa: S311 - jitter
    office = Office(
        database=memory,
        files=FileStore(folder),
        settings=SenderSettings(lease_s=LEASE_S),
        owner="sender-1",
        rng=rng,
        holdings=holdings,
        metrics=metrics,
    )
    circuit = Circuit("pacs", opens_after=1, base_s=5, probe_s=60, rng=rng)
    return Lane(DESTINATION, ScriptedCarrier(outcome), circuit, office)


def delivery(memory: Database) -> DeliveryRow:
    with memory.reading() as session:
        return session.scalars(select(DeliveryRow)).one()


def test_an_object_that_takes_longer_than_a_lease_stays_its_senders(
    memory: Database, clock: Clock, tmp_path: Path
) -> None:
    def crawls(path: Path) -> StoreResult:
        for _ in range(3):
            clock.pass_s(0.9 * LEASE_S)
            renewed = clock() + timedelta(seconds=LEASE_S)
            wait_until(lambda until=renewed: delivery(memory).lease_until == until, what="a renewal")  # type: ignore[misc]
        with memory.transaction() as session:
            others = outbox.claim(session, destination="pacs", owner="another", now=clock(), lease_s=LEASE_S, limit=1)
        assert others == []
        return result(path, StoreOutcome.SENT)

    lane(memory, tmp_path, Metrics(), crawls).deliver_batch(threading.Event())

    row = delivery(memory)
    assert (row.state, row.attempts) == ("sent", 1)


def test_while_a_peer_is_asked_what_it_holds_the_deliveries_stay_their_senders(
    memory: Database, clock: Clock, tmp_path: Path
) -> None:
    with memory.transaction() as session:
        outbox.claim(session, destination="pacs", owner="crashed", now=clock(), lease_s=LEASE_S, limit=1)
    clock.pass_s(2 * LEASE_S)
    of_others: list[outbox.DeliveryClaim] = []

    def thinks(_: object, claims: Sequence[outbox.DeliveryClaim], _deadline: float) -> set[int]:
        for _beat in range(3):
            clock.pass_s(0.9 * LEASE_S)
            renewed = clock() + timedelta(seconds=LEASE_S)
            wait_until(lambda until=renewed: delivery(memory).lease_until == until, what="a renewal")  # type: ignore[misc]
        with memory.transaction() as session:
            of_others.extend(
                outbox.claim(session, destination="pacs", owner="another", now=clock(), lease_s=LEASE_S, limit=1)
            )
        return {claim.delivery_id for claim in claims}

    asking = lane(memory, tmp_path, Metrics(), lambda path: result(path, StoreOutcome.REFUSED), thinks)
    asking.deliver_batch(threading.Event())

    assert of_others == []
    assert (delivery(memory).state, delivery(memory).reason) == ("sent", "found at the peer")


def test_what_became_of_deliveries_is_counted_by_destination(memory: Database, tmp_path: Path) -> None:
    metrics = Metrics()

    lane(memory, tmp_path, metrics, lambda path: result(path, StoreOutcome.SENT_WITH_WARNING)).deliver_batch(
        threading.Event()
    )

    assert metrics.value("deliveries", destination="pacs", outcome="sent_with_warning") == 1
    assert metrics.value("circuit_open", destination="pacs") == 0


def test_an_open_circuit_is_shown(memory: Database, tmp_path: Path) -> None:
    metrics = Metrics()

    def is_away(path: Path) -> StoreResult:
        return result(path, StoreOutcome.REFUSED_FOR_NOW, NoAnswer.UNREACHED)

    lane(memory, tmp_path, metrics, is_away).deliver_batch(threading.Event())

    assert metrics.value("circuit_open", destination="pacs") == 1
