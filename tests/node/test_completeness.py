"""When a case is complete, and which words say so."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import GroupingSettings
from node.completeness import completeness, missing_by_series
from storage.schema import InstanceRow

SAGITTAL = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]
AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
SETTINGS = GroupingSettings(quiet_s=30, gap_wait_s=120)


def series(
    positions: Sequence[float], uid: str = "2.25.7001", orientation: Sequence[float] | None = SAGITTAL
) -> list[InstanceRow]:
    """Slices whose x (sagittal) or z (axial) is given, in mm."""
    axis = 2 if orientation == AXIAL else 0
    return [
        InstanceRow(
            series_instance_uid=uid,
            orientation=orientation,
            position_mm=[position if i == axis else 5.0 for i in range(3)],
        )
        for position in positions
    ]


def reason(instances: list[InstanceRow], quiet_s: float, settings: GroupingSettings = SETTINGS) -> str | None:
    return completeness(instances, quiet_for=timedelta(seconds=quiet_s), settings=settings)


WHOLE = series([0, 4, 8, 12, 16])
WITH_GAP = series([0, 4, 12, 16, 20])


def test_a_whole_series_is_complete_after_the_quiet_time() -> None:
    assert reason(WHOLE, 29.9) is None
    assert reason(WHOLE, 30) == "quiet 30 s, no gap"


def test_a_gap_waits_longer_and_is_named() -> None:
    assert reason(WITH_GAP, 119) is None
    assert reason(WITH_GAP, 120) == "quiet 120 s, missing slices: 1 in series ..7001"


def test_the_expected_number_completes_at_once_even_with_a_gap() -> None:
    settings = GroupingSettings(expected_instances=5)

    assert reason(WITH_GAP, 0, settings) == "all 5 expected instances are there"
    assert reason(WITH_GAP[:4], 0, settings) is None


def test_a_gap_never_waits_shorter_than_the_quiet_time() -> None:
    settings = GroupingSettings(quiet_s=30, gap_wait_s=10)

    assert reason(WITH_GAP, 29, settings) is None
    assert reason(WITH_GAP, 30, settings) is not None


def test_every_series_with_a_gap_is_named() -> None:
    other = series([0, 4, 8, 20, 24], uid="2.25.7002")

    assert missing_by_series([*WHOLE, *other]) == {"2.25.7002": 2}


def test_gaps_between_axial_stacks_do_not_delay_a_case() -> None:
    disc_stacks = series([0, 4, 8, 40, 44, 48], orientation=AXIAL)

    assert reason(disc_stacks, 30) == "quiet 30 s, no gap"


def test_the_order_of_arrival_makes_no_gap() -> None:
    assert missing_by_series(series([12, 0, 16, 4, 8])) == {}


@pytest.mark.parametrize("broken", [None, [0.0] * 6, [0.0, 1.0, 0.0, 0.0, 1.0, 0.0], [1.0, 2.0]])
def test_images_without_usable_orientation_do_not_disturb(broken: list[float] | None) -> None:
    assert missing_by_series([*WHOLE, *series([0, 50, 51], orientation=broken)]) == {}


def test_an_image_without_position_does_not_disturb() -> None:
    assert missing_by_series([*WHOLE, InstanceRow(series_instance_uid="2.25.7001", orientation=SAGITTAL)]) == {}


ABSURD = [1e100, 0.0, 1e-320, 1e308, -1e308, 1e-300]


@pytest.mark.parametrize(
    "orientation",
    [ABSURD, [1e100] * 6, [1e-200, 1e200, 0.0, 0.0, 0.0, 1.0], [0.0, 1e155, 0.0, 0.0, 1e-155, -1.0], [1e308, 0.0] * 3],
)
def test_an_absurd_orientation_does_not_disturb(orientation: list[float]) -> None:
    assert missing_by_series([*WHOLE, *series([0, 50, 51], orientation=orientation)]) == {}


def test_an_absurd_position_does_not_disturb() -> None:
    assert missing_by_series([*WHOLE, *series([1e308, -1e308, float("inf"), float("nan")])]) == {}


@given(
    st.lists(st.tuples(st.lists(st.floats(), min_size=6, max_size=6), st.lists(st.floats(), min_size=3, max_size=3)))
)
@settings(max_examples=200, deadline=None)
def test_whatever_numbers_come_there_is_an_end(planes: list[tuple[list[float], list[float]]]) -> None:
    images = [
        InstanceRow(series_instance_uid="2.25.7001", orientation=orientation, position_mm=position)
        for orientation, position in planes
    ]

    assert reason(images, 120) is not None
