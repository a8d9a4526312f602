"""Labelled patients as the networks see them: the detector runs once per slice, the classifier once per sequence.

Every choice of threshold and weights, and every strategy, reads these stored numbers.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from typing import TypeVar

import torch

from inference.datasets import LabelledPatient
from inference.findings import SequenceKind
from inference.wff.config import FusionConfig
from inference.wff.interrupts import deferred_interrupts
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

    More: each has a copy of the model on the CPU and one thread. On Ctrl-C they end with the series they are at.
    """
    if processes == 1:
        return _counted((_detected(model, patient) for patient in patients), progress)
    context = get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(processes, context, _take_model, (model, stop))
    try:
        with deferred_interrupts():
            coming = [pool.submit(_detect_patient, patient) for patient in patients]
        return _counted((one.result() for one in coming), progress)
    except BaseException:
        stop.set()
        raise
    finally:
        with deferred_interrupts():  # a second Ctrl-C changes nothing
            pool.shutdown(cancel_futures=True)


_model_of_this_process: WffModel | None = None
_stop: Event | None = None


def _take_model(model: WffModel, stop: Event) -> None:
    global _model_of_this_process, _stop
    torch.set_num_threads(1)
    _model_of_this_process, _stop = model, stop


def _detect_patient(patient: LabelledPatient) -> DetectedPatient:
    if _model_of_this_process is None or _stop is None:
        raise RuntimeError("the pool was started without a model")
    return _detected(_model_of_this_process, patient, _stop)


def _detected(model: WffModel, patient: LabelledPatient, stop: Event | None = None) -> DetectedPatient:
    """When `stop` is set nobody waits for the answer: the other series are left out."""
    wanted = (series for series in patient.series if stop is None or not stop.is_set())
    return DetectedPatient(patient, tuple(model.detect(series.images()) for series in wanted))


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
