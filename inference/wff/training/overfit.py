"""A smoke test before hours of training: both nets on very few patients, where the loss must fall.

It tests that data, labels and networks fit together, not the optimiser: it has a plain one of its own, and no
augmentation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from inference.checked_data_set import checked_data_set
from inference.datasets import LabelledPatient
from inference.errors import TrainingError
from inference.findings import Verdict
from inference.wff.training.augmentation import NO_CLIP_MOVEMENT, NO_GREY_CHANGES, NO_MOVEMENT, WHOLE_FIELD_OF_VIEW
from inference.wff.training.detector_task import DetectorTask
from inference.wff.training.display import Display
from inference.wff.training.engine import Plan, Task
from inference.wff.training.fit import device_of
from inference.wff.training.journal import Journal, read_metrics
from inference.wff.training.processes import train
from inference.wff.training.self_cut_mix import NO_CUT_MIX
from inference.wff.training.sequence_task import SequenceTask
from inference.wff.training.settings import OptimiserKind, OptimiserSettings, Schedule, TrainingSettings

STEPS: Final = 60
_BATCH: Final = 4
_FALLEN: Final = 0.7  # of the loss at the start
_ENDS: Final = 10  # steps whose mean is the loss at the start, and at the end
_OPTIMISER: Final = OptimiserSettings(
    kind=OptimiserKind.ADAMW,
    learning_rate=1e-3,
    reference_batch=0,
    schedule=Schedule.COSINE,
    warmup_steps=5,
    clip_norm=10.0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overfitted:
    """Of one net: mean loss of the first and of the last steps."""

    net: str
    first: float
    last: float

    @property
    def fell(self) -> bool:
        return self.last <= _FALLEN * self.first

    def __str__(self) -> str:
        said = "falls" if self.fell else "does not fall"
        return f"{self.net}: the loss {said}, from {self.first:.3f} to {self.last:.3f}"


def overfit(
    data: Path, settings: TrainingSettings, folder: Path, display: Display, *, count: int, steps: int = STEPS
) -> list[Overfitted]:
    """Train both nets on `count` patients, half of each class. `folder` is for what is written meanwhile.

    Raises TrainingError when the data set has too few patients with labelled boxes, LabelsError when it is damaged.
    """
    names = tuple(patient.patient_id for patient in _few(checked_data_set(data), count))
    detector = replace(
        settings.detector,
        self_cut_mix=NO_CUT_MIX,
        field_of_view=WHOLE_FIELD_OF_VIEW,
        movement=NO_MOVEMENT,
        grey_values=NO_GREY_CHANGES,
        lesion_share=1.0,
    )
    sequence = replace(
        settings.sequence,
        movement=NO_CLIP_MOVEMENT,
        grey_values=NO_GREY_CHANGES,
        box_jitter=0.0,
        label_smoothing=0.0,
        mixup=0.0,
    )
    tasks: dict[str, Task[Any]] = {
        "detector": DetectorTask(config=settings.config.detector, settings=detector, data=data, patients=names),
        "sequence classifier": SequenceTask(
            config=replace(settings.config.sequence, dropout=0.0), settings=sequence, data=data, patients=names
        ),
    }
    plan = Plan(
        steps=steps,
        batch=_BATCH,
        optimiser=_OPTIMISER,
        compute=replace(settings.compute, devices=1),
        seed=settings.seed,
        checkpoint_every=steps,
        log_every=1,
        device=device_of(settings.compute),
    )
    return [_overfitted(name, task, plan, folder, display) for name, task in tasks.items()]


def _overfitted(name: str, task: Task[Any], plan: Plan, folder: Path, display: Display) -> Overfitted:
    update = display.stage(f"overfit: {name}", plan.steps)
    train(
        task,
        plan,
        folder / name,
        journal=Journal(folder, name),
        progress=lambda step, loss: update(step, f"loss {loss:.3f}"),
    )
    losses = [line["loss"] for line in read_metrics(folder) if line["stage"] == name]
    ends = min(_ENDS, len(losses) // 2)
    return Overfitted(net=name, first=_mean(losses[:ends]), last=_mean(losses[-ends:]))


def _few(patients: Sequence[LabelledPatient], count: int) -> list[LabelledPatient]:
    chosen: list[LabelledPatient] = []
    for verdict, wanted in ((Verdict.BENIGN, count // 2), (Verdict.MALIGNANT, count - count // 2)):
        labelled = [p for p in patients if p.verdict is verdict and any(s.labelled_slices for s in p.series)]
        if len(labelled) < wanted or not wanted:
            raise TrainingError(
                f"--overfit {count} needs {max(1, wanted)} {verdict} patients with labelled boxes, "
                f"the data set has {len(labelled)}"
            )
        chosen += labelled[:wanted]
    return chosen


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
