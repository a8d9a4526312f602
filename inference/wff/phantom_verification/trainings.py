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
from inference.wff.patient_counter import patient_counter
from inference.wff.patients import ClassifiedPatient, DetectedPatient, classify_all, detect_all
from inference.wff.phantom_verification.cohorts import PLAIN, Cohort, Cohorts
from inference.wff.phantom_verification.scale import Scale
from inference.wff.phantom_verification.side_by_side import Training, train_side_by_side
from inference.wff.reading import DetectedBox
from inference.wff.training.detections_file import load_detections, save_detections
from inference.wff.training.detector_task import DetectorTask, labelled_slices
from inference.wff.training.display import Display
from inference.wff.training.engine import finished_net
from inference.wff.training.fit import Fitting, fit, plan_of
from inference.wff.training.fusion_choice import choose_tau, weights_with_least_loss
from inference.wff.training.sequence_task import SequenceTask, labelled_sequences

_WHOLE: Final = "framework"
_CERTAIN: Final = 1.0  # score of a planted box

Readings = Mapping[SequenceKind, float]  # malignant probability of each sequence that shows the lesion


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    scale: Scale
    run: Path
    processes: int
    display: Display


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a sequence classifier learns from by itself, on planted boxes, and who is read with it then."""

    name: str
    data: Path  # data set of `learned`
    learned: Sequence[LabelledPatient]
    read: Sequence[LabelledPatient]
    steps: int


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


def train_everything(where: Workplace, training: Cohort, courses: Sequence[Course]) -> None:
    """Both nets of the framework and every course, side by side; the detector takes longest and begins first."""
    settings, names = where.scale.settings, tuple(patient.patient_id for patient in training.patients)
    detector = DetectorTask(
        config=settings.config.detector, settings=settings.detector, data=training.folder, patients=names
    )
    classifier = SequenceTask(
        config=settings.config.sequence, settings=settings.sequence, data=training.folder, patients=names
    )
    plans = (
        plan_of(settings, settings.detector, labelled_slices(training.patients)),
        plan_of(settings, settings.sequence, labelled_sequences(training.patients)),
    )
    trainings = [
        Training(f"{_WHOLE}/detector", detector, plans[0], where.run / _WHOLE / "detector"),
        Training(f"{_WHOLE}/sequence", classifier, plans[1], where.run / _WHOLE / "sequence"),
        *(_training_of(where, course) for course in courses),
    ]
    train_side_by_side(trainings, processes=where.processes, display=where.display)


def read_with_framework(where: Workplace, cohorts: Cohorts) -> Framework:
    """Its nets have been trained: what `fit` finds in their folders is taken as it is."""
    training, settings = cohorts.training[PLAIN], where.scale.settings
    fitting = Fitting(data=training.folder, run=where.run, display=where.display)
    model = fit(fitting, _WHOLE, settings, training.patients)
    parts = {"tuning": cohorts.tuning, "held-out": cohorts.held_out[PLAIN], "away": cohorts.away}
    found = _detected(where, model, {**parts, "unseen-look": cohorts.unseen_look})
    base = replace(model.config.fusion, tau=choose_tau(found["tuning"]))
    with_lesion = [one for one in found["tuning"] if one.patient.verdict is not None]
    model = model.with_fusion(weights_with_least_loss(classify_all(model, with_lesion, base), base))
    held_out, away, unseen_look = (
        tuple(classify_all(model, found[name], model.config.fusion)) for name in ("held-out", "away", "unseen-look")
    )
    return Framework(model=model, held_out=held_out, away=away, unseen_look=unseen_look)


def read_course(where: Workplace, course: Course) -> list[float]:
    """The score of each patient who is to be read. The course has been trained."""
    training = _training_of(where, course)
    net = finished_net(training.task, training.folder)
    return [score(one) for one in read_planted(_classifier(net), course.read)]


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


def as_detections(series: LabelledSeries) -> tuple[SliceBoxes, ...]:
    return tuple(tuple(DetectedBox(box, Verdict.MALIGNANT, _CERTAIN) for box in boxes) for boxes in series.boxes)


def _detected(where: Workplace, model: WffModel, parts: Mapping[str, Cohort]) -> dict[str, list[DetectedPatient]]:
    """Of all parts in one search, so that its processes are started once; kept in the folder of the framework."""
    everybody = [patient for cohort in parts.values() for patient in cohort.patients]
    file = where.run / _WHOLE / "detections.json"
    if file.exists():
        detected = load_detections(file, everybody)
    else:
        update = where.display.stage(f"{_WHOLE}: searching", len(everybody))
        count = patient_counter(_WHOLE, len(everybody), lambda _stage, done, _total: update(done, ""))
        detected = detect_all(model, everybody, processes=where.processes, progress=count)
        save_detections(detected, file)
    rest = iter(detected)
    return {name: [next(rest) for _ in cohort.patients] for name, cohort in parts.items()}


def _training_of(where: Workplace, course: Course) -> Training:
    settings = where.scale.settings
    sequence = replace(where.scale.training_alone, steps=course.steps)
    task = SequenceTask(
        config=settings.config.sequence,
        settings=sequence,
        data=course.data,
        patients=tuple(patient.patient_id for patient in course.learned),
    )
    plan = plan_of(settings, sequence, labelled_sequences(course.learned))
    return Training(course.name, task, plan, where.run / course.name)


def _read(frozen: FrozenClassifier, net: SequenceClassifier, series: LabelledSeries) -> float | None:
    clip = choose_clip(series.images(), as_detections(series), _CERTAIN, net.config)
    return None if clip is None else frozen([clip.values])[0]


def _classifier(net: nn.Module | None) -> SequenceClassifier:
    if not isinstance(net, SequenceClassifier):
        raise TypeError(f"training returned {type(net).__name__}, expected a SequenceClassifier")
    return net
