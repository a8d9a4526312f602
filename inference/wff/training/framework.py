"""The whole training of the framework: splits, cross-validation, final fit, evaluation, bundle."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import torch

from inference.checked_data_set import checked_data_set
from inference.data_facts import DataFacts, data_facts
from inference.datasets import LabelledPatient
from inference.durable_files import write_json
from inference.errors import SettingsError
from inference.evaluation.results import Evaluation
from inference.evaluation.subject import PHANTOM_HEADING
from inference.findings import BundleIdentity
from inference.splits import SPLITS, Splits, save_splits
from inference.wff.evaluation.patients import evaluate_patients
from inference.wff.model import WffModel
from inference.wff.networks.backbone import LEVELS
from inference.wff.networks.detector import Detector
from inference.wff.networks.sequence_classifier import SequenceClassifier
from inference.wff.patients import DetectedPatient
from inference.wff.training.cross_validation import (
    CandidateResult,
    cross_validate,
    settings_of_candidate,
    stage_of_fold,
)
from inference.wff.training.display import Display
from inference.wff.training.fit import Fitting, detections_of, device_of, fit
from inference.wff.training.initial_weights.start import StartingWeights, starting_weights_of
from inference.wff.training.journal import tensorboard_is_installed
from inference.wff.training.parts import splits_for
from inference.wff.training.report import Extras, Made
from inference.wff.training.run_folder import BUNDLE, CROSS_VALIDATION, EVALUATION, Inputs, RunFolder
from inference.wff.training.settings import TrainingSettings
from inference.wff.training.settings_file import settings_as_toml
from inference.wff.training.trained_bundle import license_text, write_trained_bundle

log = structlog.get_logger(__name__)

MakeExtras = Callable[[WffModel, Sequence[DetectedPatient], Evaluation], Extras]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Checked settings and data; nothing is written yet."""

    settings: TrainingSettings
    data: Path
    patients: tuple[LabelledPatient, ...]
    facts: DataFacts
    splits: Splits
    starting_weights: tuple[Mapping[str, StartingWeights], ...]  # by net, of each candidate
    inputs: Inputs


def prepare(data: Path, settings: TrainingSettings) -> Prepared:
    """Checks all that can be known before hours of training.

    Raises
    ------
    LabelsError
        the data set is damaged, or two of its patients have the same images; the message names them and the files.
    SettingsError
        the settings ask for a device, an architecture or splits that cannot be; the message names the key.
    WeightsError
        a file of initial weights is damaged or of the other net.
    OSError
        the data set or a file that the settings name cannot be read.
    """
    device_of(settings.compute)
    candidates = [settings_of_candidate(settings, n + 1) for n in range(len(settings.cross_validation.candidates))]
    for number, candidate in enumerate(candidates, 1):
        _require_architecture(candidate, number)
    starting_weights = tuple(map(starting_weights_of, candidates))
    license_text(settings.bundle.license_file)
    patients = tuple(checked_data_set(data))
    facts = data_facts(data, patients)
    splits = splits_for(patients, settings.cross_validation, seed=settings.seed, data_sha256=facts.sha256)
    return Prepared(
        settings=settings,
        data=data,
        patients=patients,
        facts=facts,
        splits=splits,
        starting_weights=starting_weights,
        inputs=Inputs(
            settings=settings_as_toml(settings),
            data_sha256=facts.sha256,
            weights_sha256=_weights_sha256(starting_weights),
            splits_sha256=splits.sha256,
        ),
    )


def train_framework(
    prepared: Prepared,
    run: RunFolder,
    display: Display,
    *,
    command: Sequence[str],
    make_extras: MakeExtras | None = None,
) -> BundleIdentity:
    """Go on in the run folder from wherever it stands, to the bundle. Raises TrainingError naming what stopped it."""
    settings, splits = prepared.settings, prepared.splits
    log.info("run_begins", patients=len(prepared.patients), held_out=len(splits.held_out), folds=len(splits.folds))
    if run.changes:
        changes = ", ".join(run.changes)
        log.warning("run_goes_on_otherwise", changes=changes)
        display.say(f"the run goes on with {changes}: its weights may differ a little from those of one not stopped")
    if not tensorboard_is_installed():
        display.say('no TensorBoard logs are written: pip install "spinenode[science]"')
    save_splits(splits, run.folder / SPLITS, data_sha256=prepared.facts.sha256)
    where = Fitting(data=prepared.data, run=run.folder, display=display)
    crossed = cross_validate(where, settings, splits)
    write_json(run.folder / CROSS_VALIDATION, _headed(prepared.facts, crossed.to_json()))
    chosen = settings_of_candidate(settings, crossed.chosen.number)
    model = _final_model(where, chosen, splits, crossed.chosen)
    detected = detections_of(where, "final", chosen, model, splits.held_out)
    display.say("evaluating the held-out patients")
    evaluation = evaluate_patients(model, detected, seed=settings.seed)
    write_json(run.folder / EVALUATION, _headed(prepared.facts, evaluation.to_json()))
    made = Made(
        settings=settings,
        chosen=chosen,
        data=prepared.facts,
        splits=splits,
        crossed=crossed,
        model=model,
        evaluation=evaluation,
        command=command,
        starting_weights=prepared.starting_weights[crossed.chosen.number - 1],
        extras=Extras() if make_extras is None else make_extras(model, detected, evaluation),
    )
    identity = write_trained_bundle(run.folder / BUNDLE, made)
    run.finish()
    log.info("bundle_written", name=identity.name, version=identity.version, sha256=identity.sha256)
    return identity


def _final_model(where: Fitting, settings: TrainingSettings, splits: Splits, chosen: CandidateResult) -> WffModel:
    """Trained on all folds; or, where the settings ask for no refit, what was trained without the first."""
    if settings.cross_validation.refit:
        model = fit(where, "final", settings, splits.training)
    else:
        model = fit(where, stage_of_fold(chosen.number, 0), settings, splits.without(0))
    return model.with_fusion(chosen.fusion)


def _require_architecture(settings: TrainingSettings, number: int) -> None:
    """Raises SettingsError when the nets cannot be built. Takes no memory."""
    try:
        with torch.device("meta"):
            Detector(settings.config.detector)
            SequenceClassifier(settings.config.sequence)
    except (ValueError, TypeError, IndexError, RuntimeError) as error:
        raise SettingsError(f"architecture of candidate {number} cannot be built: {error}") from error
    detector = settings.config.detector
    if detector.image_size % 64:
        raise SettingsError(f"architecture.detector.image_size is {detector.image_size}, expected a multiple of 64")
    if len(detector.anchor_sizes) != len(LEVELS):
        raise SettingsError(
            f"architecture.detector.anchor_sizes has {len(detector.anchor_sizes)} values, expected {len(LEVELS)}: "
            "one per level of the pyramid"
        )


def _weights_sha256(candidates: Iterable[Mapping[str, StartingWeights]]) -> str:
    """Over the files that any candidate starts from."""
    hashes = sorted({one.sha256 for nets in candidates for one in nets.values()})
    return hashlib.sha256("".join(f"{one}\n" for one in hashes).encode()).hexdigest()


def _headed(facts: DataFacts, measured: dict[str, Any]) -> dict[str, Any]:
    """No number of the phantom without its heading; empty for patients, as `spinenode evaluate` writes it."""
    return {"heading": PHANTOM_HEADING if facts.is_phantom else "", **measured}
