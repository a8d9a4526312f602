"""What the items take for granted of the phantom follows from its signal equations."""

from itertools import product

import numpy as np
import pytest

from inference.datasets import LabelledPatient
from inference.findings import SequenceKind, Verdict
from inference.phantom.law import PhantomTruth, Sign, draw_law, sign_log_odds
from inference.phantom.scanner.sites import draw_sequences, site_style
from inference.phantom.tissue import lesion_tissue, marrow, signal
from inference.wff.phantom_verification.items_sequences import HIDDEN, sequences, visible_log_odds
from inference.wff.phantom_verification.scale import quick_scale

SIGNALS = (Sign.T1_DARK, Sign.FS_BRIGHT)
PLAIN_TO_SEE = 0.3  # of the signal of marrow


def contrast(site: int, kind: SequenceKind, sign: Sign) -> float:
    """The largest change of a lesion by this sign, over both states of the other one, to the signal of marrow."""
    rng = np.random.default_rng(site)
    (sequence,) = (one for one in draw_sequences(rng, site_style(site)) if one.kind is kind)
    changes = []
    for other in (False, True):
        levels = [
            abs(sum(signal(lesion_tissue(t1_dark=dark, fs_bright=bright), sequence)))
            for dark, bright in product((False, True), repeat=2)
            if (bright if sign is Sign.T1_DARK else dark) is other
        ]
        changes.append(abs(levels[0] - levels[1]))
    return max(changes) / abs(sum(signal(marrow(0.4), sequence)))


@pytest.mark.parametrize("site", range(6))
def test_each_kind_hides_the_sign_that_it_is_said_to_hide_and_shows_the_other(site: int) -> None:
    for kind, sign in ((SequenceKind.T1, Sign.T1_DARK), (SequenceKind.T2FS, Sign.FS_BRIGHT)):
        hidden, shown = HIDDEN[kind], contrast(site, kind, sign)

        assert sign not in hidden
        assert shown > PLAIN_TO_SEE
        assert all(contrast(site, kind, other) < 0.6 * shown for other in hidden)


def test_the_oracle_of_one_kind_knows_nothing_of_the_hidden_sign() -> None:
    signs = draw_law(np.random.default_rng(1), 50, difficulty=1.0).signs
    other = signs.copy()
    column = list(Sign).index(Sign.FS_BRIGHT)
    other[:, column] = ~other[:, column]

    on_t1 = [visible_log_odds(one.astype(float), SequenceKind.T1) for one in (signs, other)]
    on_t2 = visible_log_odds(signs.astype(float), SequenceKind.T2)

    assert np.allclose(*on_t1)
    assert np.allclose(on_t2, sign_log_odds(signs, difficulty=1.0))


def test_a_model_that_reads_every_sign_where_it_shows_holds_and_one_that_reads_it_elsewhere_does_not() -> None:
    scale = quick_scale(seed=1, processes=1)
    sample = draw_law(np.random.default_rng(2), 300, difficulty=1.0)
    patients = [
        LabelledPatient(patient_id=str(n), age_years=50.0, verdict=verdict, series=())
        for n, malignant in enumerate(sample.malignant)
        for verdict in (Verdict.MALIGNANT if malignant else Verdict.BENIGN,)
    ]
    truths = [
        PhantomTruth(
            label=None,
            signs={str(sign): bool(value) for sign, value in zip(Sign, row, strict=True)},
            log_odds_signs=None,
            log_odds_signs_age=None,
            lesions=(),
        )
        for row in sample.signs
    ]
    noise = np.random.default_rng(3).normal(size=300)
    said = {
        kind: 1.0 / (1.0 + np.exp(-visible_log_odds(sample.signs.astype(float), kind) - noise)) for kind in SequenceKind
    }
    turned = {SequenceKind.T1: SequenceKind.T2FS, SequenceKind.T2FS: SequenceKind.T1, SequenceKind.T2: SequenceKind.T2}

    right = sequences(scale, [{k: float(said[k][n]) for k in said} for n in range(300)], patients, truths)
    wrong = sequences(scale, [{k: float(said[turned[k]][n]) for k in said} for n in range(300)], patients, truths)

    assert all(one.holds for one in right)
    assert [one.holds for one in wrong[:2]] == [False, False]
