"""Families: each occurs, keeps to its region and class, and is painted with the signal that its signs say."""

from collections import Counter

import numpy as np
import pytest

from inference.datasets import SpineRegion
from inference.findings import Verdict
from inference.phantom import PhantomConfig, PhantomSeries, Sign, generate_patient
from inference.phantom.lesions.families import Family, Look, draw_look, family_of
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

    patient = generate_patient(index, seed=SEED, config=CONFIG)

    assert patient.family == family
    assert all(any(series.boxes) for series in patient.series)
    t1, _, fs = patient.series
    assert (relative_signal(t1) < 1.12) is patient.truth.signs[Sign.T1_DARK]
    if patient.truth.signs[Sign.FS_BRIGHT]:
        assert relative_signal(fs) > 1.9


def relative_signal(series: PhantomSeries) -> float:
    """Mean stored value in the first lesion over the median around it."""
    mask = series.masks[0]
    around = series.pixels[mask.index[0]][:, :, mask.index[2]]
    return float(series.pixels[mask.index][mask.voxels].mean() / np.median(around))
