"""Items (c) and (f): controls that must fail to tell the classes, each beside one of its kind that must not.

A control whose interval holds .5 proves nothing when the interval is wide, or when the same training could not have
told the classes anyway: then the verdict is that nobody can tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from inference.evaluation.intervals import Estimate
from inference.wff.phantom_verification.areas import area_over_shuffles
from inference.wff.phantom_verification.findings import Finding, Item, contains, from_estimate
from inference.wff.phantom_verification.items_verdict import CHANCE, Scored, same
from inference.wff.phantom_verification.scale import Scale

WIDEST: Final = 0.65  # upper end of the interval of a control, and 1 less its lower end
ABLE: Final = 0.70  # AUC of a training that can tell

_CONTROL_BOUND: Final = f"interval contains .5 and lies in {1.0 - WIDEST:.2f} to {WIDEST:.2f}; positive control holds"
_POSITIVE_BOUND: Final = f">= {ABLE:.2f}, interval above .5"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlScores:
    """Of item (f); each positive control has the same images, labels that can be told, and the same training."""

    shuffles: Sequence[Scored]
    able: Scored  # shuffles: the labels as they are
    style: Scored
    confounded: Scored  # style: the labels follow the site
    masked: Scored
    visible: Scored  # masked: nothing is blanked


def no_signs(scale: Scale, dose: Scored, *, able: Scored) -> list[Finding]:
    """Item (c). `able`: the same training at difficulty 1."""
    without, with_signs = _area(scale, dose), _area(scale, able)
    what = "positive control, the same training at difficulty 1: image AUC"
    return [
        _control(
            Item.NO_SIGNS, "control, difficulty 0: image AUC", without, positive=with_signs, beside=_patients(dose)
        ),
        _positive(Item.NO_SIGNS, what, with_signs, beside=_patients(able)),
    ]


def controls(scale: Scale, scores: ControlScores) -> list[Finding]:
    """Item (f)."""
    patients = same(scale, scores.shuffles[0].patients)
    mean = area_over_shuffles(patients, [one.scores for one in scores.shuffles], seed=scale.seed)
    able = _area(scale, scores.able)
    shuffled = f"control, shuffled labels: image AUC, mean of {len(scores.shuffles)} shuffles"
    beside = f"{_patients(scores.shuffles[0])}; the same training with true labels: {able}"
    return [
        _control(Item.CONTROLS, shuffled, mean, positive=able, beside=beside),
        *_pair(
            scale,
            ("control, style of the site alone (edges of the images): AUC", scores.style),
            (
                "positive control, the same edges, all of some sites malignant and of the others benign: AUC",
                scores.confounded,
            ),
        ),
        *_pair(
            scale,
            ("control, lesion masked: AUC", scores.masked),
            ("positive control, the same images with nothing masked: AUC", scores.visible),
        ),
    ]


def _pair(scale: Scale, control: tuple[str, Scored], positive: tuple[str, Scored]) -> list[Finding]:
    area, able = _area(scale, control[1]), _area(scale, positive[1])
    return [
        _control(Item.CONTROLS, control[0], area, positive=able, beside=_patients(control[1])),
        _positive(Item.CONTROLS, positive[0], able, beside=_patients(positive[1])),
    ]


def _control(item: Item, what: str, area: Estimate, *, positive: Estimate, beside: str) -> Finding:
    narrow = area.low >= 1.0 - WIDEST and area.high <= WIDEST
    return from_estimate(
        item,
        what,
        area,
        _CONTROL_BOUND,
        holds=contains(area, CHANCE),
        telling=narrow and _is_able(positive),
        beside=beside,
    )


def _positive(item: Item, what: str, area: Estimate, *, beside: str) -> Finding:
    return from_estimate(item, what, area, _POSITIVE_BOUND, holds=_is_able(area), beside=beside)


def _is_able(area: Estimate) -> bool:
    return area.value >= ABLE and area.low > CHANCE


def _area(scale: Scale, scored: Scored) -> Estimate:
    return same(scale, scored.patients).area(scored.scores)


def _patients(scored: Scored) -> str:
    return f"{len(scored.patients)} patients"
