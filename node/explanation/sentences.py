"""The words of the explanation page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from inference.findings import BundleIdentity, Verdict
from inference.selection import EligibleSeries
from inference.wff.age import BINS
from inference.wff.config import FusionConfig
from inference.wff.explanation.arithmetic import Count, SequenceArithmetic, TermName
from inference.wff.explanation.saliency import Saliency
from inference.wff.explanation.what_ifs import Change, Outcome, WhatIf, WhatIfs
from node.report.wording import KIND, counted, percent

SALIENCY: Final = (
    "The tint shows where the sequence classifier's output (M) is sensitive. Windows of the clip are covered with its "
    "mean gray, one after the other; a place is tinted by how far M moved, in either direction, on the mean of the "
    "windows that covered it. Each map is scaled to its own strongest place. It is not a proof. It does not show that "
    "the classifier is right, or that a place is abnormal, and two places that tell the same can hide each other."
)
EQUATION: Final = (
    "P is the weighted mean of the terms that are known: D, the detector's class on this image; M, the sequence "
    "classifier's word on the clip, the same for all images of a sequence; A, the malignant share of the patient's age "
    "group. An image votes malignant from 50 % on; the dashed line stands there."
)
OTHER_VOTE: Final = "A vote that is turned over keeps its mean, which counts only where votes are tied."
_TERM: Final = {
    TermName.DETECTOR: "the detector's class (D)",
    TermName.SEQUENCE: "the sequence classifier (M)",
    TermName.AGE: "the age (A)",
}


def origin(bundle: BundleIdentity) -> tuple[str, str]:
    """What every reader must know first: a few words, and the rest."""
    who = f"Bundle {bundle.name} {bundle.version}, sha256 {bundle.sha256[:12]}, trained on {bundle.trained_on}."
    if bundle.phantom_trained:
        return "Synthetic phantom, no clinical meaning", f"{who} Its answers say nothing about a patient."
    return "For research use only, not for diagnosis", who


def sequence_names(series: Sequence[EligibleSeries]) -> list[str]:
    """E.g. "T1", "T2", or "T2 (1)" and "T2 (2)" where there are two."""
    kinds = [KIND[one.kind] for one in series]
    total, seen = Counter(kinds), Counter[str]()
    names = []
    for kind in kinds:
        seen[kind] += 1
        names.append(f"{kind} ({seen[kind]})" if total[kind] > 1 else kind)
    return names


def age_groups() -> list[str]:
    """In completed years."""
    lows = [0, *range(11, 10 * BINS, 10)]
    return [f"{low}+" if low > 10 * (BINS - 1) else f"{low}-{10 * number}" for number, low in enumerate(lows, start=1)]


def outcome(told: Outcome) -> str:
    if told.verdict is None or told.probability is None:
        return "no lesion detected"
    tie = ", tie" if told.tie else ""
    return f"{told.verdict.value}, {percent(told.probability)}{tie}"


def votes(count: Count, voices: str, silent: int) -> str:
    """E.g. "7 of 9 images malignant; 4 do not vote"; `voices` is the plural."""
    if count.verdict is None:
        return f"none of {silent} {voices} votes"
    said = f"{count.malignant} of {count.malignant + count.benign} {voices} malignant"
    return f"{said}; {silent} {'does' if silent == 1 else 'do'} not vote" if silent else said


def how(count: Count) -> str:
    """How the votes became a verdict."""
    if count.verdict is None or count.mean is None:
        return "abstains"
    if count.tie:
        side = "from 50 % on it is malignant" if count.verdict is Verdict.MALIGNANT else "below 50 % it is benign"
        return f"{count.verdict.value}: tie, broken by the mean of {percent(count.mean)} ({side})"
    return f"{count.verdict.value}: majority"


def silent_images(sequence: SequenceArithmetic) -> int:
    return sequence.slices - len(sequence.images)


def equation(fusion: FusionConfig, *, with_age: bool) -> str:
    """E.g. "P = (0.45 D + 0.45 M + 0.10 A) / 1.00"."""
    terms = [(fusion.lambda_detector, "D"), (fusion.lambda_sequence, "M"), (fusion.lambda_age, "A")]
    used = [(weight, name) for weight, name in terms if weight > 0 and (with_age or name != "A")]
    written = " + ".join(f"{weight:.2f} {name}" for weight, name in used)
    return f"P = ({written}) / {sum(weight for weight, _ in used):.2f}"


def change(one: WhatIf, names: Sequence[str], tau: float) -> str:
    if one.change is Change.THRESHOLD:
        return f"Threshold {float(one.subject):.2f} instead of {tau:.2f}"
    if one.change is Change.WITHOUT_TERM:
        return f"Without {_TERM[TermName(str(one.subject))]}"
    name = names[int(one.subject)]
    return f"Without {name}" if one.change is Change.WITHOUT_SEQUENCE else f"{name} votes the other way"


def fewest_votes(told: WhatIfs) -> str:
    if told.fewest_votes is None:
        return ""
    if told.fewest_votes == 1:
        return "One sequence that voted the other way would turn the decision."
    return f"{told.fewest_votes} sequences would have to vote the other way to turn the decision."


def age(told: WhatIfs, probability: float | None, table: Sequence[float]) -> str:
    """What the age did and could have done; empty where it has no weight or nothing voted."""
    if told.age is None:
        return ""
    turned = [
        f"{group} ({percent(share)})"
        for group, share, then in zip(age_groups(), table, told.age.groups, strict=True)
        if then.verdict is not told.decided.verdict
    ]
    groups = "No age group changes the decision."
    if turned:
        groups = f"Age groups with another decision: {', '.join(turned)}."
    if probability is None:
        return f"The age is not known, so its term dropped out. {groups}"
    known = f"The age term is {percent(probability)}."
    if told.age.turning_point is None:
        return f"{known} No value of it alone would turn the decision."
    moved = told.age.turning_point - probability
    turns = f"The decision turns at {percent(told.age.turning_point)}, a change of {100 * moved:+.1f} points."
    return f"{known} {turns} {groups}"


def strength(saliency: Saliency) -> str:
    """The largest change that a single covered window made."""
    window = f"a fifth of the region wide and high, {counted(saliency.slices_covered, 'slice')} deep"
    moved = f"{100 * saliency.strongest:.1f} points, from {percent(saliency.uncovered)} to {percent(saliency.covered)}"
    said = f"Covering one window ({window}) moves M by at most {moved}."
    return f"{said} That is little: no single window matters much." if saliency.is_weak else said


def disagreement(stored: Outcome, now: Outcome) -> str:
    """Empty where the case gives the same answer again."""
    same = stored.verdict is now.verdict and abs((stored.probability or 0.0) - (now.probability or 0.0)) < 0.01
    return "" if same else f"The case was answered with {outcome(stored)}; examined again it gives {outcome(now)}."


def sizes(parameters: Mapping[str, float]) -> str:
    """Empty where the networks ran at the sizes of their bundle."""
    others = [f"{name} {parameters[name]:g}" for name in ("image_size", "proposals") if name in parameters]
    return f"The networks ran with {' and '.join(others)}, other than their bundle says." if others else ""


def image(index: int, slices: int) -> str:
    return f"slice {index + 1} of {slices}"


def abstains(name: str, slices: int) -> str:
    return f"{name} abstains: none of its {counted(slices, 'image')} has a lesion above the threshold."
