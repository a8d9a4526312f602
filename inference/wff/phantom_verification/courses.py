"""The trainings of the sequence classifier alone: one per difficulty, and one per control."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from inference.datasets import LabelledPatient
from inference.wff.phantom_verification.cohorts import HALF, NONE, PLAIN, Cohort, Cohorts
from inference.wff.phantom_verification.controls import (
    confounded_with_site,
    lesion_masked,
    lesion_visible,
    shuffled_labels,
    style_only,
)
from inference.wff.phantom_verification.items_controls import ControlScores
from inference.wff.phantom_verification.items_verdict import Scored
from inference.wff.phantom_verification.scale import Scale
from inference.wff.phantom_verification.trainings import Course


def all_courses(scale: Scale, cohorts: Cohorts, folder: Path) -> dict[str, Course]:
    """By name; `folder` receives the data sets of the controls. Those that take longest come first."""
    courses = [*_cut(scale, cohorts, folder), *_doses(scale, cohorts), *_shuffles(scale, cohorts, folder)]
    return {course.name: course for course in courses}


def dose_name(difficulty: float) -> str:
    return f"difficulty-{difficulty:g}"


def control_scores(scale: Scale, scored: Mapping[str, Scored]) -> ControlScores:
    return ControlScores(
        shuffles=[scored[_shuffle_name(number)] for number in range(scale.shuffles)],
        able=scored[dose_name(PLAIN)],
        style=scored["control-style"],
        confounded=scored["control-style-confounded"],
        masked=scored["control-masked"],
        visible=scored["control-masked-visible"],
    )


def _doses(scale: Scale, cohorts: Cohorts) -> Iterator[Course]:
    """On as many patients and for as long at every difficulty."""
    for difficulty in (NONE, HALF, PLAIN):
        training = _first(cohorts.training[difficulty], scale)
        yield Course(
            name=dose_name(difficulty),
            data=training.folder,
            learned=training.with_lesion,
            read=cohorts.held_out[difficulty].with_lesion,
            steps=scale.steps_alone,
        )


def _shuffles(scale: Scale, cohorts: Cohorts, folder: Path) -> Iterator[Course]:
    """The patients and steps of difficulty 1."""
    training, read = _first(cohorts.training[PLAIN], scale), cohorts.held_out[PLAIN].with_lesion
    for number in range(scale.shuffles):
        data = folder / f"shuffled-{number}"
        learned = shuffled_labels(training, data, seed=scale.seed + number)
        yield Course(name=_shuffle_name(number), data=data, learned=learned, read=read, steps=scale.steps_alone)


def _cut(scale: Scale, cohorts: Cohorts, folder: Path) -> Iterator[Course]:
    """Each control with its positive one: the same images cut in the same way."""
    parts = {"training": cohorts.training[PLAIN], "held-out": cohorts.held_out[PLAIN]}
    pixel_mm = scale.fov_mm / scale.matrix
    seeds = dict(zip(parts, (scale.seed, scale.seed + 1), strict=True))

    def course(name: str, made: Mapping[str, Sequence[LabelledPatient]]) -> Course:
        data = folder / f"{name}-training"
        read = made["held-out"]
        return Course(name=f"control-{name}", data=data, learned=made["training"], read=read, steps=scale.steps_cut)

    style = {part: style_only(of, folder / f"style-{part}", seed=seeds[part]) for part, of in parts.items()}
    yield course("style", style)
    name = "style-confounded"
    yield course(name, {part: confounded_with_site(of, folder / f"{name}-{part}") for part, of in style.items()})
    for name, make in (("masked", lesion_masked), ("masked-visible", lesion_visible)):
        yield course(
            name,
            {
                part: make(of, folder / f"{name}-{part}", pixel_mm=pixel_mm, seed=seeds[part])
                for part, of in parts.items()
            },
        )


def _shuffle_name(number: int) -> str:
    return f"control-shuffled-{number}"


def _first(cohort: Cohort, scale: Scale) -> Cohort:
    """As many as every difficulty has."""
    return Cohort(folder=cohort.folder, patients=cohort.patients[: scale.training_of_doses], truths=cohort.truths)
