"""Tissues have the order of grey that every radiographer expects of each weighting."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.datasets import SpineRegion
from inference.phantom.grid import Float32
from inference.phantom.scene import Scene
from inference.phantom.tissue import Sequence
from tests.inference.phantom.painted import FS, STIR, T1, T2, healthy_scene, in_body, painted, whole_region

LUMBAR, CERVICAL, THORACIC = SpineRegion.LUMBAR, SpineRegion.CERVICAL, SpineRegion.THORACIC


@cache
def scene_of(region: SpineRegion) -> Scene:
    return healthy_scene(seed=1, region=region)


@cache
def volume_of(region: SpineRegion, sequence: Sequence) -> Float32:
    return painted(scene_of(region), sequence, region)[0]


def marrow(region: SpineRegion) -> NDArray[np.bool_]:
    scene = scene_of(region)
    seen = [v for v in scene.spine.vertebrae if abs(v.frame.origin_mm[2]) < 60.0 and not v.sacral]
    return np.any([in_body(v, region, 3.0) for v in seen], axis=0)


def in_canal(region: SpineRegion, *, cord: bool) -> NDArray[np.bool_]:
    """Well within the cord, or the fluid well within the sac and outside the cord (above the conus for both)."""
    scene, space = scene_of(region), whole_region(region)
    row = scene.spine.table_index(space.h)
    behind, side = scene.spine.behind_wall_mm(space.a, row), space.l - scene.spine.wall_x[row]
    canal = scene.canal

    def radius(centre: Float32, depth: Float32, width: Float32, away: float) -> Float32:
        return np.hypot(
            (behind - centre[row]) / np.maximum(depth[row] + away, 0.1), side / np.maximum(width[row] + away, 0.1)
        )

    high = (space.h > scene.spine.conus_z_mm + 40.0) & (space.h < 90.0)
    in_cord = radius(canal.cord_centre, canal.cord_depth, canal.cord_width, -1.2) < 1.0
    if cord:
        return high & in_cord
    in_sac = radius(canal.sac_centre, canal.sac_depth, canal.sac_width, -0.9) < 1.0
    return high & in_sac & (radius(canal.cord_centre, canal.cord_depth, canal.cord_width, 0.9) > 1.0)


def fat_under_skin(region: SpineRegion) -> NDArray[np.bool_]:
    scene, space = scene_of(region), whole_region(region)
    row = scene.spine.table_index(space.h)
    depth = scene.outline.from_back(space, row)
    return (depth > 3.0) & (depth < scene.outline.back_fat[row] - 2.0) & (np.abs(space.l) < 20.0)


def outside(region: SpineRegion) -> NDArray[np.bool_]:
    space = whole_region(region)
    return scene_of(region).outline.from_back(space, scene_of(region).spine.table_index(space.h)) < -3.0


def mean(region: SpineRegion, sequence: Sequence, where: NDArray[np.bool_]) -> float:
    assert where.sum() > 20
    return float(volume_of(region, sequence)[where].mean())


@pytest.mark.parametrize("region", [LUMBAR, CERVICAL, THORACIC])
def test_fat_is_brightest_on_t1_then_marrow_and_fluid_is_dark(region: SpineRegion) -> None:
    fat, bone = mean(region, T1, fat_under_skin(region)), mean(region, T1, marrow(region))

    assert fat > 1.2 * bone
    assert outside(region).any()
    assert mean(region, T1, outside(region)) < 0.01


@pytest.mark.parametrize("region", [CERVICAL, THORACIC])
def test_fluid_is_darker_than_the_cord_on_t1_and_brighter_on_t2(region: SpineRegion) -> None:
    fluid, cord = in_canal(region, cord=False), in_canal(region, cord=True)

    assert mean(region, T1, fluid) < 0.75 * mean(region, T1, cord)
    assert mean(region, T2, fluid) > 1.25 * mean(region, T2, cord)
    assert mean(region, FS, fluid) > 1.25 * mean(region, FS, cord)


@pytest.mark.parametrize("region", [CERVICAL, THORACIC])
def test_fluid_is_the_brightest_tissue_on_t2(region: SpineRegion) -> None:
    fluid = mean(region, T2, in_canal(region, cord=False))

    assert fluid > 1.2 * mean(region, T2, marrow(region))


@pytest.mark.parametrize("sequence", [FS, STIR], ids=["fat-saturation", "stir"])
@pytest.mark.parametrize("region", [LUMBAR, CERVICAL])
def test_fat_is_dark_when_suppressed(region: SpineRegion, sequence: Sequence) -> None:
    fat = fat_under_skin(region)

    assert mean(region, sequence, fat) < 0.25 * mean(region, T2, fat)
    assert mean(region, sequence, marrow(region)) < 0.75 * mean(region, T2, marrow(region))


def test_young_discs_are_bright_on_t2_and_dry_ones_dark() -> None:
    scene = scene_of(LUMBAR)
    discs = [v.disc_above for v in scene.spine.vertebrae if v.region is not SpineRegion.SACRAL]
    seen = [d for d in discs if d is not None and abs(d.frame.origin_mm[2]) < 120.0 and d.half_height > 1.5]
    values = []
    for disc in seen:
        space = whole_region(LUMBAR)
        local = np.stack([space.l, space.a, space.h], axis=-1) - disc.frame.origin_mm
        middle = (np.abs(local @ disc.frame.axes[2]) < 1.2) & (np.linalg.norm(local, axis=-1) < 7.0)
        values.append(float(volume_of(LUMBAR, T2)[middle].mean()))

    dryness = [disc.degeneration for disc in seen]
    assert max(dryness) - min(dryness) > 0.2
    assert np.corrcoef(dryness, values)[0, 1] < -0.8


def test_a_vertebra_is_parted_from_its_disc_by_a_dark_line() -> None:
    vertebra = scene_of(LUMBAR).spine.of_level("L3")
    space = whole_region(LUMBAR)
    local = np.stack([space.l, space.a, space.h], axis=-1) - vertebra.frame.origin_mm
    above = local @ vertebra.frame.axes[2] - vertebra.half_height * (1.0 - vertebra.hollow)
    near = (np.abs(local @ vertebra.frame.axes[1]) < 5.0) & (np.abs(local @ vertebra.frame.axes[0]) < 5.0)
    profile = [volume_of(LUMBAR, T1)[near & (np.abs(above - at) < 0.7)].mean() for at in np.arange(-5.0, 6.0)]

    assert min(profile) < 0.75 * profile[0]
