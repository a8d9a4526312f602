"""The clock of the node never goes back."""

from datetime import UTC, datetime, timedelta

from structlog.testing import capture_logs

from storage.clock import SteadyClock

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


class Machine:
    """A wall clock that can be set, and a monotonic one that cannot."""

    def __init__(self) -> None:
        self.wall = NOON
        self.monotonic = 1000.0

    def pass_s(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.monotonic += seconds

    def clock(self) -> SteadyClock:
        return SteadyClock(wall=lambda: self.wall, monotonic=lambda: self.monotonic)


def test_it_tells_the_wall_clock_as_long_as_that_goes_on() -> None:
    machine = Machine()
    clock = machine.clock()

    machine.pass_s(60)

    assert clock.now() == NOON + timedelta(seconds=60)


def test_when_the_wall_clock_is_set_back_it_goes_on_at_its_pace() -> None:
    machine = Machine()
    clock = machine.clock()

    machine.wall -= timedelta(hours=1)
    before = clock.now()
    machine.pass_s(5)

    assert before == NOON
    assert clock.now() == NOON + timedelta(seconds=5)


def test_when_the_wall_clock_is_set_forward_it_follows_and_never_returns() -> None:
    machine = Machine()
    clock = machine.clock()

    machine.wall += timedelta(hours=1)
    ahead = clock.now()
    machine.wall -= timedelta(hours=1)
    machine.pass_s(5)

    assert ahead == NOON + timedelta(hours=1)
    assert clock.now() == ahead + timedelta(seconds=5)


def test_it_starts_after_the_times_that_are_stored_and_says_so() -> None:
    clock = Machine().clock()

    with capture_logs() as logs:
        clock.start_after(NOON + timedelta(hours=1))

    assert clock.now() == NOON + timedelta(hours=1)
    assert [one["event"] for one in logs] == ["clock_behind_stored_times"]


def test_stored_times_of_a_clock_that_was_years_ahead_are_not_followed() -> None:
    clock = Machine().clock()

    with capture_logs() as logs:
        clock.start_after(NOON + timedelta(days=3650))

    assert clock.now() == NOON
    assert [one["event"] for one in logs] == ["clock_behind_stored_times"]


def test_stored_times_of_the_past_change_nothing() -> None:
    clock = Machine().clock()

    clock.start_after(NOON - timedelta(days=1))

    assert clock.now() == NOON
