"""The whole verification in one folder: patients, trainings, items, table. A run that was stopped goes on.

```
data/           a folder per part of the patients
run/            trainings, detections and settings, as in every training
controls/       data sets of the controls
verification.json, verification.md
```
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from inference.data_facts import class_counts, data_facts
from inference.datasets import LabelledPatient, split_hash
from inference.durable_files import write_json, write_text
from inference.wff.phantom_verification.cohorts import HALF, NONE, PLAIN, Cohort, Cohorts, paint_cohorts
from inference.wff.phantom_verification.controls import lesion_masked, shuffled_labels, style_only
from inference.wff.phantom_verification.findings import Finding
from inference.wff.phantom_verification.geometry import round_trip
from inference.wff.phantom_verification.items_age import age_module
from inference.wff.phantom_verification.items_detection import lesion_free, pipeline
from inference.wff.phantom_verification.items_memory import memory
from inference.wff.phantom_verification.items_sequences import sequences
from inference.wff.phantom_verification.items_verdict import (
    Scored,
    against_oracle,
    controls,
    dose_response,
    no_signs,
    unseen,
)
from inference.wff.phantom_verification.scale import Scale
from inference.wff.phantom_verification.table import as_json, markdown
from inference.wff.phantom_verification.trainings import (
    Framework,
    Workplace,
    read_planted,
    score,
    train_classifier,
    train_whole,
)
from inference.wff.training.display import Display
from inference.wff.training.run_folder import Inputs, open_run_folder
from inference.wff.training.settings_file import settings_as_toml

TABLE: Final = "verification.md"
NUMBERS: Final = "verification.json"


def verify(scale: Scale, folder: Path, display: Display, *, command: Sequence[str]) -> list[Finding]:
    """Everything that the folder lacks, then the table.

    Raises TrainingError when the folder holds a verification of another scale or of another phantom.
    """
    cohorts = paint_cohorts(scale, folder / "data", display)
    with open_run_folder(folder / "run", _inputs(scale, cohorts), command) as run:
        where = Workplace(scale=scale, run=run.folder, display=display)
        whole = train_whole(where, cohorts)
        doses = {d: _dose(where, cohorts, d) for d in (NONE, HALF, PLAIN)}
        tests = _Controls(where, cohorts, folder / "controls")
        display.say("counting")
        findings = [
            *pipeline(scale, whole, round_trip(scale, folder, display)),
            *against_oracle(scale, whole, cohorts.held_out[PLAIN]),
            *no_signs(scale, doses[NONE]),
            *dose_response(scale, doses),
            *age_module(scale, whole, cohorts.training[PLAIN], cohorts.held_out[PLAIN]),
            *controls(scale, tests.shuffles(), tests.style(), tests.masked(), able=doses[PLAIN]),
            *lesion_free(scale, whole),
            *unseen(scale, whole, cohorts.away, cohorts.unseen_look),
            *_sequences_and_memory(scale, whole, cohorts),
        ]
        run.finish()
    write_report(findings, scale, cohorts, folder)
    return findings


def write_report(findings: Sequence[Finding], scale: Scale, cohorts: Cohorts, folder: Path) -> None:
    about = _about(scale, cohorts)
    write_json(folder / NUMBERS, as_json(findings, about=about, recipe=_recipe(scale)))
    write_text(folder / TABLE, markdown(findings, about=about))


class _Controls:
    """Trains and reads the controls at difficulty 1, all alike."""

    def __init__(self, where: Workplace, cohorts: Cohorts, folder: Path) -> None:
        self._where, self._scale, self._folder = where, where.scale, folder
        self._training, self._held_out = _first(cohorts.training[PLAIN], where.scale), cohorts.held_out[PLAIN]

    def shuffles(self) -> list[Scored]:
        return [self._shuffle(number) for number in range(self._scale.shuffles)]

    def style(self) -> Scored:
        seen, new = self._folder / "style-training", self._folder / "style-held-out"
        learned = style_only(self._training, seen, seed=self._scale.seed)
        return self._read("style", seen, learned, style_only(self._held_out, new, seed=self._scale.seed))

    def masked(self) -> Scored:
        pixel_mm = self._scale.fov_mm / self._scale.matrix
        seen, new = self._folder / "masked-training", self._folder / "masked-held-out"
        learned = lesion_masked(self._training, seen, pixel_mm=pixel_mm, seed=self._scale.seed)
        read = lesion_masked(self._held_out, new, pixel_mm=pixel_mm, seed=self._scale.seed + 1)
        return self._read("masked", seen, learned, read)

    def _shuffle(self, number: int) -> Scored:
        folder = self._folder / f"shuffled-{number}"
        learned = shuffled_labels(self._training, folder, seed=self._scale.seed + number)
        return self._read(f"shuffled-{number}", folder, learned, self._held_out.with_lesion)

    def _read(
        self, name: str, data: Path, learned: Sequence[LabelledPatient], read: Sequence[LabelledPatient]
    ) -> Scored:
        net = train_classifier(self._where, f"control-{name}", data, learned, steps=self._scale.steps_alone)
        return Scored(patients=read, scores=[score(one) for one in read_planted(net, read)])


def _dose(where: Workplace, cohorts: Cohorts, difficulty: float) -> Scored:
    """The classifier alone, on as many patients and for as long at every difficulty."""
    training, new = _first(cohorts.training[difficulty], where.scale), cohorts.held_out[difficulty].with_lesion
    stage, steps = f"difficulty-{difficulty:g}", where.scale.steps_alone
    net = train_classifier(where, stage, training.folder, training.with_lesion, steps=steps)
    return Scored(patients=new, scores=[score(one) for one in read_planted(net, new)])


def _first(cohort: Cohort, scale: Scale) -> Cohort:
    """As many as every difficulty has."""
    return Cohort(folder=cohort.folder, patients=cohort.patients[: scale.training_of_doses], truths=cohort.truths)


def _sequences_and_memory(scale: Scale, whole: Framework, cohorts: Cohorts) -> list[Finding]:
    """Items (i) and (j), with the framework's classifier on planted boxes."""
    net = whole.model.nets[1]
    held_out, away = cohorts.held_out[PLAIN], cohorts.away
    lesions = [*held_out.with_lesion, *away.with_lesion]
    truths = [cohort.truth_of(p) for cohort in (held_out, away) for p in cohort.with_lesion]
    readings = read_planted(net, lesions)
    known = cohorts.training[PLAIN].with_lesion
    new = held_out.with_lesion
    scores = [score(one) for one in readings[: len(new)]]
    return [*sequences(scale, readings, lesions, truths), *memory(scale, net.config, known, new, scores)]


def _inputs(scale: Scale, cohorts: Cohorts) -> Inputs:
    parts = {cohort.folder.name: cohort for cohort in cohorts.everybody()}
    painted = [f"{name} {data_facts(cohort.folder, cohort.patients).sha256}\n" for name, cohort in parts.items()]
    return Inputs(
        settings=f"# {json.dumps(_recipe(scale))}\n{settings_as_toml(scale.settings)}",
        data_sha256=hashlib.sha256("".join(painted).encode()).hexdigest(),
        weights_sha256="",
        splits_sha256=split_hash({name: cohort.patients for name, cohort in parts.items()}),
    )


def _recipe(scale: Scale) -> dict[str, Any]:
    recipe: dict[str, Any] = json.loads(json.dumps({k: v for k, v in asdict(scale).items() if k != "settings"}))
    return recipe


def _about(scale: Scale, cohorts: Cohorts) -> str:
    """Who was trained on, who was measured, how large the images and how long the trainings."""
    training, held_out = cohorts.training[PLAIN], cohorts.held_out[PLAIN]
    counts = ", ".join(f"{count} {name}" for name, count in class_counts(training.patients).items())
    nets = scale.settings
    return (
        f"Trained on {len(training.patients)} phantom patients ({counts}) of {scale.matrix} pixels squared, "
        f"measured on {len(held_out.patients)} others of the same sites, on {len(cohorts.away.patients)} of other "
        f"sites and on {len(cohorts.unseen_look.patients)} with a look that was not trained on. Detector "
        f"{nets.detector.steps} steps, sequence classifier {nets.sequence.steps}. Difficulties and controls: the "
        f"sequence classifier alone, {scale.training_of_doses} patients and {scale.steps_alone} steps each. "
        f"Seed {scale.seed}."
    )
