"""The heartbeat keeps a lease until the work ends or the lease is lost."""

import threading

from node.lease import Heartbeat
from storage.errors import LeaseLost, StorageError

SHORT_LEASE_S = 0.04
PATIENCE_S = 10.0


def test_the_lease_is_renewed_while_the_work_goes_on() -> None:
    renewed = threading.Semaphore(0)

    with Heartbeat(renewed.release, lease_s=SHORT_LEASE_S) as heartbeat:
        assert all(renewed.acquire(timeout=PATIENCE_S) for _ in range(3))

    assert not heartbeat.lost


def test_a_lost_lease_is_known_and_not_renewed_again() -> None:
    calls = []
    called = threading.Event()

    def lost() -> None:
        calls.append(1)
        called.set()
        raise LeaseLost("someone else has it")

    with Heartbeat(lost, lease_s=SHORT_LEASE_S) as heartbeat:
        assert called.wait(PATIENCE_S)
        heartbeat._thread.join(PATIENCE_S)

    assert heartbeat.lost
    assert calls == [1]


def test_a_fault_of_the_database_is_tried_again() -> None:
    second = threading.Event()
    calls = []

    def faulty_once() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise StorageError("away for a moment")
        second.set()

    with Heartbeat(faulty_once, lease_s=SHORT_LEASE_S) as heartbeat:
        assert second.wait(PATIENCE_S)

    assert not heartbeat.lost


def test_nothing_is_renewed_after_the_work() -> None:
    calls = []

    with Heartbeat(lambda: calls.append(1), lease_s=1000):
        pass

    assert calls == []
