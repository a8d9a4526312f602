"""The phantom patients of a verification, by the part they play; each part is painted into a folder of its own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from inference.datasets import LabelledPatient, SpineRegion
from inference.findings import Verdict
from inference.phantom import PhantomConfig
from inference.phantom.data_set import PhantomSet, make_data_set, patient_id
from inference.phantom.law import PhantomTruth
from inference.phantom.lesions.families import Look
from inference.phantom.subject import Subject, draw_subject
from inference.wff.phantom_verification.scale import Scale
from inference.wff.training.display import Display

HOME_SITES: Final = tuple(range(9))  # of training, and of most patients that are measured
AWAY_SITES: Final = (9, 10, 11)  # never trained on
UNSEEN_LOOK: Final = Look.LOBULATED  # never trained on; its malignant name is chordoma
PLAIN, HALF, NONE = 1.0, 0.5, 0.0  # difficulties: signs as tabled, half as telling, telling nothing

TRAINING, TUNING, HELD_OUT, AWAY, LOOK = "training", "tuning", "held-out", "away", "unseen-look"
# Numbers of patients, so that no two parts share one.
_FIRST: Final = {TRAINING: 0, TUNING: 100_000, HELD_OUT: 200_000, AWAY: 300_000, LOOK: 400_000}
_SEEN_LOOKS: Final = tuple(look for look in Look if look is not UNSEEN_LOOK)
# Without that look most sacral patients are benign: the region alone would tell the verdict, and the edges of an image
# show the region.
_SEEN_REGIONS: Final = tuple(region for region in SpineRegion if region is not SpineRegion.SACRAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Painted patients and what was planted in each."""

    folder: Path
    patients: tuple[LabelledPatient, ...]
    truths: Mapping[str, PhantomTruth]  # by patient identifier

    @property
    def with_lesion(self) -> list[LabelledPatient]:
        """Those whose lesion has a box somewhere: the others cannot be cut out."""
        return [p for p in self.patients if p.verdict is not None and any(s.labelled_slices for s in p.series)]

    def truth_of(self, patient: LabelledPatient) -> PhantomTruth:
        return self.truths[patient.patient_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohorts:
    training: Mapping[float, Cohort]  # by difficulty
    held_out: Mapping[float, Cohort]  # by difficulty; sites and looks of the training
    tuning: Cohort  # tau and the weights are chosen on these
    away: Cohort  # sites that nobody trained on
    unseen_look: Cohort  # the look that nobody trained on

    def everybody(self) -> list[Cohort]:
        return [*self.training.values(), *self.held_out.values(), self.tuning, self.away, self.unseen_look]


def paint_cohorts(scale: Scale, folder: Path, display: Display, *, processes: int) -> Cohorts:
    """Paint what the folder lacks. Takes most of the first minutes."""

    def painted(part: str, count: int, difficulty: float = PLAIN) -> Cohort:
        recipe = phantom_set(scale, part, count, difficulty)
        return _painted(recipe, folder / f"{part}-{difficulty:g}", display, processes)

    doses = (PLAIN, HALF, NONE)
    return Cohorts(
        training={d: painted(TRAINING, scale.training if d == PLAIN else scale.training_of_doses, d) for d in doses},
        held_out={d: painted(HELD_OUT, scale.held_out if d == PLAIN else scale.held_out_of_doses, d) for d in doses},
        tuning=painted(TUNING, scale.tuning),
        away=painted(AWAY, scale.away),
        unseen_look=painted(LOOK, scale.unseen_look),
    )


def phantom_set(scale: Scale, part: str, count: int, difficulty: float) -> PhantomSet:
    config = PhantomConfig(
        matrix=scale.matrix,
        fov_mm=scale.fov_mm,
        minimum_slices=scale.slices[0],
        maximum_slices=scale.slices[1],
        lesion_free_fraction=scale.lesion_free,
        difficulty=difficulty,
        sites=AWAY_SITES if part == AWAY else HOME_SITES,
        regions=_SEEN_REGIONS,
    )
    looks: tuple[Look, ...] = _SEEN_LOOKS
    if part == LOOK:
        config, looks = replace(config, regions=(SpineRegion.SACRAL,), lesion_free_fraction=0.0), (UNSEEN_LOOK,)
    return PhantomSet(first=_FIRST[part], count=count, seed=scale.seed, config=config, looks=looks)


def subjects_of(recipe: PhantomSet) -> Iterator[tuple[str, Subject]]:
    """Each patient of a part as it was drawn before any image was taken, by identifier. Paints nothing."""
    for number in recipe.truths():
        yield patient_id(number), draw_subject(number, seed=recipe.seed, config=recipe.config)


def is_malignant(patients: Sequence[LabelledPatient]) -> list[bool]:
    return [patient.verdict is Verdict.MALIGNANT for patient in patients]


def _painted(recipe: PhantomSet, folder: Path, display: Display, processes: int) -> Cohort:
    truths = recipe.truths()
    update = display.stage(f"painting {folder.name}", len(truths))
    patients = make_data_set([recipe], folder, processes=processes, progress=lambda done, total: update(done, ""))
    update(len(patients), "")
    return Cohort(
        folder=folder,
        patients=tuple(patients),
        truths={patient_id(number): truth for number, truth in truths.items()},
    )
