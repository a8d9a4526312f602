"""How long a peer may let the node wait."""

from node.receiving.pace import Pace


def test_a_silent_peer_has_the_time_of_silence_from_its_last_byte() -> None:
    pace = Pace(10.0, 100.0)

    pace.waited(9.0)
    pace.received(10_000)
    pace.waited(4.0)

    assert pace.patience_s() == 6.0


def test_silence_between_pdus_takes_nothing_from_the_time_of_the_next() -> None:
    pace = Pace(10.0, 100.0)

    pace.rest()
    pace.waited(9.0)
    pace.received(1)
    pace.waited(2.0)

    assert pace.patience_s() == 8.0


def test_a_trickling_peer_runs_out_of_patience_and_is_told_from_a_silent_one() -> None:
    trickling, silent = Pace(10.0, 100.0), Pace(10.0, 100.0)

    for _ in range(12):
        trickling.received(1)
        trickling.waited(1.0)
    silent.received(1)
    silent.waited(10.0)

    assert (trickling.patience_s(), trickling.is_trickling) == (0.0, True)
    assert (silent.patience_s(), silent.is_trickling) == (0.0, False)


def test_a_peer_at_the_least_rate_is_waited_for_as_long_as_it_takes() -> None:
    pace = Pace(10.0, 100.0)

    for _ in range(1000):
        pace.received(100)
        pace.waited(1.0)

    assert pace.patience_s() > 0


def test_patience_begins_anew_when_nothing_is_unfinished() -> None:
    pace = Pace(10.0, 100.0)
    pace.received(1)
    pace.waited(5.0)
    pace.received(1)

    pace.rest()

    assert pace.patience_s() == 10.0
