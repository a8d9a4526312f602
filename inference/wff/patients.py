"""Labelled patients as the networks see them: the detector runs once per slice, the classifier once per sequence.

Every choice of threshold and weights, and every strategy, reads these stored numbers.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TypeVar

import torch

from inference.datasets import LabelledPatient
from inference.findings import SequenceKind
from inference.wff.config import FusionConfig
from inference.wff.model import SliceBoxes, WffModel
from inference.wff.reading import ClipReading, PatientReading, read_patient, read_sequence

_T = TypeVar("_T")
Progress = Callable[[], None]  # called after each patient


@dataclass(frozen=True, slots=True)
class DetectedPatient:
    """A labelled patient and what the detector found, per sequence and slice."""

    patient: LabelledPatient
    found: tuple[tuple[SliceBoxes, ...], ...]


@dataclass(frozen=True, slots=True)
class ClassifiedPatient:
    """A detected patient with what the sequence classifier said of each sequence at one tau; None: no slice votes."""

    detected: DetectedPatient
    clips: tuple[ClipReading | None, ...]
    age_probability: float | None

    @property
    def patient(self) -> LabelledPatient:
        return self.detected.patient

    def read(self, fusion: FusionConfig, kinds: Container[SequenceKind] = frozenset(SequenceKind)) -> PatientReading:
        """Fuse and vote as in the clinic; sequences of other kinds have no vote. `fusion` has the tau of the clips."""
        sequences = zip(self.patient.series, self.detected.found, self.clips, strict=True)
        return read_patient(
            [
                read_sequence(found, clip, self.age_probability, fusion)
                for series, found, clip in sequences
                if series.kind in kinds
            ]
        )


def detect_all(
    model: WffModel,
    patients: Sequence[LabelledPatient],
    *,
    processes: int = 1,
    progress: Progress | None = None,
) -> list[DetectedPatient]:
    """Detections of every slice. One process: this one, with the model as it is, on a GPU too.

    More: each has a copy of the model on the CPU and one thread.
    """
    if processes == 1:
        return _counted((_detected(model, patient) for patient in patients), progress)
    with ProcessPoolExecutor(processes, get_context("spawn"), _take_model, (model,)) as pool:
        return _counted(pool.map(_detect_patient, patients), progress)


_model_of_this_process: WffModel | None = None


def _take_model(model: WffModel) -> None:
    global _model_of_this_process
    torch.set_num_threads(1)
    _model_of_this_process = model


def _detect_patient(patient: LabelledPatient) -> DetectedPatient:
    if _model_of_this_process is None:
        raise RuntimeError("the pool was started without a model")
    return _detected(_model_of_this_process, patient)


def _detected(model: WffModel, patient: LabelledPatient) -> DetectedPatient:
    return DetectedPatient(patient, tuple(model.detect(series.images()) for series in patient.series))


def classify_all(
    model: WffModel, detected: Sequence[DetectedPatient], fusion: FusionConfig, *, progress: Progress | None = None
) -> list[ClassifiedPatient]:
    """One clip per sequence with a voting slice; of `fusion` only tau counts."""
    return _counted((_classified(model, one, fusion) for one in detected), progress)


def _classified(model: WffModel, one: DetectedPatient, fusion: FusionConfig) -> ClassifiedPatient:
    clips = model.classify([series.images() for series in one.patient.series], one.found, fusion)
    return ClassifiedPatient(one, tuple(clips), model.age_table.probability(one.patient.age_years))


def _counted(results: Iterable[_T], progress: Progress | None) -> list[_T]:
    done = []
    for one in results:
        done.append(one)
        if progress is not None:
            progress()
    return done
