import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.plane import is_parallel, is_sagittal, missing_slices, normal
from tests.inference.mr_images import AXIAL, CORONAL, SAGITTAL


def turned_about_z(degrees: float) -> tuple[float, ...]:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return (-s, c, 0.0, 0.0, 0.0, -1.0)


@pytest.mark.parametrize(("orientation", "axis"), [(SAGITTAL, 0), (CORONAL, 1), (AXIAL, 2)])
def test_the_normal_stands_on_the_plane(orientation: tuple[float, ...], axis: int) -> None:
    n = normal(orientation)

    assert [abs(x) for x in n] == [float(i == axis) for i in range(3)]


@pytest.mark.parametrize(("degrees", "expected"), [(0, True), (20, True), (-36, True), (37, False), (90, False)])
def test_sagittal_is_within_37_degrees_of_the_median_plane(degrees: float, expected: bool) -> None:
    assert is_sagittal(turned_about_z(degrees)) is expected


def test_a_flipped_image_is_not_parallel() -> None:
    assert is_parallel(SAGITTAL, turned_about_z(0.5))
    assert not is_parallel(SAGITTAL, turned_about_z(2))
    assert not is_parallel(SAGITTAL, turned_about_z(180))


@pytest.mark.parametrize(
    ("positions", "missing"),
    [
        ([], 0),
        ([1.0], 0),
        ([0.0, 50.0], 0),
        ([0.0, 4.0, 8.0, 12.0], 0),
        ([12.0, 0.0, 8.0, 4.0], 0),
        ([0.0, 4.0, 12.0, 16.0], 1),
        ([0.0, 4.0, 16.0, 24.0], 3),
        ([0.0, 4.4, 9.0, 13.5, 18.1], 0),
        ([0.0, 0.0, 4.0, 4.0, 8.0, 8.0], 0),
        ([-3.0, 1.5, 10.5], 1),
        ([0.0, 4.5, 9.0, 13.5, 40.5], 5),
    ],
)
def test_missing_slices_are_counted_by_the_gaps(positions: list[float], missing: int) -> None:
    assert missing_slices(positions) == missing


@pytest.mark.parametrize(
    "orientation", [[0.0] * 6, [1e100] * 6, [1e200, 0, 0, 0, 1e200, 0], [math.nan] * 6, [math.inf, 0, 0, 0, 1, 0]]
)
def test_directions_that_span_no_plane_have_no_normal(orientation: list[float]) -> None:
    assert normal(orientation) == (0.0, 0.0, 0.0)
    assert not is_sagittal(orientation)


def test_positions_no_scanner_can_reach_make_no_gap() -> None:
    assert missing_slices([0.0, 4.0, 8.0, 1e308, -1e308, math.inf, math.nan]) == 0


@given(st.lists(st.floats()), st.lists(st.floats(), min_size=6, max_size=6))
def test_no_numbers_make_the_geometry_fail(positions: list[float], orientation: list[float]) -> None:
    assert missing_slices(positions) >= 0
    assert all(abs(component) <= 1 + 1e-9 for component in normal(orientation))
    assert is_parallel(orientation, orientation) in (True, False)
