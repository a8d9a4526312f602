"""A control holds when it cannot tell the classes, and the same training could: anything else is no proof."""

import numpy as np
import pytest

from inference.datasets import LabelledPatient
from inference.evaluation.metrics import area_under_roc
from inference.findings import Verdict
from inference.wff.phantom_verification.findings import Finding, Judgement
from inference.wff.phantom_verification.items_controls import ControlScores, controls, no_signs
from inference.wff.phantom_verification.items_verdict import Scored
from inference.wff.phantom_verification.scale import quick_scale

SCALE = quick_scale(seed=1)
MANY, FEW = 400, 40


def scored(strength: float, *, patients: int = MANY, seed: int = 1) -> Scored:
    """The stronger, the better the scores tell the malignant ones; at 0 they are balanced to tell nothing."""
    truth = np.arange(patients) % 2 == 0
    noise = np.random.default_rng(seed).normal(size=patients // 2).repeat(2)
    return Scored(
        patients=[
            LabelledPatient(
                patient_id=str(number),
                age_years=50.0,
                verdict=Verdict.MALIGNANT if malignant else Verdict.BENIGN,
                series=(),
            )
            for number, malignant in enumerate(truth)
        ],
        scores=(strength * truth + noise).tolist(),
    )


def of_item_f(style: Scored, *, able: float = 3.0) -> dict[str, Finding]:
    """All controls say the same, and so do all positive ones."""
    positive = scored(able)
    scores = ControlScores(
        shuffles=[style, style],
        able=positive,
        style=style,
        confounded=positive,
        masked=style,
        visible=positive,
    )
    names = ("shuffled", "style", "style positive", "masked", "masked positive")
    return dict(zip(names, controls(SCALE, scores), strict=True))


def test_controls_that_tell_nothing_hold_where_the_same_training_can_tell() -> None:
    findings = of_item_f(scored(0.0))

    assert {one.verdict for one in findings.values()} == {Judgement.HOLDS}
    assert all(one.high is not None and one.high <= 0.65 for name, one in findings.items() if "positive" not in name)


def test_a_control_with_a_wide_interval_cannot_tell() -> None:
    findings = of_item_f(scored(0.0, patients=FEW))

    assert {findings[name].verdict for name in ("shuffled", "style", "masked")} == {Judgement.UNSURE}
    assert not any(findings[name].holds for name in ("shuffled", "style", "masked"))


def test_a_control_whose_training_could_not_have_told_the_classes_cannot_tell() -> None:
    findings = of_item_f(scored(0.0), able=0.3)

    assert {findings[name].verdict for name in ("shuffled", "style", "masked")} == {Judgement.UNSURE}
    assert {findings[name].verdict for name in ("style positive", "masked positive")} == {Judgement.FAILS}


@pytest.mark.parametrize("able", [0.3, 3.0])
@pytest.mark.parametrize("strength", [0.4, 2.0, -2.0])
def test_a_control_that_tells_the_classes_is_a_leak_whatever_the_training_can(strength: float, able: float) -> None:
    findings = of_item_f(scored(strength), able=able)

    assert {findings[name].verdict for name in ("shuffled", "style", "masked")} == {Judgement.FAILS}


def test_a_positive_control_that_a_few_patients_carried_is_none() -> None:
    findings = of_item_f(scored(0.0))
    few = ControlScores(
        shuffles=[scored(0.0)] * 2,
        able=scored(3.0),
        style=scored(0.0),
        confounded=scored(1.0, patients=10),
        masked=scored(0.0),
        visible=scored(3.0),
    )

    style, positive = controls(SCALE, few)[1:3]

    assert findings["style"].holds
    assert positive.value >= 0.7
    assert [style.verdict, positive.verdict] == [Judgement.UNSURE, Judgement.FAILS]


def test_signs_that_tell_nothing_must_give_chance_where_they_give_more_when_they_tell() -> None:
    coin, leak = (no_signs(SCALE, scored(strength), able=scored(3.0)) for strength in (0.0, 2.0))
    blind = no_signs(SCALE, scored(0.0), able=scored(0.0))

    assert [one.verdict for one in coin] == [Judgement.HOLDS, Judgement.HOLDS]
    assert leak[0].verdict is Judgement.FAILS
    assert leak[0].value == area_under_roc(scored(2.0).scores, [n % 2 == 0 for n in range(MANY)])
    assert [one.verdict for one in blind] == [Judgement.UNSURE, Judgement.FAILS]
