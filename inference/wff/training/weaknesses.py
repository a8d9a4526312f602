"""Known weaknesses of a trained bundle, each because of a fact of its making."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from inference.data_facts import sites_of
from inference.findings import SequenceKind
from inference.wff.config import FusionConfig, WffConfig, paper_config
from inference.wff.training.report import Made

NO_EXTERNAL_TEST: Final = "- No external test, no comparison with readers."
_PAPER_TRAINING: Final = 445  # patients
_WITHOUT_WEIGHT: Final = (
    (
        "- The detector has weight 0: it finds lesions and cuts the clip, and its class counts for nothing. All images "
        "of a\n  sequence have the same probability, so they vote alike."
    ),
    "- The sequence classifier has weight 0: what it says of the region over the sequence counts for nothing.",
    "- The age has weight 0: it counts for nothing.",
)
_FEW_OF_A_CLASS: Final = 50  # held out: the Wilson interval of 80 % is then wider than 20 points


def known_weaknesses(made: Made) -> list[str]:
    """Lines of a list, for the model card."""
    lines = [*_of_size(made), *_of_origin(made), *_of_labels(made), *_of_model(made), *made.extras.weaknesses]
    return list(dict.fromkeys(lines))


def parts_without_weight(fusion: FusionConfig) -> list[str]:
    """One line for each part of Eq. 1 that the training gave no say."""
    weights = (fusion.lambda_detector, fusion.lambda_sequence, fusion.lambda_age)
    return [line for line, weight in zip(_WITHOUT_WEIGHT, weights, strict=True) if weight <= 0.0]


def _of_size(made: Made) -> Iterator[str]:
    training, cohort = len(made.learned_from), made.evaluation.cohort
    if training < _PAPER_TRAINING and not made.data.is_phantom:
        yield f"- Trained on {training} patients; the published study had {_PAPER_TRAINING}."
    fewest = min(cohort.benign, cohort.malignant)
    if fewest < _FEW_OF_A_CLASS:
        yield f"- Only {fewest} held-out patients of the rarer class: the intervals above are wide."
    undetected = made.evaluation.decided.performance.undetected
    if undetected:
        yield f"- In {undetected} of {cohort.patients} held-out patients with a lesion nothing was detected."


def _of_origin(made: Made) -> Iterator[str]:
    patients = [*made.learned_from, *made.splits.held_out]
    sites = sites_of(patients)
    if len(sites) == 1:
        yield "- All patients are of one site: how it does with another scanner or protocol is unknown."
    if not sites:
        yield "- No site is stated for any patient: how it does with another scanner or protocol is unknown."
    yield NO_EXTERNAL_TEST
    for kind in SequenceKind:
        if not any(series.kind is kind for patient in made.learned_from for series in patient.series):
            yield f"- No {kind} series was trained on; the node will analyse them all the same."
    share = made.evaluation.cohort.prevalence
    yield (
        f"- {100 * share:.0f} % of the held-out patients with a lesion are malignant; where the share is another, "
        "predictive values are too."
    )


def _of_labels(made: Made) -> Iterator[str]:
    patients = made.learned_from
    if all(patient.verdict is not None for patient in patients):
        yield "- No patient without a lesion was trained on: false alarms in healthy spines are to be expected."
    if not made.evaluation.cohort.lesion_free:
        yield "- No patient without a lesion was held out: how often it alarms for nothing is unknown."
    without_age = sum(patient.age_years is None for patient in patients)
    if without_age:
        yield f"- The age of {without_age} of {len(patients)} training patients is unknown."
    if all(not patient.regions for patient in patients):
        yield "- The regions of the lesions are not stated: errors per region could not be counted."


def _of_model(made: Made) -> Iterator[str]:
    fusion = made.model.config.fusion
    if not fusion.is_calibrated:
        yield "- The probability was not calibrated: read it as a score. `spinenode calibrate` fits it to a site."
    yield from parts_without_weight(fusion)
    if not _are_published(made.model.config):
        yield "- The networks are not the published ones: smaller, or of another form (`config` in metadata.json)."
    if not made.chosen.detector.initial_weights:
        yield "- The detector began at random weights, not at weights from other images."
    for licence in dict.fromkeys(one.licence for one in made.starting_weights.values()):
        yield f"- It began at weights of somebody else (licence: {licence}): their terms may bind these weights too."


def _are_published(config: WffConfig) -> bool:
    """Whatever normalises: batch norm comes with weights to start from, group norm without."""
    paper = paper_config()
    detector = replace(
        config.detector,
        backbone=replace(
            config.detector.backbone,
            norm=paper.detector.backbone.norm,
            norm_groups=paper.detector.backbone.norm_groups,
        ),
    )
    sequence = replace(config.sequence, norm=paper.sequence.norm, norm_groups=paper.sequence.norm_groups)
    return (detector, sequence) == (paper.detector, paper.sequence)
