"""Families: each occurs, keeps to its region and class, and is painted with the signal that its signs say."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from inference.datasets import SpineRegion
from inference.findings import Verdict
from inference.phantom import PhantomConfig, PhantomSeries, Sign
from inference.phantom.grid import SliceGrid
from inference.phantom.lesions.families import Family, Look, draw_look, family_of
from inference.phantom.lesions.plans import LesionPlan
from inference.phantom.patient import take_images
from inference.phantom.subject import Subject, draw_subject

SEED = 31
CONFIG = PhantomConfig(lesion_free_fraction=0.0, matrix=128)
BENIGN = {
    Family.HEMANGIOMA,
    Family.LIPID_POOR_HEMANGIOMA,
    Family.SCHWANNOMA,
    Family.MENINGIOMA,
    Family.OSTEOBLASTOMA,
    Family.ANEURYSMAL_BONE_CYST,
    Family.ENOSTOSIS,
}


@pytest.fixture(scope="module")
def subjects() -> list[Subject]:
    return [draw_subject(index, seed=SEED, config=CONFIG) for index in range(300)]


def test_every_family_occurs_and_belongs_to_one_class(subjects: list[Subject]) -> None:
    seen: dict[Verdict, set[str]] = {verdict: set() for verdict in Verdict}
    for subject in subjects:
        assert subject.truth.label is not None
        seen[subject.truth.label].add(subject.truth.family)

    assert seen[Verdict.BENIGN] == BENIGN
    assert seen[Verdict.MALIGNANT] == set(Family) - BENIGN


def test_chordomas_lie_in_the_sacrum_only(subjects: list[Subject]) -> None:
    regions = {s.truth.region for s in subjects if s.truth.family == Family.CHORDOMA}

    assert regions == {SpineRegion.SACRAL}


def test_each_look_has_a_benign_and_a_malignant_name() -> None:
    signs = {str(sign): False for sign in Sign}

    for look in Look:
        names = {family_of(look, verdict, signs) for verdict in Verdict}
        assert len(names) == 2
        assert len(names & BENIGN) == 1


def test_the_look_says_no_more_of_the_verdict_than_the_signs() -> None:
    """Looks are drawn from signs and region; among patients of equal signs both classes have the same looks."""
    signs = {str(sign): sign in (Sign.FS_BRIGHT, Sign.CORTICAL_BREAK, Sign.T1_DARK) for sign in Sign}

    drawn = Counter(draw_look(np.random.default_rng(n), signs, SpineRegion.LUMBAR) for n in range(300))

    assert len(drawn) > 1  # the signs leave a choice, and nothing else can have made it
    assert drawn == Counter(draw_look(np.random.default_rng(n), signs, SpineRegion.LUMBAR) for n in range(300))


@pytest.mark.parametrize("family", Family)
def test_every_family_paints_a_box_in_every_series_and_changes_the_signal_as_its_signs_say(
    family: Family, subjects: list[Subject]
) -> None:
    index = [subject.truth.family for subject in subjects].index(family)

    subject = subjects[index]
    healthy = replace(subject, scene=replace(subject.scene, lesions=()))

    with_lesion, without = (take_images(one, index, seed=SEED, config=CONFIG) for one in (subject, healthy))

    assert all(any(series.boxes) for series in with_lesion)
    t1, _, fs = (lesion_to_marrow(subject.scene.lesions[0], *pair) for pair in zip(with_lesion, without, strict=True))
    assert t1 < 0.9 if subject.truth.signs[Sign.T1_DARK] else t1 > 1.1
    assert fs > 1.5 if subject.truth.signs[Sign.FS_BRIGHT] else fs < 1.5


def lesion_to_marrow(plan: LesionPlan, with_lesion: PhantomSeries, without: PhantomSeries) -> float:
    """Mean stored value in the lesion over the mean in the healthy body of its vertebra."""
    mask = with_lesion.masks[0]
    around = plan.vertebra.around(SliceGrid(without.affine_lps, without.pixels.shape), 1.0)
    marrow = without.pixels[around.index][plan.vertebra.body_sdf(around) < -2.0]
    return float(with_lesion.pixels[mask.index][mask.voxels].mean() / marrow.mean())
