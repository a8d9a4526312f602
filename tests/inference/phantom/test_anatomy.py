"""The spine: levels, curves and sizes within what the specification says."""

from collections import Counter

import numpy as np
import pytest

from inference.datasets import SpineRegion
from inference.phantom import PhantomConfig
from inference.phantom.scanner.stations import PLANS, STATION_OF
from inference.phantom.spine.anatomy import Spine
from inference.phantom.spine.drawing import draw_spine
from inference.phantom.subject import LOCATION_MIX, draw_subject

SPINES = 300


@pytest.fixture(scope="module")
def spines() -> list[Spine]:
    return [draw_spine(np.random.default_rng(seed)) for seed in range(SPINES)]


def names(spine: Spine) -> list[str]:
    return [vertebra.level for vertebra in spine.vertebrae]


def lean_deg(spine: Spine, level: str) -> float:
    """How far the cranial axis tips forwards."""
    return float(np.degrees(np.arcsin(-spine.of_level(level).frame.axes[2, 1])))


def test_the_levels_run_from_the_coccyx_to_the_axis_without_a_gap(spines: list[Spine]) -> None:
    for spine in spines:
        assert names(spine)[:6] == ["CO", "S5", "S4", "S3", "S2", "S1"]
        assert names(spine)[-18:] == [f"T{n}" for n in range(12, 0, -1)] + [f"C{n}" for n in range(7, 1, -1)]


def test_one_spine_in_twenty_has_four_or_six_lumbar_vertebrae(spines: list[Spine]) -> None:
    counts = Counter(sum(name.startswith("L") for name in names(spine)) for spine in spines)

    assert set(counts) == {4, 5, 6}
    # Four standard errors of a rate of .05.
    assert (counts[4] + counts[6]) / SPINES == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / SPINES))


def test_each_region_curves_as_far_as_specified(spines: list[Spine]) -> None:
    """Each angle is drawn within its range; the vertebrae lean about 1.2 degrees by themselves."""
    for spine in spines:
        assert 35.0 < lean_deg(spine, "S1") - lean_deg(spine, "L1") < 65.0
        assert 15.0 < lean_deg(spine, "T1") - lean_deg(spine, "T12") < 50.0
        assert 13.0 < lean_deg(spine, "T1") - lean_deg(spine, "C2") < 47.0


def test_sizes_grow_from_neck_to_loins_and_fall_in_the_sacrum(spines: list[Spine]) -> None:
    for level, height, depth, width in (("C3", 14, 16, 21), ("L4", 28, 35, 50)):
        found = np.array(
            [[2 * v.half_height, 2 * v.half_depth, 2 * v.half_width] for v in (s.of_level(level) for s in spines)]
        )
        assert found.mean(axis=0) == pytest.approx((height, depth, width), rel=0.03)
        assert np.all(found > 0.88 * np.array([height, depth, width]))
        assert np.all(found < 1.11 * np.array([height, depth, width]))
    for spine in spines:
        depths = [spine.of_level(level).half_depth for level in ("S1", "S2", "S3", "S4")]
        assert depths == sorted(depths, reverse=True)


def test_scoliosis_stays_small(spines: list[Spine]) -> None:
    offsets = np.array([v.frame.origin_mm[0] for spine in spines for v in spine.vertebrae])

    assert 1.5 < offsets.std() < 4.5


def test_the_cord_ends_at_the_first_lumbar_vertebra_and_the_sac_in_the_sacrum(spines: list[Spine]) -> None:
    for spine in spines:
        assert spine.height_of("L3") < spine.conus_z_mm < spine.height_of("T11")
        assert spine.height_of("S4") < spine.sac_end_z_mm < spine.height_of("S1")


def test_lesions_are_spread_over_the_regions_as_in_the_paper() -> None:
    config = PhantomConfig(lesion_free_fraction=0.0)
    count = 300

    seen = Counter(draw_subject(index, seed=17, config=config).truth.region for index in range(count))

    total = sum(LOCATION_MIX.values())
    assert total == 677
    for region, cases in LOCATION_MIX.items():
        share = cases / total
        assert seen[region] / count == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / count))


@pytest.mark.parametrize("region", SpineRegion)
def test_lesions_lie_in_their_region_and_well_within_the_image(region: SpineRegion) -> None:
    config = PhantomConfig(lesion_free_fraction=0.0, regions=(region,))

    for index in range(40):
        subject = draw_subject(index, seed=5, config=config)
        half_view = 0.5 * 0.9 * PLANS[subject.station].fov_mm
        assert all(lesion.region is region for lesion in subject.truth.lesions)
        assert all(abs(lesion.centre_mm[2]) < half_view - 15.0 for lesion in subject.truth.lesions)


def test_a_station_shows_its_middle_vertebra_at_the_origin() -> None:
    for region, station in STATION_OF.items():
        scene = draw_subject(3, seed=5, config=PhantomConfig(regions=(region,))).scene
        if region is SpineRegion.LUMBAR:
            continue  # its station may be set lower
        middle = scene.spine.of_level(PLANS[station].centre_level)
        assert middle.frame.origin_mm == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)
