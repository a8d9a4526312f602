"""The bundle that a site calibration makes: its parent's weights byte for byte, with metadata and a card of its own."""

import platform
import shutil
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from inference.bundle import MODEL_CARD, Bundle, write_bundle
from inference.durable_files import write_folder
from inference.errors import CalibrationError
from inference.findings import BundleIdentity
from inference.wff.calibration.card import SiteData, model_card
from inference.wff.calibration.fitting import FOLDS, PARENT_PATIENTS, Quality, SiteCalibration

_SUFFIX: Final = "-calibrated"
_VERSION: Final = "-calibrated."
_PACKAGES: Final = ("spinenode", "torch", "numpy", "scipy")
_OF_THE_PARENT: Final = (
    "measured",
    "cross_validation",
    "calibration",
    "parent",
)  # told of the parent, not of the child
_SETTLED_BY_WRITING: Final = ("schema", "files")


def write_calibrated_bundle(
    out: Path, parent: Bundle, calibration: SiteCalibration, data: SiteData, *, name: str | None = None
) -> BundleIdentity:
    """`out` appears when it is complete. `name` is of the new bundle. Raises CalibrationError when `out` exists."""
    if out.exists():
        raise CalibrationError(f"{out} exists already: a bundle is never changed; choose another folder")
    told = _metadata(parent, calibration, data, name or parent.identity.name.removesuffix(_SUFFIX) + _SUFFIX)
    with write_folder(out) as unfinished:
        for file in parent.metadata["files"]:
            shutil.copyfile(parent.folder / file, unfinished / file)
        (unfinished / MODEL_CARD).write_text(model_card(parent, told, calibration, data), encoding="utf-8")
        return write_bundle(unfinished, told)


def _metadata(parent: Bundle, calibration: SiteCalibration, data: SiteData, name: str) -> dict[str, Any]:
    before, cases = parent.metadata, calibration.cases
    kept = {key: value for key, value in before.items() if key not in (*_OF_THE_PARENT, *_SETTLED_BY_WRITING)}
    phantom = bool(before["phantom_trained"]) or data.is_phantom
    who = f"{cases.patients} {data.patients}"
    return {
        **kept,
        "name": name,
        "version": _next_version(parent.identity.version),
        "phantom_trained": phantom,
        "trained_on": f"{parent.identity.trained_on}; probabilities calibrated on {who}",
        "validated_on": f"before its calibration: {parent.identity.validated_on}; {_validated(calibration, who, data)}",
        "config": {**before["config"], "fusion": asdict(calibration.model.fusion)},
        "age_table": list(calibration.model.age_table.malignant),
        "parent": {
            "name": parent.identity.name,
            "version": parent.identity.version,
            "sha256": parent.identity.sha256,
            **{key: before[key] for key in _OF_THE_PARENT if key in before},
        },
        "calibration": {
            "cases": {**asdict(cases), "patients": cases.patients, "malignant_share": cases.malignant_share},
            "data_sha256": data.sha256,
            "part": data.part,
            "patients_sha256": data.patients_sha256,
            "images_sha256": list(data.images_sha256),
            "data_is_phantom": data.is_phantom,
            "overlap": data.overlap,
            "folds": FOLDS,
            "age_table_parent_patients": PARENT_PATIENTS,
            "before": _numbers(calibration.before),
            "after_cross_validated": _numbers(calibration.after),
            "change_of_log_loss": asdict(calibration.change),
        },
        "versions": {
            **before.get("versions", {}),
            "calibration": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        },
    }


def _validated(calibration: SiteCalibration, who: str, data: SiteData) -> str:
    """In every report of the bundle: it must not claim more than was measured."""
    before, after, cases = calibration.before, calibration.after, calibration.cases
    seen = ", of whom the model may have seen some in its training" if data.overlap else ""
    return (
        f"cross-validated on {who}{seen}: decision right in {after.accuracy} (before: {before.accuracy}), "
        f"log loss {after.log_loss:.3f} (before: {before.log_loss:.3f}); {cases.malignant} of the {cases.patients} are "
        "malignant"
    )


def _next_version(before: str) -> str:
    """1.0.0 -> 1.0.0-calibrated.1 -> 1.0.0-calibrated.2"""
    base, _, count = before.partition(_VERSION)
    return f"{base}{_VERSION}{int(count) + 1 if count.isdigit() else 1}"


def _numbers(quality: Quality) -> dict[str, Any]:
    rate = quality.accuracy
    return {
        "log_loss": quality.log_loss,
        "accuracy": {"hits": rate.hits, "total": rate.total, "value": rate.value, "wilson_95": list(rate.interval)},
        "probabilities": asdict(quality.probabilities),
    }
