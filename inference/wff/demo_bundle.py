"""Make the demo bundle: `python -m inference.wff.demo_bundle`.

Phantom patients are generated, the two nets trained, tau and the weights chosen on patients of their own, everything
measured once on patients that took part in nothing, and the bundle written. A run that was stopped goes on from its
last checkpoint when started again with the same options.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Annotated

import structlog
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from torch import nn

from inference.bundle import DEMO_BUNDLE
from inference.datasets import LabelledPatient, require_disjoint, split_hash
from inference.findings import Verdict
from inference.phantom import PhantomConfig
from inference.wff.age import AgeTable, fit_age_table
from inference.wff.augmentation import AugmentationConfig
from inference.wff.bundle_files import Made, write_demo_bundle
from inference.wff.config import WffConfig, demo_config
from inference.wff.detector import Detector
from inference.wff.measurement import (
    DetectedPatient,
    PatientResult,
    choose_tau,
    choose_weights,
    detect_all,
    measure,
    read_all,
)
from inference.wff.model import WffModel
from inference.wff.phantom_data import PhantomSet, make_data_set, oracle_says_malignant
from inference.wff.sequence_classifier import SequenceClassifier
from inference.wff.training import Task, TrainingPlan, train
from inference.wff.training_detector import DetectorTask
from inference.wff.training_sequence import SequenceTask
from inference.wff.weights import rounded_as_stored

log = structlog.get_logger(__name__)

# First patient index of each split of the phantom; the gaps are wider than any split.
_FIRST_TRAINING, _FIRST_TUNING, _FIRST_HELD_OUT = 0, 100_000, 300_000
_ACCEPTANCE_PATIENTS = 40  # with lesions, from the start of the held-out range
_DETECTOR_RATE = 6e-4
_CLASSIFIER_RATE = 1e-3
_DETECTOR_BATCH = 12  # slices per step over all replicas
_CLASSIFIER_BATCH = 24  # clips per step over all replicas
_LESION_SHARE = 0.65  # of the slices of a detector batch
# Pastes stay on the column: at .15 of the width the detector learned to mark blobs of the bowel
_AUGMENTATION = AugmentationConfig(paste_reach=0.05)

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides what the bundle becomes."""

    patients: int
    tuning_patients: int
    held_out_patients: int
    detector_steps: int
    classifier_steps: int
    seed: int
    threads: int
    phantom: PhantomConfig
    config: WffConfig


@dataclass(frozen=True, slots=True)
class Splits:
    training: list[LabelledPatient]
    tuning: list[LabelledPatient]
    held_out: list[LabelledPatient]


class Workshop:
    """One making of a bundle: its recipe, its folder of intermediate files, its progress display."""

    def __init__(self, recipe: Recipe, folder: Path, progress: Progress) -> None:
        self._recipe = recipe
        self._folder = folder
        self._progress = progress

    def make(self, out: Path) -> Made:
        started = monotonic()
        splits = self._splits()
        model = self._trained(splits.training)
        tuned = self._tuned(model, splits.tuning)
        results = read_all(tuned, self._detected(tuned, splits.held_out, "measure"), tuned.config.fusion)
        made = self._measured(tuned, splits, results, monotonic() - started)
        write_demo_bundle(out, tuned, made)
        return made

    def _splits(self) -> Splits:
        sizes = {
            "training": (_FIRST_TRAINING, self._recipe.patients),
            "tuning": (_FIRST_TUNING, self._recipe.tuning_patients),
            "held_out": (_FIRST_HELD_OUT, self._recipe.held_out_patients),
        }
        made = {name: self._phantoms(name, first, count) for name, (first, count) in sizes.items()}
        require_disjoint(made)
        return Splits(**made)

    def _phantoms(self, name: str, first: int, count: int) -> list[LabelledPatient]:
        bar = self._bar(f"phantom patients: {name}", count)
        patients = make_data_set(
            self._set(first, count),
            self._folder / name,
            processes=self._recipe.threads,
            progress=lambda done: self._progress.update(bar, completed=done),
        )
        self._progress.update(bar, completed=count)
        log.info("phantom_patients_ready", split=name, patients=len(patients))
        return patients

    def _set(self, first: int, count: int) -> PhantomSet:
        return PhantomSet(first=first, count=count, seed=self._recipe.seed, config=self._recipe.phantom)

    def _trained(self, patients: list[LabelledPatient]) -> WffModel:
        recipe, data = self._recipe, self._folder / "training"
        share = math.ceil(_DETECTOR_BATCH / recipe.threads)
        detector = self._train(
            "detector",
            DetectorTask(
                config=recipe.config.detector,
                data=data,
                batch=share,
                lesion_share=_LESION_SHARE,
                augmentation=_AUGMENTATION,
            ),
            self._plan(recipe.detector_steps, _DETECTOR_RATE),
        )
        share = math.ceil(_CLASSIFIER_BATCH / recipe.threads)
        classifier = self._train(
            "sequence classifier",
            SequenceTask(config=recipe.config.sequence, data=data, batch=share),
            self._plan(recipe.classifier_steps, _CLASSIFIER_RATE),
        )
        if not isinstance(detector, Detector) or not isinstance(classifier, SequenceClassifier):
            raise TypeError("training returned another net than its task builds")
        # what is tuned and measured is what is shipped
        return WffModel(
            recipe.config, rounded_as_stored(detector), rounded_as_stored(classifier), _age_table_of(patients)
        )

    def _plan(self, steps: int, rate: float) -> TrainingPlan:
        return TrainingPlan(steps=steps, learning_rate=rate, replicas=self._recipe.threads, seed=self._recipe.seed)

    def _train(self, name: str, task: Task, plan: TrainingPlan) -> nn.Module:
        bar = self._bar(f"training: {name}", plan.steps)

        def show(step: int, loss: float) -> None:
            self._progress.update(bar, completed=step, description=f"training: {name}, loss {loss:.3f}")

        return train(task, plan, self._folder / name.replace(" ", "_"), progress=show)

    def _tuned(self, model: WffModel, patients: list[LabelledPatient]) -> WffModel:
        detected = self._detected(model, patients, "choose tau and weights")
        fusion = choose_weights(model, detected, choose_tau(detected))
        log.info("fusion_chosen", **asdict(fusion))
        return model.with_fusion(fusion)

    def _detected(self, model: WffModel, patients: list[LabelledPatient], what: str) -> list[DetectedPatient]:
        bar = self._bar(f"detector: {what}", len(patients))
        return detect_all(model, patients, processes=self._recipe.threads, progress=lambda: self._progress.advance(bar))

    def _measured(self, model: WffModel, splits: Splits, results: list[PatientResult], seconds: float) -> Made:
        recipe = self._recipe
        truths = {p.patient_id: p.verdict for p in splits.held_out}
        said = oracle_says_malignant(self._set(_FIRST_HELD_OUT, recipe.held_out_patients))
        with_lesion = [patient for patient, truth in truths.items() if truth is not None]
        right = [said[patient] is (truths[patient] is Verdict.MALIGNANT) for patient in with_lesion]
        first = set(with_lesion[:_ACCEPTANCE_PATIENTS])
        return Made(
            acceptance=measure([r for r in results if r.patient_id in first], seed=recipe.seed),
            held_out=measure(results, seed=recipe.seed),
            oracle_right=right,
            recipe=recipe_as_text(recipe),
            split_sha256=split_hash(
                {"training": splits.training, "tuning": splits.tuning, "held_out": splits.held_out}
            ),
            training_patients=len(splits.training),
            seconds=seconds,
        )

    def _bar(self, what: str, total: int) -> TaskID:
        return self._progress.add_task(what, total=total)


def recipe_as_text(recipe: Recipe) -> dict[str, object]:
    """What metadata.json records of the making."""
    return {
        "command": (
            f"python -m inference.wff.demo_bundle --patients {recipe.patients} "
            f"--tuning-patients {recipe.tuning_patients} --held-out-patients {recipe.held_out_patients} "
            f"--detector-steps {recipe.detector_steps} --classifier-steps {recipe.classifier_steps} "
            f"--seed {recipe.seed} --threads {recipe.threads}"
        ),
        "optimiser": "AdamW, weight decay 1e-2, warm-up 200 steps, cosine, running average .998",
        "detector_learning_rate": _DETECTOR_RATE,
        "detector_batch": _DETECTOR_BATCH,
        "classifier_learning_rate": _CLASSIFIER_RATE,
        "classifier_batch": _CLASSIFIER_BATCH,
        "detector_lesion_share": _LESION_SHARE,
        "detector_augmentation": asdict(_AUGMENTATION),
        "difficulty": recipe.phantom.difficulty,
    }


def _age_table_of(patients: list[LabelledPatient]) -> AgeTable:
    known = [(p.age_years, p.verdict) for p in patients if p.age_years is not None and p.verdict is not None]
    return fit_age_table([age for age, _ in known], [verdict for _, verdict in known])


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="folder of the bundle")] = DEMO_BUNDLE,
    work: Annotated[Path, typer.Option(help="folder of intermediate files; a stopped run goes on from it")] = Path(
        "runs/wff-demo"
    ),
    patients: Annotated[int, typer.Option(min=20, help="phantom patients to train on")] = 1000,
    tuning_patients: Annotated[int, typer.Option(min=20, help="patients for tau and weights")] = 240,
    held_out_patients: Annotated[int, typer.Option(min=20, help="patients to measure on")] = 220,
    detector_steps: Annotated[int, typer.Option(min=1)] = 2400,
    classifier_steps: Annotated[int, typer.Option(min=1)] = 2000,
    seed: Annotated[int, typer.Option(help="of the phantom, the weights and the batches")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="processes; set OMP_NUM_THREADS=1 beside it")] = 3,
) -> None:
    """Train the demo bundle on the synthetic phantom, measure it, and write it."""
    recipe = Recipe(
        patients=patients,
        tuning_patients=tuning_patients,
        held_out_patients=held_out_patients,
        detector_steps=detector_steps,
        classifier_steps=classifier_steps,
        seed=seed,
        threads=threads,
        phantom=PhantomConfig(),
        config=demo_config(),
    )
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        made = Workshop(recipe, work, progress).make(out)
    console.print(made.table())
    console.print(f"bundle written to {out} after {made.seconds / 60:.1f} min")


if __name__ == "__main__":
    app()
