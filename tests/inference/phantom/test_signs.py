"""The picture shows the signs, and knows the verdict through them alone."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from inference.datasets import SpineRegion
from inference.phantom import PhantomConfig, Sign, law
from inference.phantom.patient import draw_subject
from inference.phantom.scene import Scene
from inference.phantom.tissue import Sequence
from tests.inference.phantom.painted import (
    FS,
    STIR,
    T1,
    T2,
    in_body,
    local_coordinates,
    painted,
    scene_with,
    straight_grid,
)

REGIONS = tuple(SpineRegion)


def contrast(scene: Scene, sequence: Sequence, region: SpineRegion = SpineRegion.LUMBAR) -> float:
    """Mean signal of the lesion in the bone over the mean that the same place shows without the lesion."""
    volume, mask = painted(scene, sequence, region)
    healthy, _ = painted(replace(scene, lesions=()), sequence, region)
    bone = mask & in_body(scene.lesions[0].vertebra, region, 1.5)
    return float(volume[bone].mean() / healthy[bone].mean())


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("bright", [(), (Sign.FS_BRIGHT,)], ids=["fs-iso", "fs-bright"])
def test_t1_dark_lesions_are_darker_than_marrow_and_others_brighter(
    region: SpineRegion, bright: Iterable[Sign]
) -> None:
    dark = scene_with(*bright, Sign.T1_DARK, Sign.ILL_MARGIN, region=region)
    light = scene_with(*bright, Sign.ILL_MARGIN, region=region)

    assert contrast(dark, T1, region) < 0.85
    assert contrast(light, T1, region) > 1.1


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("sequence", [FS, STIR], ids=["fat-saturation", "stir"])
def test_bright_lesions_stand_out_with_fat_suppression_and_others_do_not(
    sequence: Sequence, region: SpineRegion
) -> None:
    bright = scene_with(Sign.FS_BRIGHT, Sign.T1_DARK, Sign.ILL_MARGIN, region=region)
    other = scene_with(Sign.T1_DARK, Sign.ILL_MARGIN, region=region)

    assert contrast(bright, sequence, region) > 1.6
    assert contrast(other, sequence, region) < 1.45


def test_a_sharp_margin_has_a_dark_rim_and_an_ill_defined_one_has_none() -> None:
    def rim_signal(*signs: Sign) -> float:
        scene = scene_with(Sign.FS_BRIGHT, *signs, seed=2)
        volume, mask = painted(scene, T1)
        (plan,) = scene.lesions
        assert plan.core is not None
        everywhere = np.ones(volume.shape, dtype=bool)
        local = local_coordinates(plan, everywhere, straight_grid())
        radius = np.linalg.norm((local - plan.core.centre) / plan.core.radii, axis=-1).reshape(volume.shape)
        shell = (radius > 0.88) & (radius < 1.12)
        return float(np.percentile(volume[shell], 20) / np.median(volume[mask]))

    assert rim_signal() < 0.5
    assert rim_signal(Sign.ILL_MARGIN) > 0.55


def reach(scene: Scene, region: SpineRegion = SpineRegion.LUMBAR) -> tuple[float, float, float]:
    """How far (mm) the lesions reach before the body, behind it, and to the side, in the frame of the first."""
    _, mask = painted(scene, T1, region)
    plan = scene.lesions[0]
    local = local_coordinates(plan, mask, straight_grid(region))
    depth = plan.vertebra.half_depth
    return float(-depth - local[:, 1].min()), float(local[:, 1].max() - depth), float(np.abs(local[:, 0]).max())


@pytest.mark.parametrize("region", REGIONS)
def test_a_cortical_break_leaves_the_body_forwards(region: SpineRegion) -> None:
    assert reach(scene_with(Sign.CORTICAL_BREAK, region=region), region)[0] > 3.5
    assert reach(scene_with(region=region), region)[0] < 0.0


def test_an_epidural_mass_takes_the_place_of_fluid() -> None:
    scene = scene_with(Sign.EPIDURAL_MASS, Sign.T1_DARK, Sign.ILL_MARGIN)
    volume, mask = painted(scene, T2)
    healthy, _ = painted(replace(scene, lesions=()), T2)
    fluid = healthy > 0.4

    assert reach(scene)[1] > 6.0
    assert (mask & fluid).sum() > 30
    assert volume[mask & fluid].mean() < 0.6 * healthy[mask & fluid].mean()


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize(
    "signs",
    [(), (Sign.DIFFUSE,), (Sign.ILL_MARGIN,), (Sign.ILL_MARGIN, Sign.DIFFUSE)],
    ids=lambda s: "+".join(s) or "none",
)
def test_without_a_sign_that_leaves_the_body_the_lesion_stays_inside_it(
    signs: tuple[Sign, ...], region: SpineRegion
) -> None:
    forwards, backwards, _ = reach(scene_with(*signs, region=region), region)

    # Half a pixel of the voxels' own size.
    assert forwards < 0.9
    assert backwards < 0.9


@pytest.mark.parametrize("region", REGIONS)
def test_a_dumbbell_passes_through_canal_and_foramen(region: SpineRegion) -> None:
    scene = scene_with(Sign.DUMBBELL, region=region)
    width = scene.lesions[0].vertebra.half_width

    _, backwards, sideways = reach(scene, region)

    assert backwards > 7.0
    assert sideways > width


def test_a_diffuse_lesion_fills_most_of_the_vertebra() -> None:
    def filled(*signs: Sign) -> float:
        scene = scene_with(*signs, seed=1)
        _, mask = painted(scene, T1)
        return float(mask[in_body(scene.lesions[0].vertebra, depth_mm=0.0)].mean())

    # The cortex that a lesion spares is a fifth of the body; a focal lesion leaves far more.
    assert filled(Sign.DIFFUSE) > 0.6
    assert filled() < 0.4


def test_coarse_trabeculae_stripe_the_lesion() -> None:
    def roughness(*signs: Sign) -> float:
        scene = scene_with(*signs, Sign.DIFFUSE, Sign.ILL_MARGIN)
        volume, _ = painted(scene, T1)
        inner = in_body(scene.lesions[0].vertebra, depth_mm=4.0)
        return float(volume[inner].std() / volume[inner].mean())

    assert roughness(Sign.COARSE_TRABECULAE) > 2.0 * roughness()


def test_multilevel_disease_has_two_or_three_vertebrae() -> None:
    counts = {len(scene_with(Sign.MULTILEVEL, seed=seed).lesions) for seed in range(8)}

    assert counts == {2, 3}


def test_the_body_is_the_same_whatever_the_signs() -> None:
    plain, loaded = scene_with(seed=4), scene_with(*Sign, seed=4)

    first, _ = painted(replace(plain, lesions=()), T1)
    second, _ = painted(replace(loaded, lesions=()), T1)

    assert np.array_equal(first, second)


def test_neither_verdict_nor_age_changes_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scene is drawn from the signs and numbers of its own; a verdict or age turned over changes nothing."""
    config = PhantomConfig(lesion_free_fraction=0.0)
    before = draw_subject(2, seed=9, config=config)

    drawn = law.draw_law

    def turned_over(rng: np.random.Generator, count: int, *, difficulty: float) -> law.LawSample:
        sample = drawn(rng, count, difficulty=difficulty)
        return replace(sample, malignant=~sample.malignant, age_years=86 - sample.age_years)

    monkeypatch.setattr(law, "draw_law", turned_over)
    after = draw_subject(2, seed=9, config=config)

    assert after.truth.label is not before.truth.label
    assert after.age_years != before.age_years
    assert after.truth.signs == before.truth.signs
    assert (after.truth.look, after.truth.region, after.truth.site) == (
        before.truth.look,
        before.truth.region,
        before.truth.site,
    )
    first, second = (painted(subject.scene, T1, before.truth.region)[0] for subject in (before, after))
    assert np.array_equal(first, second)
