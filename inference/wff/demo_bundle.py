"""Make the demo bundle: `python -m inference.wff.demo_bundle`.

Phantom patients are generated, then the training of the framework runs on them with the settings of the demo: what
comes out is what `spinenode train wff` gives on that data set, with the reader beside it who sees every planted sign.
A run that was stopped goes on from its last checkpoint when started again with the same options.
"""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from inference.bundle import DEMO_BUNDLE
from inference.evaluation.metrics import Rate
from inference.evaluation.subject import PHANTOM_HEADING
from inference.findings import BundleIdentity, Verdict
from inference.phantom import PhantomConfig
from inference.phantom.data_set import PhantomSet, make_data_set, oracle_says_malignant
from inference.wff.config import FusionConfig
from inference.wff.measurement import DetectedPatient, Measured, measure, read_all
from inference.wff.model import WffModel
from inference.wff.training.display import Bars, Display
from inference.wff.training.framework import prepare, train_framework
from inference.wff.training.report import Extras
from inference.wff.training.run_folder import BUNDLE, open_run_folder
from inference.wff.training.settings import BundleSettings, ComputeSettings, DeviceKind, TrainingSettings, demo_settings
from inference.wff.training.weaknesses import NO_EXTERNAL_TEST, detector_without_weight

NAME: Final = "wff-demo-phantom"
VERSION: Final = "1.1.0"
_ACCEPTANCE_PATIENTS: Final = 40  # with lesions, the first of the held-out ones by number
_LICENSE: Final = """Copyright the SpineNode authors

Licensed under the Apache License, Version 2.0. You may obtain a copy of the License at
http://www.apache.org/licenses/LICENSE-2.0

These weights were trained on synthetic images only. They are distributed on an "AS IS" basis, without warranties or
conditions of any kind, and are not for clinical use.
"""

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Which phantom patients, and how they are trained on."""

    phantom: PhantomSet
    settings: TrainingSettings


def demo_recipe(
    *, patients: int, seed: int, processes: int, detector_steps: int | None = None, classifier_steps: int | None = None
) -> Recipe:
    """`None`: as the settings of the demo say."""
    settings = demo_settings()
    return Recipe(
        phantom=PhantomSet(first=0, count=patients, seed=seed, config=PhantomConfig()),
        settings=replace(
            settings,
            seed=seed,
            bundle=BundleSettings(name=NAME, version=VERSION),
            compute=ComputeSettings(device=DeviceKind.CPU, devices=processes),
            detector=replace(settings.detector, steps=detector_steps or settings.detector.steps),
            sequence=replace(settings.sequence, steps=classifier_steps or settings.sequence.steps),
        ),
    )


def make(recipe: Recipe, work: Path, out: Path, display: Display, *, command: Sequence[str]) -> BundleIdentity:
    """Make the data set and train on it in the folder `work`; copy the bundle to `out`."""
    update = display.stage("phantom patients", recipe.phantom.count)
    data = work / "data"
    processes = recipe.settings.compute.devices
    make_data_set(recipe.phantom, data, processes=processes, progress=lambda done: update(done, ""))
    update(recipe.phantom.count, "")
    prepared = prepare(data, _with_license(recipe.settings, work))
    with open_run_folder(work / "run", prepared.inputs, command) as run:
        identity = train_framework(
            prepared,
            run,
            display,
            command=command,
            make_extras=lambda model, detected: phantom_extras(recipe, model, detected),
        )
        out.mkdir(parents=True, exist_ok=True)
        for file in (run.folder / BUNDLE).iterdir():
            shutil.copyfile(file, out / file.name)
    return identity


def phantom_extras(recipe: Recipe, model: WffModel, detected: Sequence[DetectedPatient]) -> Extras:
    """What can be told because the truth is known: planted lesions hit, and what the best reader would decide."""
    ordered = sorted(detected, key=lambda one: one.patient.patient_id)
    results = read_all(model, ordered, model.config.fusion)
    with_lesion = [one for one in results if one.truth is not None]
    held_out = measure(results, seed=recipe.settings.seed)
    acceptance = measure(with_lesion[:_ACCEPTANCE_PATIENTS], seed=recipe.settings.seed)
    said = oracle_says_malignant(recipe.phantom)
    right = [said[one.patient_id] is (one.truth is Verdict.MALIGNANT) for one in with_lesion]
    oracle = Rate(sum(right), len(right))
    return Extras(
        rows=_rows(acceptance, held_out, oracle),
        weaknesses=phantom_weaknesses(model.config.fusion, oracle),
        measured={
            "acceptance": _numbers(acceptance),
            "held_out": _numbers(held_out),
            "oracle_decision": _rate(oracle),
            "phantom": asdict(recipe.phantom),
        },
    )


def phantom_weaknesses(fusion: FusionConfig, oracle: Rate) -> list[str]:
    """The lines of the model card that say what not to expect; `oracle` are the patients that it decides right."""
    errors = f"{oracle.total - oracle.hits} of {oracle.total} patients"
    return [
        "- Real images differ from the phantom in more than the phantom can say; detections on a real study are noise.",
        '- Seen: on a real lumbar study without a known tumour, the demo bundles made so far decided "malignant".',
        f"- The phantom's lesions are few families with plain signs; even the oracle errs on {errors}.",
        NO_EXTERNAL_TEST,
        *detector_without_weight(fusion),
    ]


def _rows(acceptance: Measured, held_out: Measured, oracle: Rate) -> list[tuple[str, str]]:
    first = f"first {acceptance.hit.total} with a lesion"
    rows = [
        (f"{first}: planted lesion hit", str(acceptance.hit)),
        (f"{first}: decision right", str(acceptance.decision.accuracy)),
        (f"all {held_out.hit.total} with a lesion: planted lesion hit", str(held_out.hit)),
        (f"all {held_out.hit.total}: decision right", str(held_out.decision.accuracy)),
        ("Bayes oracle, which sees every planted sign and the age, on the same patients: decision right", str(oracle)),
    ]
    if held_out.lesion_free:
        rows.append(("false boxes per lesion-free patient", f"{held_out.false_boxes_per_lesion_free:.2f}"))
    return rows


def _numbers(measured: Measured) -> dict[str, object]:
    return {
        "lesion_hit": _rate(measured.hit),
        "decision_right": _rate(measured.decision.accuracy),
        "sensitivity": _rate(measured.decision.sensitivity),
        "specificity": _rate(measured.decision.specificity),
        "area_under_roc": measured.area,
        "area_under_roc_interval": list(measured.area_interval),
        "undetected": measured.undetected,
        "lesion_free": measured.lesion_free,
        "lesion_free_alarmed": measured.lesion_free_alarmed,
        "false_boxes_per_lesion_free": measured.false_boxes_per_lesion_free,
    }


def _rate(rate: Rate) -> dict[str, object]:
    return {"hits": rate.hits, "total": rate.total, "value": rate.value, "wilson_95": list(rate.interval)}


def _with_license(settings: TrainingSettings, work: Path) -> TrainingSettings:
    file = work / "LICENSE.txt"
    file.write_text(_LICENSE, encoding="utf-8")
    return replace(settings, bundle=replace(settings.bundle, license_file=str(file)))


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="folder of the bundle")] = DEMO_BUNDLE,
    work: Annotated[Path, typer.Option(help="folder of the data set and the run; a stopped run goes on in it")] = Path(
        "runs/wff-demo"
    ),
    patients: Annotated[int, typer.Option(min=40, help="phantom patients, the held-out ones among them")] = 1220,
    detector_steps: Annotated[int | None, typer.Option(min=1)] = None,
    classifier_steps: Annotated[int | None, typer.Option(min=1)] = None,
    seed: Annotated[int, typer.Option(help="of the phantom, the splits, the weights and the batches")] = 1,
    processes: Annotated[int, typer.Option(min=1, help="set OMP_NUM_THREADS=1 beside it")] = 3,
) -> None:
    """Train the demo bundle on the synthetic phantom, measure it, and write it."""
    recipe = demo_recipe(
        patients=patients,
        seed=seed,
        processes=processes,
        detector_steps=detector_steps,
        classifier_steps=classifier_steps,
    )
    steps = f"--detector-steps {recipe.settings.detector.steps} --classifier-steps {recipe.settings.sequence.steps}"
    command = f"python -m inference.wff.demo_bundle --patients {patients} {steps} --seed {seed} --processes {processes}"
    console = Console(stderr=True)
    with Bars(console) as display:
        identity = make(recipe, work, out, display, command=command.split())
    console.print(f"{NAME} {VERSION}, {PHANTOM_HEADING}: {identity.validated_on}", markup=False)
    console.print(f"bundle written to {out}", markup=False)


if __name__ == "__main__":
    app()
