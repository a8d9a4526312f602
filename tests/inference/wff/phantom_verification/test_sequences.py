"""A model that reads each kind as its oracle does holds; one that reads a sign where it does not show is told."""

from collections.abc import Mapping
from copy import copy

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.datasets import LabelledPatient
from inference.findings import SequenceKind, Verdict
from inference.phantom import PhantomConfig
from inference.phantom.law import Sign
from inference.phantom.subject import draw_subject
from inference.wff.phantom_verification.findings import Finding, Judgement
from inference.wff.phantom_verification.items_sequences import sequences
from inference.wff.phantom_verification.scale import quick_scale
from inference.wff.phantom_verification.visibility import ShownLesion, Visibility, shown_lesion

COUNT = 240
SCALE = quick_scale(seed=1)
T1, T2, T2FS = SequenceKind.T1, SequenceKind.T2, SequenceKind.T2FS
Said = Mapping[SequenceKind, NDArray[np.float64]]


class Ward:
    """Patients as they were drawn, with what the oracle of each kind says of them."""

    def __init__(self) -> None:
        config = PhantomConfig(lesion_free_fraction=0.0, sites=(0, 2, 3))
        subjects = [draw_subject(number, seed=3, config=config) for number in range(COUNT)]
        self.lesions: list[ShownLesion] = [shown_lesion(one) for one in subjects]
        self.patients = [
            LabelledPatient(patient_id=str(n), age_years=50.0, verdict=one.truth.label, series=())
            for n, one in enumerate(subjects)
        ]
        visibility = Visibility()
        self.oracles = {kind: visibility.log_odds(self.lesions, kind) for kind in SequenceKind}

    @property
    def truth(self) -> NDArray[np.bool_]:
        return np.array([one.verdict is Verdict.MALIGNANT for one in self.patients])

    def sign(self, sign: Sign) -> NDArray[np.float64]:
        return np.array([float(one.signs[list(Sign).index(sign)]) for one in self.lesions])

    def judge(self, said: Said) -> list[Finding]:
        """`said`: log-odds."""
        readings = [{kind: float(1.0 / (1.0 + np.exp(-said[kind][n]))) for kind in said} for n in range(COUNT)]
        return sequences(SCALE, readings, self.patients, self.lesions)


@pytest.fixture(scope="module")
def ward() -> Ward:
    return Ward()


def noise(seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=COUNT)


def test_a_model_that_reads_each_kind_nearly_as_its_oracle_holds(ward: Ward) -> None:
    findings = ward.judge({kind: ward.oracles[kind] + 0.5 * noise(n) for n, kind in enumerate(SequenceKind)})

    assert {one.verdict for one in findings} == {Judgement.HOLDS}
    assert "T1, which shows it best, less on T2FS" in findings[0].what
    assert "T2FS, which shows it best, less on T1" in findings[1].what


def test_a_model_that_reads_the_signs_of_signal_on_the_wrong_kinds_is_told(ward: Ward) -> None:
    turned = {T1: ward.oracles[T2FS], T2: ward.oracles[T2], T2FS: ward.oracles[T1]}

    findings = ward.judge(turned)

    assert [one.verdict for one in findings[:2]] == [Judgement.FAILS, Judgement.FAILS]


def test_a_model_that_knows_more_than_a_kind_shows_passes_its_oracle_and_is_told(ward: Ward) -> None:
    leaking = {**ward.oracles, T2FS: ward.oracles[T2FS] + 4.0 * ward.truth}

    findings = ward.judge(leaking)

    assert [one.verdict for one in findings[2:5]] == [Judgement.HOLDS, Judgement.HOLDS, Judgement.FAILS]


def test_kinds_are_ordered_as_their_oracles_where_those_differ_enough(ward: Ward) -> None:
    findings = ward.judge(ward.oracles)

    assert findings[5].holds
    assert findings[5].value == 0.0
    assert "not judged" in findings[5].beside


def test_a_model_that_says_the_same_on_every_kind_has_none_of_the_order_of_the_oracles(ward: Ward) -> None:
    findings = ward.judge(dict.fromkeys(SequenceKind, ward.oracles[T2FS]))

    assert findings[5].verdict is Judgement.FAILS
    assert findings[5].value == 3.0


def test_where_the_oracles_themselves_do_not_differ_nobody_can_tell(ward: Ward) -> None:
    """All lesions are alike in signal: the contrast says nothing of the signs, on no kind."""
    alike = copy(ward)
    first = alike.lesions[0]
    alike.lesions = [
        ShownLesion(signs=one.signs, site=one.site, tissue=first.tissue, bone=first.bone) for one in alike.lesions
    ]
    said = {
        T1: ward.oracles[T1] + ward.sign(Sign.T1_DARK),
        T2: ward.oracles[T2],
        T2FS: ward.oracles[T2FS] + ward.sign(Sign.FS_BRIGHT),
    }

    findings = alike.judge(said)

    assert [one.verdict for one in findings[:2]] == [Judgement.UNSURE, Judgement.UNSURE]
    assert not any("order of their oracles" in one.what for one in findings)
