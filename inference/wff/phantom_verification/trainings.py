"""Trains the nets of a verification and reads patients with them; every training is kept in the folder of the run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from torch import nn

from inference.datasets import LabelledPatient, LabelledSeries
from inference.findings import SequenceKind, Verdict
from inference.wff.config import FusionConfig
from inference.wff.model import SliceBoxes, WffModel
from inference.wff.networks.clips import choose_clip
from inference.wff.networks.frozen_classifier import FrozenClassifier
from inference.wff.networks.sequence_classifier import SequenceClassifier
from inference.wff.patients import ClassifiedPatient, DetectedPatient, classify_all
from inference.wff.phantom_verification.cohorts import PLAIN, Cohort, Cohorts
from inference.wff.phantom_verification.scale import Scale
from inference.wff.reading import DetectedBox
from inference.wff.training.display import Display
from inference.wff.training.engine import Plan
from inference.wff.training.fit import Fitting, detections_of, device_of, fit
from inference.wff.training.fusion_choice import choose_tau, weights_with_least_loss
from inference.wff.training.journal import Journal
from inference.wff.training.processes import train
from inference.wff.training.sequence_task import SequenceTask

_WHOLE: Final = "framework"
_CERTAIN: Final = 1.0  # score of a planted box

Readings = Mapping[SequenceKind, float]  # malignant probability of each sequence that shows the lesion


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    scale: Scale
    run: Path
    display: Display


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """The whole framework at difficulty 1, and what it found in each part; tau and weights from the tuning patients."""

    model: WffModel
    held_out: tuple[ClassifiedPatient, ...]
    away: tuple[ClassifiedPatient, ...]
    unseen_look: tuple[ClassifiedPatient, ...]

    @property
    def fusion(self) -> FusionConfig:
        return self.model.config.fusion


def train_whole(where: Workplace, cohorts: Cohorts) -> Framework:
    training, settings = cohorts.training[PLAIN], where.scale.settings
    fitting = Fitting(data=training.folder, run=where.run, display=where.display)
    model = fit(fitting, _WHOLE, settings, training.patients)

    def detected(name: str, cohort: Cohort) -> list[DetectedPatient]:
        (where.run / _WHOLE / name).mkdir(parents=True, exist_ok=True)
        return detections_of(fitting, f"{_WHOLE}/{name}", settings, model, cohort.patients)

    tuning = detected("tuning", cohorts.tuning)
    base = replace(model.config.fusion, tau=choose_tau(tuning))
    with_lesion = [one for one in tuning if one.patient.verdict is not None]
    model = model.with_fusion(weights_with_least_loss(classify_all(model, with_lesion, base), base))

    def classified(name: str, cohort: Cohort) -> tuple[ClassifiedPatient, ...]:
        return tuple(classify_all(model, detected(name, cohort), model.config.fusion))

    return Framework(
        model=model,
        held_out=classified("held-out", cohorts.held_out[PLAIN]),
        away=classified("away", cohorts.away),
        unseen_look=classified("unseen-look", cohorts.unseen_look),
    )


def train_classifier(
    where: Workplace, stage: str, data: Path, patients: Sequence[LabelledPatient], *, steps: int
) -> SequenceClassifier:
    """The sequence classifier alone, on planted boxes."""
    settings = where.scale.settings
    task = SequenceTask(
        config=settings.config.sequence,
        settings=replace(settings.sequence, steps=steps),
        data=data,
        patients=tuple(patient.patient_id for patient in patients),
    )
    plan = Plan(
        steps=steps,
        batch=settings.sequence.batch,
        optimiser=settings.sequence.optimiser,
        compute=settings.compute,
        seed=settings.seed,
        checkpoint_every=settings.checkpoint_every,
        log_every=settings.log_every,
        device=device_of(settings.compute),
    )
    update = where.display.stage(stage, steps)
    folder = where.run / stage
    journal = Journal(where.run, stage)
    net = train(task, plan, folder, journal=journal, progress=lambda step, loss: update(step, f"loss {loss:.3f}"))
    update(steps, "done")
    return _classifier(net)


def read_planted(net: SequenceClassifier, patients: Sequence[LabelledPatient]) -> list[Readings]:
    """What the classifier says of clips cut round the planted boxes, as the node would cut them round detections."""
    frozen = FrozenClassifier(net, device=next(net.parameters()).device)
    return [
        {series.kind: p for series in patient.series if (p := _read(frozen, net, series)) is not None}
        for patient in patients
    ]


def score(readings: Readings, kinds: Sequence[SequenceKind] = tuple(SequenceKind)) -> float:
    """Of the patient: the mean over the sequences of these kinds; .5 where none shows the lesion."""
    said = [p for kind, p in readings.items() if kind in kinds]
    return sum(said) / len(said) if said else 0.5


def _read(frozen: FrozenClassifier, net: SequenceClassifier, series: LabelledSeries) -> float | None:
    clip = choose_clip(series.images(), as_detections(series), _CERTAIN, net.config)
    return None if clip is None else frozen([clip.values])[0]


def as_detections(series: LabelledSeries) -> tuple[SliceBoxes, ...]:
    return tuple(tuple(DetectedBox(box, Verdict.MALIGNANT, _CERTAIN) for box in boxes) for boxes in series.boxes)


def _classifier(net: nn.Module) -> SequenceClassifier:
    if not isinstance(net, SequenceClassifier):
        raise TypeError(f"training returned {type(net).__name__}, expected a SequenceClassifier")
    return net
