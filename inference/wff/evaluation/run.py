"""From a bundle and a data set to an evaluation: opens and checks everything, then runs the networks once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from inference.bundle import Bundle, open_bundle
from inference.data_facts import file_sha256
from inference.data_part import HELD_OUT, DataPart, open_data_part
from inference.errors import BundleError
from inference.evaluation.readers import ReaderVerdicts, read_readers
from inference.evaluation.results import Evaluation
from inference.evaluation.subject import Subject
from inference.runtime import Device, Runtime
from inference.wff.as_run import changed_sizes_of
from inference.wff.evaluation.patients import evaluate_patients, require_both_classes
from inference.wff.patient_counter import Report, patient_counter
from inference.wff.patients import detect_all
from inference.wff.seen_before import seen_before
from inference.wff.versions import versions
from inference.wff.weights import load_model


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
    LabelsError
        the data set is damaged; the message names the file and the patient.
    SettingsError
        the split file does not fit the data set, or has no such part.
    OSError
        a file cannot be read.
    """

    def __init__(self, request: EvaluationRequest) -> None:
        self._bundle = open_bundle(request.bundle)
        if self._bundle.identity.pipeline != "wff":
            raise BundleError(
                f"{request.bundle} is of pipeline {self._bundle.identity.pipeline!r}; only wff is evaluated here"
            )
        part = open_data_part(request.data, request.splits, request.part)
        self.patients = part.patients
        require_both_classes(self.patients)
        self._readers: Sequence[ReaderVerdicts] = ()
        if request.readers is not None:
            names = {patient.patient_id for patient in part.everybody}
            self._readers = read_readers(request.readers, names, data_sha256=part.facts.sha256)
        self._seed = request.seed
        self._runtime = Runtime(image_size=request.image_size, proposals=request.proposals)
        self.subject = _subject(request, self._bundle, self._runtime, part)

    def evaluate(self, *, processes: int = 1, report: Report | None = None) -> Evaluation:
        """One process: this one, on a GPU where there is one; more: as many copies of the networks on the CPU.

        `subject` then says with what it was measured, too.
        """
        on_gpu = processes == 1 and torch.cuda.is_available()
        model = load_model(self._bundle, runtime=replace(self._runtime, device=Device.CUDA if on_gpu else Device.CPU))
        self.subject = replace(
            self.subject, device=_name_of(model.device), precision=model.precision, versions=versions()
        )
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


def _name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _subject(request: EvaluationRequest, bundle: Bundle, runtime: Runtime, part: DataPart) -> Subject:
    identity, known = bundle.identity, part.facts.known_by(part.patients)
    return Subject(
        bundle_name=identity.name,
        bundle_version=identity.version,
        bundle_sha256=identity.sha256,
        trained_on=identity.trained_on,
        runs_with=", ".join(str(one) for one in changed_sizes_of(bundle.metadata, runtime)),
        data_set=request.data.resolve().name,
        data_sha256=part.facts.sha256,
        part=part.name,
        patients_sha256=part.patients_sha256,
        is_phantom=identity.phantom_trained or part.facts.is_phantom,
        seen_before=seen_before(bundle.metadata, part.facts.sha256, part.splits_sha256, part.name, known).told,
        split_sha256=part.splits_sha256,
        readers_sha256="" if request.readers is None else file_sha256(request.readers),
    )
