"""The picture shows the signs, and knows the verdict through them alone."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.findings import SequenceKind
from inference.phantom import PhantomConfig, Sign, law
from inference.phantom.grid import Float32, SliceGrid
from inference.phantom.painting import paint_scene
from inference.phantom.patient import draw_subject
from inference.phantom.scene import Scene, draw_scene
from inference.phantom.tissue import FatSuppression, Sequence

T1 = Sequence(kind=SequenceKind.T1, tr_ms=500.0, te_ms=12.0)
T2 = Sequence(kind=SequenceKind.T2, tr_ms=3400.0, te_ms=100.0)
FS = Sequence(
    kind=SequenceKind.T2FS, tr_ms=3700.0, te_ms=80.0, fat_suppression=FatSuppression.SATURATION, residual_fat=0.1
)
STIR = Sequence(kind=SequenceKind.T2FS, tr_ms=3700.0, te_ms=80.0, ti_ms=212.0, fat_suppression=FatSuppression.STIR)
SHAPE = (13, 192, 192)


def straight_grid() -> SliceGrid:
    pixel = 300.0 / SHAPE[1]
    affine = np.array(
        [[-4.4, 0, 0, 4.4 * 6], [0, 0, pixel, -162.0], [0, -pixel, 0, 150.0], [0, 0, 0, 1.0]], dtype=np.float64
    )
    return SliceGrid(affine, SHAPE)


def scene_with(*signs: Sign, seed: int = 0) -> Scene:
    return draw_scene(np.random.default_rng(seed), {str(sign): sign in signs for sign in Sign}, fov_mm=300.0)


def painted(scene: Scene, sequence: Sequence) -> tuple[Float32, NDArray[np.bool_]]:
    """Signal, and the mask of all lesions, both (Z, Y, X)."""
    volume, masks = paint_scene(scene, straight_grid(), sequence)
    whole = np.zeros(SHAPE, dtype=bool)
    for mask in masks:
        whole[mask.index] |= mask.voxels
    return volume, whole


def contrast(scene: Scene, sequence: Sequence) -> float:
    """Mean signal in the lesion over the mean that the same place shows without the lesion."""
    volume, mask = painted(scene, sequence)
    healthy, _ = painted(replace(scene, lesions=()), sequence)
    return float(volume[mask].mean() / healthy[mask].mean())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bright", [(), (Sign.FS_BRIGHT,)])
def test_t1_dark_lesions_are_darker_than_marrow_and_others_brighter(seed: int, bright: Iterable[Sign]) -> None:
    assert contrast(scene_with(*bright, Sign.T1_DARK, Sign.ILL_MARGIN, seed=seed), T1) < 0.8
    assert contrast(scene_with(*bright, Sign.ILL_MARGIN, seed=seed), T1) > 1.1


@pytest.mark.parametrize("sequence", [FS, STIR], ids=["fat-saturation", "stir"])
@pytest.mark.parametrize("dark", [(), (Sign.T1_DARK,)])
def test_bright_lesions_stand_out_with_fat_suppression_and_others_do_not(
    sequence: Sequence, dark: Iterable[Sign]
) -> None:
    assert contrast(scene_with(*dark, Sign.FS_BRIGHT, Sign.ILL_MARGIN), sequence) > 1.6
    assert contrast(scene_with(*dark, Sign.ILL_MARGIN), sequence) < 1.45


def test_a_sharp_margin_has_a_dark_rim_and_an_ill_defined_one_has_none() -> None:
    def rim_signal(*signs: Sign) -> float:
        scene = scene_with(Sign.FS_BRIGHT, *signs, seed=2)
        volume, mask = painted(scene, T1)
        (plan,) = scene.lesions
        region = straight_grid().whole()
        local = (np.stack([region.l, region.a, region.h], axis=-1) - plan.vertebra.frame.origin_mm) @ (
            plan.vertebra.frame.axes.T
        )
        assert plan.core is not None
        radius = np.linalg.norm((local - plan.core.centre) / plan.core.radii, axis=-1)
        shell = (radius > 0.9) & (radius < 1.1)
        return float(np.percentile(volume[shell], 20) / np.median(volume[mask]))

    assert rim_signal() < 0.5
    assert rim_signal(Sign.ILL_MARGIN) > 0.55


def reach(scene: Scene) -> tuple[float, float, float]:
    """How far (mm) the lesions reach before the body, behind it, and to the side, in the frame of the first."""
    _, mask = painted(scene, T1)
    vertebra = scene.lesions[0].vertebra
    k, j, i = np.nonzero(mask)
    points = np.stack([k, j, i, np.ones_like(k)]).astype(float)
    local = ((straight_grid().affine_lps @ points)[:3].T - vertebra.frame.origin_mm) @ vertebra.frame.axes.T
    depth = vertebra.half_depth
    return float(-depth - local[:, 1].min()), float(local[:, 1].max() - depth), float(np.abs(local[:, 0]).max())


def test_a_cortical_break_leaves_the_body_forwards() -> None:
    assert reach(scene_with(Sign.CORTICAL_BREAK))[0] > 6.0
    assert reach(scene_with())[0] < 0.0


def test_an_epidural_mass_takes_the_place_of_fluid() -> None:
    scene = scene_with(Sign.EPIDURAL_MASS, Sign.T1_DARK)
    volume, mask = painted(scene, T2)
    healthy, _ = painted(replace(scene, lesions=()), T2)
    fluid = healthy > 0.4

    assert reach(scene)[1] > 6.0
    assert (mask & fluid).sum() > 40
    assert volume[mask & fluid].mean() < 0.5 * healthy[mask & fluid].mean()


def test_without_a_sign_that_leaves_the_body_the_lesion_stays_inside_it() -> None:
    for signs in ((), (Sign.DIFFUSE,), (Sign.ILL_MARGIN,), (Sign.ILL_MARGIN, Sign.DIFFUSE)):
        forwards, backwards, _ = reach(scene_with(*signs))
        assert forwards < 0.0
        assert backwards < 0.0


def test_a_dumbbell_passes_through_canal_and_foramen() -> None:
    _, backwards, sideways = reach(scene_with(Sign.DUMBBELL))

    assert backwards > 10.0
    assert sideways > 22.0


def test_a_diffuse_lesion_fills_most_of_the_vertebra() -> None:
    def filled(*signs: Sign) -> float:
        scene = scene_with(*signs, seed=1)
        _, mask = painted(scene, T1)
        vertebra = scene.lesions[0].vertebra
        box = (vertebra.half_width, vertebra.half_depth, vertebra.half_height)
        region = straight_grid().region(vertebra.frame, tuple(-v for v in box), box)  # type: ignore[arg-type]
        body = vertebra.body_sdf(region) < 0
        return float(mask[region.index][body].mean())

    # The cortex that a lesion spares is a fifth of the body; a focal lesion leaves far more.
    assert filled(Sign.DIFFUSE) > 0.6
    assert filled() < 0.35


def test_coarse_trabeculae_stripe_the_lesion() -> None:
    def roughness(*signs: Sign) -> float:
        scene = scene_with(*signs, Sign.DIFFUSE, Sign.ILL_MARGIN)
        volume, mask = painted(scene, T1)
        inner = mask & np.roll(mask, 3, axis=2) & np.roll(mask, -3, axis=2)
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
    before = draw_subject(0, seed=9, config=config)

    drawn = law.draw_law

    def turned_over(rng: np.random.Generator, count: int, *, difficulty: float) -> law.LawSample:
        sample = drawn(rng, count, difficulty=difficulty)
        return replace(sample, malignant=~sample.malignant, age_years=86 - sample.age_years)

    monkeypatch.setattr(law, "draw_law", turned_over)
    after = draw_subject(0, seed=9, config=config)

    assert after.truth.label is not before.truth.label
    assert after.age_years != before.age_years
    assert after.truth.signs == before.truth.signs
    first, second = (painted(subject.scene, T1)[0] for subject in (before, after))
    assert np.array_equal(first, second)
