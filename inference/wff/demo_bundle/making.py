"""From cohorts to the bundle: paint, train, measure. What was done before a stop is not done again."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from inference.case import Case
from inference.datasets import open_data_set
from inference.evaluation.results import Evaluation
from inference.findings import BundleIdentity, Findings
from inference.phantom.data_set import PhantomSet, make_data_set
from inference.runtime import Device
from inference.wff.demo_bundle.cohorts import Cohorts
from inference.wff.demo_bundle.measuring import extras_of
from inference.wff.model import WffModel
from inference.wff.patients import DetectedPatient, detect_all
from inference.wff.pipeline import WffPipeline
from inference.wff.training.display import Display
from inference.wff.training.framework import prepare, train_framework
from inference.wff.training.presets import demo_settings
from inference.wff.training.report import Extras
from inference.wff.training.run_folder import BUNDLE, open_run_folder
from inference.wff.training.settings import BundleSettings, ComputeSettings, TrainingSettings

NAME: Final = "wff-demo-phantom"
VERSION: Final = "2.2.0"
_LICENSE: Final = """Copyright the SpineNode authors

Licensed under the Apache License, Version 2.0. You may obtain a copy of the License at
http://www.apache.org/licenses/LICENSE-2.0

These weights were trained on synthetic images only. They are distributed on an "AS IS" basis, without warranties or
conditions of any kind, and are not for clinical use.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Which phantom patients, and how they are trained on."""

    cohorts: Cohorts
    settings: TrainingSettings
    real_study: Path | None = None  # folder of a study without a known tumour: the card tells what is said of it


def demo_recipe(
    cohorts: Cohorts,
    *,
    seed: int,
    processes: int,
    detector_steps: int | None = None,
    classifier_steps: int | None = None,
    real_study: Path | None = None,
) -> Recipe:
    """`None`: as the settings of the demo say."""
    settings = demo_settings()
    return Recipe(
        cohorts=cohorts,
        real_study=real_study,
        settings=replace(
            settings,
            seed=seed,
            bundle=BundleSettings(name=NAME, version=VERSION),
            compute=ComputeSettings(device=Device.CPU, devices=processes, channels_last=True),
            cross_validation=replace(settings.cross_validation, held_out_sites=cohorts.held_out_sites),
            detector=replace(settings.detector, steps=detector_steps or settings.detector.steps),
            sequence=replace(settings.sequence, steps=classifier_steps or settings.sequence.steps),
        ),
    )


def make(recipe: Recipe, work: Path, out: Path, display: Display, *, command: Sequence[str]) -> BundleIdentity:
    """Make the data set and train on it in the folder `work`; copy the bundle to `out`."""
    cohorts = recipe.cohorts
    data = _painted([cohorts.training, cohorts.unseen_sites], work / "data", recipe, display)
    prepared = prepare(data, _with_license(recipe.settings, work))
    with open_run_folder(work / "run", prepared.inputs, command) as run:

        def make_extras(model: WffModel, held_out: Sequence[DetectedPatient], evaluation: Evaluation) -> Extras:
            return _extras(recipe, work, display, model, held_out, evaluation)

        identity = train_framework(prepared, run, display, command=command, make_extras=make_extras)
        out.mkdir(parents=True, exist_ok=True)
        for file in (run.folder / BUNDLE).iterdir():
            shutil.copyfile(file, out / file.name)
    return identity


def _extras(
    recipe: Recipe,
    work: Path,
    display: Display,
    model: WffModel,
    held_out: Sequence[DetectedPatient],
    evaluation: Evaluation,
) -> Extras:
    detected = {"unseen_sites": held_out}
    for name in ("seen_sites", "unseen_look"):
        folder = work / name
        _painted([getattr(recipe.cohorts, name)], folder, recipe, display)
        detected[name] = _detected(model, folder, recipe, display, name)
    real_study = None if recipe.real_study is None else _findings_of(recipe.real_study, model)
    return extras_of(model, evaluation, detected, recipe.cohorts, seed=recipe.settings.seed, real_study=real_study)


def _painted(sets: Sequence[PhantomSet], folder: Path, recipe: Recipe, display: Display) -> Path:
    update = display.stage(f"phantom patients: {folder.name}", sum(one.count for one in sets))
    make_data_set(
        sets,
        folder,
        processes=recipe.settings.compute.devices,
        progress=lambda done, total: update(done, f"of {total}"),
    )
    return folder


def _detected(model: WffModel, folder: Path, recipe: Recipe, display: Display, name: str) -> list[DetectedPatient]:
    patients = open_data_set(folder)
    update, done = display.stage(f"{name}: searching", len(patients)), 0

    def advance() -> None:
        nonlocal done
        done += 1
        update(done, "")

    return detect_all(model, patients, processes=recipe.settings.compute.devices, progress=advance)


def _findings_of(study: Path, model: WffModel) -> Findings:
    identity = BundleIdentity(
        pipeline="wff", name=NAME, version=VERSION, sha256="", trained_on="", validated_on="", phantom_trained=True
    )
    files = tuple(sorted(file for file in study.rglob("*") if file.is_file()))
    return WffPipeline(model, identity).run(Case(case_id="real-study", files=files))


def _with_license(settings: TrainingSettings, work: Path) -> TrainingSettings:
    file = work / "LICENSE.txt"
    file.write_text(_LICENSE, encoding="utf-8")
    return replace(settings, bundle=replace(settings.bundle, license_file=str(file)))
