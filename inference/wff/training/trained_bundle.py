"""The end product of a training: weights, metadata and model card as a bundle that the node serves."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from inference.bundle import LICENSE, MODEL_CARD, WEIGHTS_SUFFIX, write_bundle
from inference.data_facts import class_counts
from inference.data_part import HELD_OUT, TRAINING
from inference.durable_files import write_folder
from inference.errors import SettingsError
from inference.evaluation.subject import PHANTOM_HEADING
from inference.findings import BundleIdentity
from inference.wff.config import config_to_json
from inference.wff.evaluation.hits import HIT_IOU
from inference.wff.training.file_names import command_without_folders, without_folders
from inference.wff.training.model_card import INTENDED_USE, model_card
from inference.wff.training.report import Made
from inference.wff.versions import versions
from inference.wff.weights import CLASSIFIER, DETECTOR, save_weights

_NO_LICENSE: Final = """Nobody was given a licence to use, copy or pass on these weights.

Who trained them may put a licence here before passing them on (bundle.license_file in the settings of the training).
They come "AS IS", without warranties or conditions of any kind. Research only, not for clinical use.
"""


def write_trained_bundle(folder: Path, made: Made) -> BundleIdentity:
    """`folder` appears when it is complete; what an earlier attempt left there goes before."""
    shutil.rmtree(folder, ignore_errors=True)
    with write_folder(folder) as unfinished:
        detector, classifier = made.model.nets
        save_weights(detector, unfinished / f"{DETECTOR}{WEIGHTS_SUFFIX}")
        save_weights(classifier, unfinished / f"{CLASSIFIER}{WEIGHTS_SUFFIX}")
        (unfinished / LICENSE).write_text(license_text(made.settings.bundle.license_file), encoding="utf-8")
        (unfinished / MODEL_CARD).write_text(model_card(made), encoding="utf-8")
        return write_bundle(unfinished, _metadata(made))


def license_text(file: str) -> str:
    """Raises OSError, and SettingsError when the file is no text in UTF-8."""
    if not file:
        return _NO_LICENSE
    try:
        return Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f"bundle.license_file: {file} is no text in UTF-8 ({error})") from error


def _metadata(made: Made) -> dict[str, object]:
    settings = made.settings
    return {
        "pipeline": "wff",
        "name": settings.bundle.name,
        "version": settings.bundle.version,
        "components": ["lesion detector", "sequence classifier", "age table", "weighted fusion"],
        "intended_use": INTENDED_USE,
        "phantom_trained": made.data.is_phantom,
        "trained_on": _trained_on(made),
        "validated_on": _validated_on(made),
        "config": config_to_json(made.model.config),
        "age_table": list(made.model.age_table.malignant),
        "measured": {
            "strategies": [asdict(row) for row in made.evaluation.strategy_rows()],
            "decided_by": made.evaluation.decided_by,
            "cohort": asdict(made.evaluation.cohort),
            "detector": _detector(made),
            "probabilities": None if made.evaluation.calibration is None else asdict(made.evaluation.calibration),
            "hit_iou": HIT_IOU,
            **made.extras.measured,
        },
        "cross_validation": without_folders(made.crossed.to_json()),
        "training": {
            "settings": without_folders(_plain(asdict(settings))),
            "command": command_without_folders(made.command),
            "initial_weights": {net: asdict(one) for net, one in made.starting_weights.items()},
            "data_sha256": made.data.sha256,
            "split_sha256": made.splits.sha256,
            "training_patients": class_counts(made.learned_from),
            "chosen_on_patients": class_counts(made.chosen_on),
            "held_out_patients": class_counts(made.splits.held_out),
            "images_sha256": {
                TRAINING: made.data.images_of(made.splits.training),  # tau and the weights have seen all of them
                HELD_OUT: made.data.images_of(made.splits.held_out),
            },
        },
        "versions": versions(),
    }


def _detector(made: Made) -> dict[str, object]:
    """The curves stay in evaluation.json."""
    detector = asdict(made.evaluation.detector)
    return {name: value for name, value in detector.items() if name not in ("per_image", "per_patient")}


def _trained_on(made: Made) -> str:
    counts = class_counts(made.learned_from)
    chosen = f"; tau and weights chosen on {len(made.chosen_on)} others" if made.chosen_on else ""
    classes = ", ".join(f"{count} {name}" for name, count in counts.items())
    return f"{sum(counts.values())} {made.data.patients}: {classes}{chosen}"


def _validated_on(made: Made) -> str:
    decided, cohort = made.evaluation.decided.performance, made.evaluation.cohort
    alarms = (
        f"; alarm in {cohort.lesion_free_alarmed} of {cohort.lesion_free} lesion-free ones"
        if cohort.lesion_free
        else ""
    )
    origin = f"; {PHANTOM_HEADING}" if made.data.is_phantom else ""
    return (
        f"{cohort.patients} held-out patients with lesions of the same data set: benign/malignant decision right in "
        f"{decided.counts.accuracy}, AUC {decided.area}{alarms}{origin}"
    )


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Candidates as the tables of overrides that they are."""
    cross_validation = settings["cross_validation"]
    candidates = [one["overrides"] for one in cross_validation["candidates"]]
    return {**settings, "cross_validation": {**cross_validation, "candidates": candidates}}
