"""From a bundle and a data set to an evaluation: opens and checks everything, then runs the networks once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch

from inference.bundle import Bundle, open_bundle
from inference.datasets import LabelledPatient, split_hash, whole_data_set
from inference.errors import BundleError, EvaluationError
from inference.evaluation.readers import ReaderVerdicts, read_readers
from inference.evaluation.results import Evaluation
from inference.evaluation.subject import Subject
from inference.runtime import Device, Runtime
from inference.wff.as_run import changed_sizes_of
from inference.wff.evaluation import evaluate_patients, require_both_classes
from inference.wff.measurement import detect_all
from inference.wff.patient_counter import Report, patient_counter
from inference.wff.training.data_facts import data_facts
from inference.wff.training.splits import Splits, read_splits
from inference.wff.weights import load_model

HELD_OUT: Final = "held_out"
_TRAINING: Final = "training"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    bundle: Path
    data: Path
    readers: Path | None = None
    splits: Path | None = None  # splits.json of a training
    part: str = HELD_OUT  # of the splits
    seed: int = 1
    image_size: int | None = None  # pixels; None: the bundle's own
    proposals: int | None = None


class EvaluationRun:
    """Raises when opened, before any network runs.

    Raises
    ------
    BundleError
        the bundle is damaged or of another pipeline.
    EvaluationError
        the patients are not of both classes, or the readers' file cannot be used.
    SettingsError
        the split file does not fit the data set.
    OSError
        a file cannot be read.
    """

    def __init__(self, request: EvaluationRequest) -> None:
        self._bundle = open_bundle(request.bundle)
        if self._bundle.identity.pipeline != "wff":
            raise BundleError(
                f"{request.bundle} is of pipeline {self._bundle.identity.pipeline!r}; only wff is evaluated here"
            )
        everybody = whole_data_set(request.data)
        splits = None if request.splits is None else read_splits(request.splits, everybody)
        self.patients = everybody if splits is None else _part(splits, request.part)
        require_both_classes(self.patients)
        self._readers: Sequence[ReaderVerdicts] = ()
        if request.readers is not None:
            self._readers = read_readers(request.readers, {patient.patient_id for patient in everybody})
        self._seed = request.seed
        self._runtime = Runtime(image_size=request.image_size, proposals=request.proposals)
        self.subject = _subject(request, self._bundle, self._runtime, self.patients, everybody, splits)

    def evaluate(self, *, processes: int = 1, report: Report | None = None) -> Evaluation:
        """One process: this one, on a GPU where there is one; more: as many copies of the networks on the CPU."""
        on_gpu = processes == 1 and torch.cuda.is_available()
        model = load_model(self._bundle, runtime=replace(self._runtime, device=Device.CUDA if on_gpu else Device.CPU))
        with_lesion = sum(patient.verdict is not None for patient in self.patients)
        detected = detect_all(
            model,
            self.patients,
            processes=processes,
            progress=patient_counter("lesion detector", len(self.patients), report),
        )
        return evaluate_patients(
            model,
            detected,
            seed=self._seed,
            readers=self._readers,
            progress=patient_counter("sequence classifier", with_lesion, report),
        )


def _part(splits: Splits, name: str) -> list[LabelledPatient]:
    parts = {HELD_OUT: list(splits.held_out), _TRAINING: splits.training}
    parts |= {f"fold-{number}": list(fold) for number, fold in enumerate(splits.folds, 1)}
    if name not in parts:
        raise EvaluationError(f"the split file has no part {name!r}; it has {', '.join(parts)}")
    return parts[name]


def _subject(
    request: EvaluationRequest,
    bundle: Bundle,
    runtime: Runtime,
    patients: Sequence[LabelledPatient],
    everybody: Sequence[LabelledPatient],
    splits: Splits | None,
) -> Subject:
    identity, facts = bundle.identity, data_facts(request.data, everybody)
    part = "" if splits is None else request.part
    return Subject(
        bundle_name=identity.name,
        bundle_version=identity.version,
        bundle_sha256=identity.sha256,
        trained_on=identity.trained_on,
        runs_with=", ".join(str(one) for one in changed_sizes_of(bundle.metadata, runtime)),
        data_set=request.data.resolve().name,
        data_sha256=facts.sha256,
        part=part,
        patients_sha256=split_hash({"evaluated": patients}),
        is_phantom=identity.phantom_trained or facts.is_phantom,
        seen_before=seen_before(bundle.metadata, facts.sha256, "" if splits is None else splits.sha256, part),
    )


def seen_before(metadata: Mapping[str, Any], data_sha256: str, splits_sha256: str, part: str) -> str:
    """What the bundle's record of its training says of these patients, as one sentence; "" when it says nothing."""
    training = metadata.get("training")
    record = training if isinstance(training, dict) else {}
    if data_sha256 in _calibrated_on(metadata):
        return "The bundle was calibrated on patients of this very data set: these may be among them."
    if splits_sha256 and record.get("split_sha256") == splits_sha256:
        if record.get("data_sha256") != data_sha256:
            return "The bundle was trained with this split of another data set: its names may mean other patients here."
        if part == HELD_OUT:
            return "The training of the bundle held these patients out: its record names the same split."
        return "The bundle was trained on these patients: nothing here is of patients unseen by it."
    if record.get("data_sha256") == data_sha256:
        return (
            "The bundle was trained on patients of this very data set: without its split file these may be among them."
        )
    return ""


def _calibrated_on(metadata: Mapping[str, Any]) -> list[str]:
    """Hashes of the data sets of all calibrations, the last one first."""
    hashes: list[str] = []
    record: object = metadata
    while isinstance(record, Mapping):
        calibration = record.get("calibration")
        if isinstance(calibration, Mapping):
            hashes.append(str(calibration.get("data_sha256")))
        record = record.get("parent")
    return hashes
