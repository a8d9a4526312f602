"""A destination that is down gets one probe at a time, and both its going and its coming are told once."""

import random
from itertools import product

import pytest
from structlog.testing import capture_logs

from node.sending.circuit import TRANSITIONS, Admission, Circuit, CircuitEvent, CircuitState

PROBE_S = 60.0


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def circuit(time: Time) -> Circuit:
    return Circuit("pacs", opens_after=3, base_s=5.0, probe_s=PROBE_S, rng=random.Random(3), clock=time)  # noqa: S311


def fail(circuit: Circuit, times: int) -> None:
    for _ in range(times):
        circuit.admit()
        circuit.unreached("connection refused")


def test_it_stays_closed_until_the_failures_in_a_row_are_too_many(circuit: Circuit) -> None:
    fail(circuit, 2)
    circuit.reached()
    fail(circuit, 2)

    before = circuit.admit()
    fail(circuit, 1)

    assert before is Admission.ALL
    assert circuit.admit() is Admission.NOTHING


def test_after_the_pause_one_probe_may_go_and_nothing_beside_it(circuit: Circuit, time: Time) -> None:
    fail(circuit, 3)
    time.now += circuit.wait_s

    assert [circuit.admit(), circuit.admit()] == [Admission.PROBE, Admission.NOTHING]


def test_a_probe_that_succeeds_closes_it(circuit: Circuit, time: Time) -> None:
    fail(circuit, 3)
    time.now += PROBE_S
    circuit.admit()

    circuit.reached()

    assert circuit.admit() is Admission.ALL
    assert circuit.state is CircuitState.CLOSED


def test_the_pauses_grow_with_jitter_up_to_the_longest(circuit: Circuit, time: Time) -> None:
    pauses = []
    fail(circuit, 3)
    for _ in range(8):
        pauses.append(circuit.wait_s)
        time.now += circuit.wait_s
        assert circuit.admit() is Admission.PROBE
        circuit.unreached("connection refused")

    ceilings = [5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0, 60.0]
    assert all(ceiling / 2 <= pause <= ceiling for pause, ceiling in zip(pauses, ceilings, strict=True))
    assert len(set(pauses)) == len(pauses)


def test_a_probe_for_which_there_was_nothing_may_be_made_at_once(circuit: Circuit, time: Time) -> None:
    fail(circuit, 3)
    time.now += PROBE_S
    circuit.admit()

    circuit.probe_dropped()

    assert circuit.admit() is Admission.PROBE


def test_a_pause_that_the_peer_asks_for_opens_it_at_once_and_is_kept(circuit: Circuit) -> None:
    circuit.unreached("HTTP 503", at_least_s=600.0)

    assert circuit.admit() is Admission.NOTHING
    assert circuit.wait_s == 600.0


def test_a_batch_that_began_before_it_opened_and_fails_later_is_no_news(circuit: Circuit) -> None:
    fail(circuit, 3)
    pause_s = circuit.wait_s

    circuit.unreached("connection refused")

    assert circuit.wait_s == pause_s


def test_going_and_coming_are_logged_once_each(circuit: Circuit, time: Time) -> None:
    with capture_logs() as logs:
        fail(circuit, 4)
        for _ in range(3):
            time.now += PROBE_S
            fail(circuit, 1)
        time.now += PROBE_S
        circuit.admit()
        circuit.reached()
        circuit.reached()

    assert [line["event"] for line in logs] == ["destination_unreachable", "destination_reachable"]
    assert logs[1]["down_s"] == 4 * PROBE_S


# written apart from the code: state, event -> state; what is absent cannot happen
CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
EXPECTED = {
    (CLOSED, "reached"): CLOSED,
    (CLOSED, "unreached"): CLOSED,
    (CLOSED, "unreached_too_often"): OPEN,
    (CLOSED, "probe_dropped"): CLOSED,
    (OPEN, "reached"): CLOSED,
    (OPEN, "unreached"): OPEN,
    (OPEN, "probe_began"): HALF_OPEN,
    (OPEN, "probe_dropped"): OPEN,
    (HALF_OPEN, "reached"): CLOSED,
    (HALF_OPEN, "unreached"): OPEN,
    (HALF_OPEN, "probe_dropped"): OPEN,
}


def test_every_pair_of_state_and_event_is_as_written_down() -> None:
    found = {(state, event): TRANSITIONS.get((state, event)) for state, event in product(CircuitState, CircuitEvent)}

    assert {pair: state for pair, state in found.items() if state is not None} == EXPECTED
