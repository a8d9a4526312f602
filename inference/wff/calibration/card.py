"""The model card of a calibrated bundle: what was fitted to whom, reliability before and after, the parent's card."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any, Final

from inference.bundle import MODEL_CARD, Bundle
from inference.evaluation.subject import PHANTOM_HEADING
from inference.wff.age import BINS
from inference.wff.calibration.fitting import FOLDS, PARENT_PATIENTS, Quality, SiteCalibration

_LINE: Final = 118  # characters
_WORSE: Final = " The bundle was written all the same, as asked."
_RELIABILITY: Final = (
    "probability said",
    "before: patients",
    "mean said",
    "malignant",
    "after: patients",
    "mean said",
    "malignant",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteData:
    """What the card says of the data set."""

    sha256: str
    patients_sha256: str  # over the names of the patients
    is_phantom: bool  # the phantom has a part in it
    overlap: str  # a sentence: the parent has seen them, or may have; empty: its record says nothing of that
    images_sha256: Sequence[str] = ()  # of each series of the patients that are calibrated on
    part: str = ""  # of a split; "" for all patients
    patients: str = "labelled patients of a site"  # who they are, in words


def model_card(parent: Bundle, told: Mapping[str, Any], made: SiteCalibration, data: SiteData) -> str:
    """`told` is the metadata of the new bundle."""
    phantom = told["phantom_trained"]
    heading = f"# {told['name']} {told['version']}" + (f": {PHANTOM_HEADING}" if phantom else "")
    use = f"**{told['intended_use']}**\n\n" if "intended_use" in told else ""
    warning = "**Not for clinical use.** A synthetic phantom took part in the making.\n\n" if phantom else use
    overlap = f"\n**{data.overlap}**\n" if data.overlap else ""
    return f"""{heading}

{warning}{_introduction(parent)}

## Calibrated{f": {PHANTOM_HEADING}" if data.is_phantom else ""}
{_who(made, data)}
{overlap}
{_case_mix(made)}

{_rule(made)}

"After" is {FOLDS}-fold cross-validated by patient: everyone is read by a model that was fitted to the others. The
bundle itself was fitted to all. A slope of 1 and an intercept of 0 are perfect. Intervals are 95 %: bootstrap by
patient; of the decisions Wilson. {_worth(made)}

{_table(("", "before", "after"), _quality_rows(made.before, made.after))}

How often patients were malignant, by what was said of them:

{_table(_RELIABILITY, _reliability_rows(made))}

{_table(("age", "malignant before", "after"), _age_rows(parent, made))}

## The parent's card
{_demoted((parent.folder / MODEL_CARD).read_text(encoding="utf-8"))}"""


def _introduction(parent: Bundle) -> str:
    return _paragraph(
        f"A calibrated copy of {parent.identity.name} {parent.identity.version} (sha256 `{parent.identity.sha256}`): "
        "the same networks, threshold and weights, byte for byte; other probabilities and another age table. The card "
        "of the parent follows below; the numbers in it are of the parent."
    )


def _who(made: SiteCalibration, data: SiteData) -> str:
    cases = made.cases
    part = f", its part {data.part}" if data.part else ""
    return _paragraph(
        f"On {cases.patients} labelled patients of the site, {cases.malignant} malignant and {cases.benign} benign "
        f"(data set sha256 `{data.sha256[:16]}`{part}). {cases.undetected} have no detection and so no probability; "
        f"{cases.with_age} have a known age."
    )


def _case_mix(made: SiteCalibration) -> str:
    """A probability is of the patients that it was fitted to: it holds their share of malignant ones."""
    cases = made.cases
    return _paragraph(
        f"**{cases.malignant} of {cases.patients} cases are malignant ({100 * cases.malignant_share:.0f} %), and the "
        "calibrated probability holds that case mix.** Where malignancy is rarer among the patients whom the node "
        "sees, it says too much; where it is more common, too little. Calibrate on cases as they come, not on a "
        "selection."
    )


def _worth(made: SiteCalibration) -> str:
    text = made.worth + (_WORSE if made.is_worse else "")
    return text if made.is_better else f"**{text}**"


def _rule(made: SiteCalibration) -> str:
    fusion = made.model.fusion
    return _paragraph(
        f"The fused probability P of each slice becomes sigmoid({fusion.calibration_slope:.4f} x logit(P) "
        f"{'-' if fusion.calibration_intercept < 0 else '+'} {abs(fusion.calibration_intercept):.4f}) before the "
        "votes. Both numbers maximise the likelihood of the patients' verdicts (Platt 1999, with its smoothed "
        "targets). Each age group's malignant fraction is the mean of the site's, (malignant + 1) / (patients + 2), "
        f"and the parent's, weighted by the site's patients of that age and {PARENT_PATIENTS}."
    )


def _paragraph(text: str) -> str:
    return fill(text, _LINE, break_long_words=False, break_on_hyphens=False)


def _quality_rows(before: Quality, after: Quality) -> Iterator[tuple[str, ...]]:
    names: dict[str, Callable[[Quality], str]] = {
        "log loss": lambda q: f"{q.log_loss:.3f}",
        "Brier score": lambda q: str(q.probabilities.brier),
        "expected calibration error": lambda q: str(q.probabilities.expected_error),
        "calibration slope": lambda q: str(q.probabilities.slope or ""),
        "calibration intercept": lambda q: str(q.probabilities.intercept or ""),
        "decision right": lambda q: str(q.accuracy),
    }
    for name, text in names.items():
        yield name, text(before), text(after)


def _reliability_rows(made: SiteCalibration) -> Iterator[tuple[str, ...]]:
    for before, after in zip(made.before.probabilities.bins, made.after.probabilities.bins, strict=True):
        said = [f"{before.low:.1f}-{before.high:.1f}"]
        for one in (before, after):
            said += [str(one.patients), _or_none(one.mean_probability), str(one.malignant) if one.patients else ""]
        yield tuple(said)


def _age_rows(parent: Bundle, made: SiteCalibration) -> Iterator[tuple[str, ...]]:
    for number in range(BINS):
        ages = "0-10" if number == 0 else f"{10 * number + 1}-{10 * number + 10}" if number < BINS - 1 else "over 90"
        yield ages, f"{parent.metadata['age_table'][number]:.3f}", f"{made.model.age_table.malignant[number]:.3f}"


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _or_none(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _demoted(card: str) -> str:
    """Its headings two levels lower."""
    return "".join(f"##{line}" if line.startswith("#") else line for line in card.splitlines(keepends=True))
