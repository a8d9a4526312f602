"""The whole verification in one folder: patients, trainings, items, table. A run that was stopped goes on.

```
data/           a folder per part of the patients
run/            trainings, detections and settings, as in every training
controls/       data sets of the controls, and the near-copies
verification.json, verification.md
```
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch

from inference.data_facts import class_counts, data_facts
from inference.datasets import split_hash
from inference.durable_files import write_json, write_text
from inference.wff.phantom_verification.cohorts import (
    AWAY,
    HALF,
    HELD_OUT,
    NONE,
    PLAIN,
    TRAINING,
    Cohorts,
    paint_cohorts,
    phantom_set,
    subjects_of,
)
from inference.wff.phantom_verification.copies import scan_again
from inference.wff.phantom_verification.courses import all_courses, control_scores, dose_name
from inference.wff.phantom_verification.findings import Finding
from inference.wff.phantom_verification.geometry import round_trip
from inference.wff.phantom_verification.items_age import age_module
from inference.wff.phantom_verification.items_controls import controls, no_signs
from inference.wff.phantom_verification.items_detection import lesion_free, pipeline
from inference.wff.phantom_verification.items_memory import copies_among, memory
from inference.wff.phantom_verification.items_sequences import sequences
from inference.wff.phantom_verification.items_verdict import Scored, against_oracle, dose_response, unseen
from inference.wff.phantom_verification.scale import Scale
from inference.wff.phantom_verification.side_by_side import require_processes
from inference.wff.phantom_verification.table import as_json, markdown
from inference.wff.phantom_verification.trainings import (
    Course,
    Framework,
    Workplace,
    read_course,
    read_planted,
    read_with_framework,
    score,
    train_everything,
)
from inference.wff.phantom_verification.travellers import pipeline_of, travel
from inference.wff.phantom_verification.visibility import shown_lesion
from inference.wff.training.display import Display
from inference.wff.training.run_folder import Inputs, open_run_folder
from inference.wff.training.settings_file import settings_as_toml

TABLE: Final = "verification.md"
NUMBERS: Final = "verification.json"


def verify(
    scale: Scale, folder: Path, display: Display, *, command: Sequence[str], processes: int = 1
) -> list[Finding]:
    """Everything that the folder lacks, then the table. It is the same whatever the number of processes.

    Raises TrainingError when the folder holds a verification of another scale or of another phantom, or the number of
    processes is none of those promised.
    """
    require_processes(processes)
    torch.set_num_threads(1)  # sums over more threads are ordered otherwise
    cohorts = paint_cohorts(scale, folder / "data", display, processes=processes)
    with open_run_folder(folder / "run", _inputs(scale, cohorts), command) as run:
        where = Workplace(scale=scale, run=run.folder, processes=processes, display=display)
        courses = all_courses(scale, cohorts, folder / "controls")
        train_everything(where, cohorts.training[PLAIN], list(courses.values()))
        findings = _findings(where, cohorts, courses, folder)
        run.finish()
    write_report(findings, scale, cohorts, folder)
    return findings


def write_report(findings: Sequence[Finding], scale: Scale, cohorts: Cohorts, folder: Path) -> None:
    about = _about(scale, cohorts)
    write_json(folder / NUMBERS, as_json(findings, about=about, recipe=_recipe(scale)))
    write_text(folder / TABLE, markdown(findings, about=about))


def _findings(where: Workplace, cohorts: Cohorts, courses: Mapping[str, Course], folder: Path) -> list[Finding]:
    scale, held_out = where.scale, cohorts.held_out[PLAIN]
    whole = read_with_framework(where, cohorts)
    journeys = travel(pipeline_of(whole.model), whole.model, scale, folder, where.display)
    trip = round_trip(scale, folder, where.display, processes=where.processes)
    where.display.say("counting")
    scored = {name: Scored(patients=course.read, scores=read_course(where, course)) for name, course in courses.items()}
    doses = {difficulty: scored[dose_name(difficulty)] for difficulty in (NONE, HALF, PLAIN)}
    return [
        *pipeline(scale, whole, trip, journeys),
        *against_oracle(scale, whole, held_out),
        *no_signs(scale, doses[NONE], able=doses[PLAIN]),
        *dose_response(scale, doses),
        *age_module(scale, whole, cohorts.training[PLAIN], held_out),
        *controls(scale, control_scores(scale, scored)),
        *lesion_free(scale, whole),
        *unseen(scale, whole, cohorts.away, cohorts.unseen_look),
        *_sequences(scale, whole, cohorts),
        *_memory(where, whole, cohorts, folder / "controls" / "copies"),
    ]


def _sequences(scale: Scale, whole: Framework, cohorts: Cohorts) -> list[Finding]:
    """Item (i), with the framework's classifier on planted boxes."""
    patients = [*cohorts.held_out[PLAIN].with_lesion, *cohorts.away.with_lesion]
    recipes = [phantom_set(scale, HELD_OUT, scale.held_out, PLAIN), phantom_set(scale, AWAY, scale.away, PLAIN)]
    planted = {
        name: shown_lesion(subject)
        for recipe in recipes
        for name, subject in subjects_of(recipe)
        if subject.truth.label is not None
    }
    readings = read_planted(whole.model.nets[1], patients)
    return sequences(scale, readings, patients, [planted[one.patient_id] for one in patients])


def _memory(where: Workplace, whole: Framework, cohorts: Cohorts, folder: Path) -> list[Finding]:
    """Item (j), with the framework's classifier on planted boxes."""
    scale, net = where.scale, whole.model.nets[1]
    known, new = cohorts.training[PLAIN].with_lesion, cohorts.held_out[PLAIN].with_lesion
    recipe = phantom_set(scale, TRAINING, scale.training, PLAIN)
    copies = scan_again(recipe, known[: copies_among(len(new))], folder, processes=where.processes)
    scores = [score(one) for one in read_planted(net, new)]
    return memory(scale, net.config, training=known, held_out=new, scores=scores, copies=copies)


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
        f"{nets.detector.steps} steps, sequence classifier {nets.sequence.steps}. Difficulties and shuffled labels: "
        f"the sequence classifier alone, with plain clips, {scale.training_of_doses} patients and {scale.steps_alone} "
        f"steps each; the other controls {scale.steps_cut} steps. Seed {scale.seed}."
    )
