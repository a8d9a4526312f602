"""Both nets and the age table from labelled patients, and the detections of other patients with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import torch
from torch import nn

from inference.datasets import LabelledPatient
from inference.errors import SettingsError
from inference.runtime import Device
from inference.wff.age import AgeTable, fit_age_table
from inference.wff.model import WffModel
from inference.wff.networks.detector import Detector
from inference.wff.networks.sequence_classifier import SequenceClassifier
from inference.wff.patients import DetectedPatient, detect_all
from inference.wff.training.detections_file import load_detections, save_detections
from inference.wff.training.detector_task import DetectorTask, labelled_slices
from inference.wff.training.display import Display
from inference.wff.training.engine import Plan, Task
from inference.wff.training.journal import Journal
from inference.wff.training.processes import train
from inference.wff.training.sequence_task import SequenceTask, labelled_sequences
from inference.wff.training.settings import (
    ComputeSettings,
    DetectorTraining,
    Precision,
    SequenceTraining,
    TrainingSettings,
)
from inference.wff.weights import rounded_as_stored

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """What every fit of a run shares."""

    data: Path
    run: Path  # folder of the run
    display: Display


def fit(where: Fitting, stage: str, settings: TrainingSettings, patients: Sequence[LabelledPatient]) -> WffModel:
    """Train both nets on these patients, and fit the age table to them. `stage` names a folder inside the run's.

    The weights are rounded as a bundle stores them: what is measured is what is shipped.
    """
    config, names = settings.config, tuple(patient.patient_id for patient in patients)
    detector = _trained(
        where,
        f"{stage}/detector",
        DetectorTask(config=config.detector, settings=settings.detector, data=where.data, patients=names),
        plan_of(settings, settings.detector, labelled_slices(patients)),
    )
    classifier = _trained(
        where,
        f"{stage}/sequence",
        SequenceTask(config=config.sequence, settings=settings.sequence, data=where.data, patients=names),
        plan_of(settings, settings.sequence, labelled_sequences(patients)),
    )
    if not isinstance(detector, Detector) or not isinstance(classifier, SequenceClassifier):
        raise TypeError("training returned another net than its task builds")
    return WffModel(
        config,
        rounded_as_stored(detector),
        rounded_as_stored(classifier),
        age_table_of(patients),
        device=device_of(settings.compute),
    )


def detections_of(
    where: Fitting, stage: str, settings: TrainingSettings, model: WffModel, patients: Sequence[LabelledPatient]
) -> list[DetectedPatient]:
    """What the detector finds on every slice; kept in the folder of the stage."""
    file = where.run / stage / "detections.json"
    if file.exists():
        return load_detections(file, patients)
    update = where.display.stage(f"{stage}: searching", len(patients))
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        update(done, "")

    processes = settings.compute.devices if model.device.type == "cpu" else 1
    detected = detect_all(model, patients, processes=processes, progress=advance)
    file.parent.mkdir(parents=True, exist_ok=True)  # a stage in which nothing was trained has none yet
    save_detections(detected, file)
    return detected


def age_table_of(patients: Sequence[LabelledPatient]) -> AgeTable:
    known = [(p.age_years, p.verdict) for p in patients if p.age_years is not None and p.verdict is not None]
    return fit_age_table([age for age, _ in known], [verdict for _, verdict in known])


def device_of(compute: ComputeSettings) -> str:
    """Raises SettingsError where the machine cannot do what is asked."""
    available = torch.cuda.is_available()
    if compute.device is Device.CUDA and not available:
        raise SettingsError("compute.device is cuda, and torch finds no GPU; set it to auto or cpu")
    device = "cuda" if available and compute.device is not Device.CPU else "cpu"
    if compute.precision is Precision.FP16 and device == "cpu":
        raise SettingsError("compute.precision is fp16, which needs a GPU; set it to bf16 or fp32")
    return device


def _trained(where: Fitting, stage: str, task: Task[Any], plan: Plan) -> nn.Module:
    update = where.display.stage(stage, plan.steps)
    log.info("training_begins", stage=stage, steps=plan.steps, device=plan.device, processes=plan.compute.devices)
    net = train(
        task,
        plan,
        where.run / stage,
        journal=Journal(where.run, stage),
        progress=lambda step, loss: update(step, f"loss {loss:.3f}"),
    )
    update(plan.steps, "done")
    log.info("training_ended", stage=stage)
    return net


def plan_of(settings: TrainingSettings, task: DetectorTraining | SequenceTraining, items_per_epoch: int) -> Plan:
    """Of one net: as many steps as its settings name, or as its epochs of so many items take."""
    steps = task.steps or max(1, round(task.epochs * items_per_epoch / task.batch))
    return Plan(
        steps=steps,
        batch=task.batch,
        optimiser=task.optimiser,
        compute=settings.compute,
        seed=settings.seed,
        checkpoint_every=settings.checkpoint_every,
        log_every=settings.log_every,
        device=device_of(settings.compute),
    )
