"""The model card of a trained bundle: every line from a fact of its making."""

from collections.abc import Iterable, Sequence
from textwrap import fill
from typing import Any, Final

from inference.data_facts import cohort_rows
from inference.evaluation.intervals import Estimate
from inference.evaluation.metrics import Rate
from inference.evaluation.results import StrategyRow
from inference.evaluation.subject import PHANTOM_HEADING
from inference.wff.config import FusionConfig
from inference.wff.training.cross_validation import CandidateResult
from inference.wff.training.file_names import command_without_folders, without_folders
from inference.wff.training.initial_weights.names import Purpose
from inference.wff.training.report import Made
from inference.wff.training.settings_file import as_toml
from inference.wff.training.training_rows import training_rows
from inference.wff.training.weaknesses import known_weaknesses
from inference.wff.versions import versions

INTENDED_USE: Final = "Research only. Not for clinical use: no decision about a patient may rest on it."
_LINE: Final = 118  # characters
_PAINTED_NOTICE: Final = (
    "**Not for clinical use.** All patients that these weights were trained on are synthetic. What they say about a "
    "person means nothing.\nEvery number on this page is of the synthetic phantom and has no clinical meaning."
)
_MIXED_NOTICE: Final = (
    "**Not for clinical use.** Some of the patients in this data set are synthetic. What these weights say about a "
    "person means nothing.\nThe synthetic phantom has a part in the numbers on this page: they have no clinical "
    "meaning."
)


def model_card(made: Made) -> str:
    """Markdown. One made from the phantom says so first, and again over its numbers."""
    settings, phantom = made.settings, made.data.is_phantom
    mark = f": {PHANTOM_HEADING}" if phantom else ""
    weaknesses = "\n".join(known_weaknesses(made))
    return f"""# {settings.bundle.name} {settings.bundle.version}{mark}

{_notice(made)}

## What it is
{_what_it_is(made)}

## What it is for
{_PHANTOM_USE if phantom else _CLINICAL_USE}

## Data{mark}
{_table(("", "trained on", "held out"), _data_rows(made))}

Each patient is in one part. sha256 of the split `{made.splits.sha256[:16]}`, of the data set
`{made.data.sha256[:16]}`.

## How it was trained
{_table(("", "detector", "sequence classifier"), training_rows(made))}
{_first_weights(made)}
Seed {settings.seed}, precision {settings.compute.precision}. All settings are in metadata.json.

## Cross-validation{mark}
{_cross_validation(made)}

## Measured on held-out patients{mark}
{_held_out(made)}

## Known weaknesses
{weaknesses}

## Made with
`{" ".join(command_without_folders(made.command))}`

{", ".join(f"{name} {number}" for name, number in versions().items())}
"""


def _notice(made: Made) -> str:
    if made.data.is_painted:
        return _PAINTED_NOTICE
    return _MIXED_NOTICE if made.data.is_phantom else f"**{INTENDED_USE}**"


_PHANTOM_USE: Final = (
    "To show and to test the node from the received study to the delivered report. It must not be used to look for "
    "lesions."
)
_CLINICAL_USE: Final = (
    f"{INTENDED_USE} Input: sagittal T1, T2 and fat-suppressed T2 series of the spine.\nOutput: boxes, and one "
    "benign or malignant probability per patient in whom a lesion is detected."
)


def _what_it_is(made: Made) -> str:
    detector, classifier = (sum(p.numel() for p in net.parameters()) / 1e6 for net in made.model.nets)
    config = made.model.config
    convolution = "deformable ResNeXt" if any(config.detector.backbone.deformable) else "ResNeXt"
    return _paragraph(
        "The weighted fusion framework (Liu et al., Insights into Imaging 2022, 13:87): a Faster R-CNN "
        f"({detector:.2f} M parameters, {convolution}, five scales, {config.detector.image_size} px) finds "
        f"lesions on each sagittal slice, a {config.sequence.variant.upper()} ResNeXt ({classifier:.2f} M parameters) "
        f"reads one clip of {config.sequence.clip_slices} slices per sequence, an age table adds the prior, and slices "
        "vote for their sequence, sequences for the patient."
    )


def _data_rows(made: Made) -> list[tuple[str, str, str]]:
    trained, held_out = cohort_rows(made.learned_from), cohort_rows(made.splits.held_out)
    return [(name, value, other) for (name, value), (_, other) in zip(trained, held_out, strict=True)]


def _first_weights(made: Made) -> str:
    names = {Purpose.DETECTOR.value: "detector", Purpose.SEQUENCE.value: "sequence classifier"}
    lines = [
        _paragraph(
            f"The {names[purpose]} began at `{one.file}` (sha256 `{one.sha256}`), converted from `{one.source}` "
            f"(sha256 `{one.source_sha256}`). Licence of that source, as stated at the conversion: {one.licence}."
        )
        for purpose, one in made.starting_weights.items()
    ]
    return "".join(f"\n{line}\n" for line in lines)


def _cross_validation(made: Made) -> str:
    chosen = made.crossed.chosen
    rows = [_candidate_row(one, is_chosen=one is chosen) for one in made.crossed.candidates]
    columns = ("candidate", "log loss", "AUC", "ACC", "SE", "SP", "undetected", "tau", "weights")
    text = _paragraph(
        f"{_who_was_read(made)} The least log loss chooses the candidate; tau and the weights of detector, sequence "
        "and age are chosen on the same readings, so these numbers flatter."
    )
    return f"{text}\n\n{_table(columns, rows)}"


def _who_was_read(made: Made) -> str:
    folds = made.splits.folds
    if made.settings.cross_validation.refit:
        return f"{len(folds)} folds by patient; each patient read by a model that has not seen them."
    return (
        f"One part of {len(folds)}, {len(folds[0])} more patients than are told above, was left out of the training "
        "and read by the networks; there was no other round and no training on all."
    )


def _candidate_row(one: CandidateResult, *, is_chosen: bool) -> tuple[str, ...]:
    p = one.performance
    overrides = without_folders(one.overrides)
    name = f"{one.number}: {f'`{as_toml(overrides)}`' if overrides else 'the settings'}"
    return (
        f"**{name}**, chosen" if is_chosen else name,
        f"{one.log_loss:.3f}",
        *map(_estimate, (p.area, p.accuracy, p.sensitivity, p.specificity)),
        str(p.undetected),
        f"{one.fusion.tau:.2f}",
        _weights(one.fusion),
    )


def _held_out(made: Made) -> str:
    evaluation = made.evaluation
    cohort = evaluation.cohort
    about = _paragraph(
        f"{cohort.patients} patients with a lesion, {cohort.malignant} malignant; decided by {evaluation.decided_by} "
        f"at threshold {evaluation.tau:.2f}. Malignant is positive; a patient without a detection counts as called "
        "benign. Intervals are 95 %: bootstrap by patient; of counts and of rates of 0 or 1 Wilson."
    )
    parts = [
        about,
        _table(
            ("strategy", "weights", "ACC", "AUC", "SE", "SP", "TP FN TN FP", "undetected"),
            [_strategy_row(row) for row in evaluation.strategy_rows()],
        ),
        _table(
            ("of the held-out patients", "value"), [*_detector_rows(made), *_probability_rows(made), *made.extras.rows]
        ),
    ]
    return "\n\n".join(parts)


def _strategy_row(row: StrategyRow) -> tuple[str, ...]:
    p, counts = row.performance, row.performance.counts
    return (
        row.name,
        ", ".join(f"{weight:.2f}" for weight in row.weights),
        *map(_estimate, (p.accuracy, p.area, p.sensitivity, p.specificity)),
        f"{counts.true_malignant} {counts.missed_malignant} {counts.true_benign} {counts.false_malignant}",
        str(p.undetected),
    )


def _detector_rows(made: Made) -> list[tuple[str, str]]:
    detector, cohort = made.evaluation.detector, made.evaluation.cohort
    rows = [("series, images", f"{cohort.series}, {cohort.images}")]
    named: Sequence[tuple[str, Any]] = (
        ("benign lesions", detector.benign),
        ("malignant lesions", detector.malignant),
        ("mean of the two classes", detector.mean_of_classes),
        ("lesions, class ignored", detector.either_class),
    )
    rows += [(f"AP50 of the detector, {name}", _estimate(value)) for name, value in named if value is not None]
    if detector.labelled:
        rows.append(("patients with a labelled lesion that is hit", str(Rate(detector.hit, detector.labelled))))
    if cohort.lesion_free:
        alarmed = Rate(cohort.lesion_free_alarmed, cohort.lesion_free)
        rows.append(("lesion-free patients with an alarm", str(alarmed)))
    if detector.false_boxes_per_lesion_free is not None:
        rows.append(("false boxes per lesion-free patient", _estimate(detector.false_boxes_per_lesion_free)))
    return rows


def _probability_rows(made: Made) -> list[tuple[str, str]]:
    calibration = made.evaluation.calibration
    if calibration is None:
        return []
    named = (
        ("Brier score", calibration.brier),
        ("expected calibration error", calibration.expected_error),
        ("calibration slope (1 is right)", calibration.slope),
        ("calibration intercept (0 is right)", calibration.intercept),
    )
    return [(name, "not defined" if value is None else _estimate(value)) for name, value in named]


def _weights(fusion: FusionConfig) -> str:
    return f"{fusion.lambda_detector:.2f}, {fusion.lambda_sequence:.2f}, {fusion.lambda_age:.2f}"


def _estimate(one: Estimate) -> str:
    return str(one).replace("95 % CI ", "")  # the head of the table says it


def _paragraph(text: str) -> str:
    return fill(text, _LINE, break_on_hyphens=False, break_long_words=False)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])
