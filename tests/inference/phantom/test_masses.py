"""What a lesion does around it and holds inside: the cord yields, blood settles, fat is where fat belongs."""

from dataclasses import replace

import numpy as np
import pytest

from inference.datasets import SpineRegion
from inference.phantom.grid import Float32, Region
from inference.phantom.law import Sign
from inference.phantom.lesions.displacement import displaced
from inference.phantom.lesions.families import Look
from inference.phantom.lesions.painting import chambers
from inference.phantom.scene import Scene
from inference.phantom.spine.canal import Canal
from tests.inference.phantom.painted import T1, painted, scene_with, whole_region

WATERY = (Sign.T1_DARK, Sign.FS_BRIGHT)


def canal_of(scene: Scene) -> Canal:
    return displaced(scene.canal, scene.spine, scene.lesions)


def rows_of(scene: Scene) -> slice:
    """Of the tables: those behind the first lesion's vertebra."""
    height = scene.lesions[0].vertebra.frame.origin_mm[2]
    first, last = np.searchsorted(scene.spine.z_mm, (height - 4.0, height + 4.0))
    return slice(int(first), int(last))


@pytest.mark.parametrize("seed", range(4))
def test_the_cord_yields_backwards_to_a_mass_before_it_and_stays_in_the_sac(seed: int) -> None:
    scene = scene_with(Sign.EPIDURAL_MASS, Sign.ILL_MARGIN, *WATERY, seed=seed, region=SpineRegion.THORACIC)
    before, after, rows = scene.canal, canal_of(scene), rows_of(scene)

    assert (after.cord_centre - before.cord_centre)[rows].max() > 0.5
    assert ((after.cord_centre + after.cord_depth) <= (before.sac_centre + before.sac_depth) + 0.1)[rows].all()
    assert (after.cord_depth >= 0.5 * before.cord_depth)[rows].all()


@pytest.mark.parametrize("seed", range(4))
def test_the_cord_yields_to_the_side_that_a_dumbbell_leaves_it(seed: int) -> None:
    scene = scene_with(Sign.DUMBBELL, *WATERY, seed=seed, region=SpineRegion.CERVICAL)
    side = np.sign(next(lobe for lobe in scene.lesions[0].lobes if lobe.outside_bone).middle[0])

    moved = canal_of(scene).cord_aside[rows_of(scene)]

    assert (-side * moved).max() > 0.5


@pytest.mark.parametrize("region", [SpineRegion.CERVICAL, SpineRegion.THORACIC])
@pytest.mark.parametrize("others", [(Sign.CORTICAL_BREAK,), (Sign.DIFFUSE, Sign.EPIDURAL_MASS)])
def test_however_many_parts_of_a_lesion_push_it_the_cord_stays_in_the_sac(
    others: tuple[Sign, ...], region: SpineRegion
) -> None:
    for seed in range(6):
        after = canal_of(scene_with(Sign.DUMBBELL, *others, *WATERY, seed=seed, region=region))

        assert (np.abs(after.cord_aside) + after.cord_width <= after.sac_width + 0.3)[after.cord_width > 1.0].all()
        assert (after.cord_width >= 0.3 * scene_with(seed=seed, region=region).canal.cord_width).all()


def test_far_from_the_mass_the_canal_is_as_it_was() -> None:
    scene = scene_with(Sign.EPIDURAL_MASS, *WATERY, region=SpineRegion.THORACIC)
    height = scene.lesions[0].vertebra.frame.origin_mm[2]
    far = np.abs(scene.spine.z_mm - height) > 45.0

    after = canal_of(scene)

    for table in ("cord_centre", "cord_depth", "cord_aside", "cord_width", "sac_centre", "sac_depth"):
        assert np.array_equal(getattr(after, table)[far], getattr(scene.canal, table)[far])


def test_a_lesion_in_the_bone_alone_leaves_the_canal_as_it_was() -> None:
    scene = scene_with(Sign.ILL_MARGIN, Sign.DIFFUSE, *WATERY)

    assert canal_of(scene) is scene.canal


def test_the_levels_of_settled_blood_are_level_for_a_patient_on_the_back_however_the_bone_is_tilted() -> None:
    scene = _chambered_scene()
    plan = scene.lesions[0]
    whole = whole_region(SpineRegion.LUMBAR)
    shape = whole.l.shape
    points = np.stack([whole.l, whole.a, whole.h], axis=-1).reshape(-1, 3)
    local = ((points - plan.vertebra.frame.origin_mm) @ plan.vertebra.frame.axes.T).astype(np.float32)
    region = Region(whole.index, *(np.ascontiguousarray(local[:, n].reshape(shape)) for n in range(3)))

    grey = chambers(plan, region, scene.noise)

    depth: Float32 = whole.a - np.float32(plan.vertebra.frame.to_lps(plan.centre)[1])  # along gravity
    assert (grey > 1.2)[depth < -5.5].mean() > 0.5  # but for the septa
    assert (grey < 0.79)[depth > 5.5].all()


def test_only_looks_that_have_fat_are_painted_with_fat() -> None:
    seen = set()
    for seed in range(6):
        for signs in ((), (Sign.FS_BRIGHT,), (Sign.DUMBBELL,), (Sign.EPIDURAL_MASS,), (Sign.COARSE_TRABECULAE,)):
            plan = scene_with(*signs, seed=seed).lesions[0]
            seen.add(plan.look)
            assert (plan.tissue.fat > 0.3) is (plan.look in (Look.FATTY, Look.STRIATED))
    assert {Look.FATTY, Look.STRIATED, Look.NERVE_SHEATH, Look.HAEMORRHAGIC} <= seen


def test_the_healthy_picture_of_a_patient_has_no_trace_of_the_mass() -> None:
    with_mass, without = scene_with(Sign.EPIDURAL_MASS, seed=3), scene_with(seed=3)

    first, _ = painted(replace(with_mass, lesions=()), T1)
    second, _ = painted(replace(without, lesions=()), T1)

    assert np.array_equal(first, second)


def _chambered_scene() -> Scene:
    for seed in range(40):
        scene = scene_with(Sign.CORTICAL_BREAK, *WATERY, seed=seed)
        if scene.lesions[0].look is Look.CHAMBERED and abs(scene.lesions[0].vertebra.frame.axes[1][2]) > 0.1:
            return scene
    raise LookupError("no chambered lesion in a tilted vertebra among 40 scenes")
