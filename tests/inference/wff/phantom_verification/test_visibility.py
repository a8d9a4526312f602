"""What each kind shows of the signs follows from the phantom's signal equations, and the oracles know no more."""

from dataclasses import replace

import numpy as np
import pytest

from inference.evaluation.metrics import area_under_roc
from inference.findings import SequenceKind, Verdict
from inference.phantom import PhantomConfig
from inference.phantom.law import Sign, sign_log_odds
from inference.phantom.subject import draw_subject
from inference.phantom.tissue import marrow
from inference.wff.phantom_verification.visibility import SIGNAL_SIGNS, ShownLesion, Visibility, shown_lesion

SITES = (0, 1)  # fat saturation, inversion recovery
DARK, BRIGHT = (list(Sign).index(sign) for sign in SIGNAL_SIGNS)


@pytest.fixture(scope="module")
def visibility() -> Visibility:
    return Visibility()


@pytest.fixture(scope="module")
def patients() -> list[tuple[ShownLesion, bool]]:
    config = PhantomConfig(lesion_free_fraction=0.0, sites=SITES)
    subjects = [draw_subject(number, seed=5, config=config) for number in range(160)]
    return [(shown_lesion(one), one.truth.label is Verdict.MALIGNANT) for one in subjects]


def test_each_sign_of_signal_shows_best_on_the_kind_that_it_is_named_for(visibility: Visibility) -> None:
    dark, bright = ({kind: visibility.of(sign, kind, SITES) for kind in SequenceKind} for sign in SIGNAL_SIGNS)

    assert dark[SequenceKind.T1] > 0.99
    assert bright[SequenceKind.T2FS] > 0.99
    assert dark[SequenceKind.T2FS] < dark[SequenceKind.T1] - 0.1
    assert bright[SequenceKind.T1] < bright[SequenceKind.T2FS] - 0.1


def test_a_site_that_saturates_fat_hides_more_than_one_that_inverts_it(visibility: Visibility) -> None:
    saturated, inverted = (visibility.of(Sign.T1_DARK, SequenceKind.T2FS, (site,)) for site in SITES)

    assert saturated < inverted


def test_a_lesion_of_marrow_has_no_contrast_on_any_kind() -> None:
    lesion = ShownLesion(signs=np.zeros(9, dtype=np.bool_), site=0, tissue=marrow(0.4), bone=marrow(0.4))

    assert [lesion.contrast(kind, site=0) for kind in SequenceKind] == [0.0, 0.0, 0.0]


def test_the_oracle_of_one_kind_is_no_better_than_the_one_of_all_signs_and_better_than_shapes_alone(
    visibility: Visibility, patients: list[tuple[ShownLesion, bool]]
) -> None:
    lesions, malignant = zip(*patients, strict=True)
    signs = np.array([one.signs for one in lesions])
    alike = np.array([np.where(np.isin(np.arange(9), (DARK, BRIGHT)), False, one) for one in signs])
    everything, shapes = (
        area_under_roc(sign_log_odds(some, difficulty=1.0).tolist(), malignant) for some in (signs, alike)
    )

    alone = [area_under_roc(visibility.log_odds(lesions, kind).tolist(), malignant) for kind in SequenceKind]

    assert all(shapes - 0.01 < area < everything + 0.01 for area in alone)


def test_the_oracle_knows_signals_by_the_contrast_and_not_by_the_signs_themselves(
    visibility: Visibility, patients: list[tuple[ShownLesion, bool]]
) -> None:
    lesions = [lesion for lesion, _ in patients]
    relabelled = []
    for one in lesions:
        signs = one.signs.copy()
        signs[[DARK, BRIGHT]] = ~signs[[DARK, BRIGHT]]
        relabelled.append(replace(one, signs=signs))

    for kind in SequenceKind:
        assert np.allclose(visibility.log_odds(lesions, kind), visibility.log_odds(relabelled, kind))
