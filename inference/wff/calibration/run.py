"""From a bundle and a site's data set to a calibrated bundle."""

from dataclasses import dataclass
from pathlib import Path

from inference.bundle import Bundle, open_bundle
from inference.data_part import HELD_OUT, open_data_part
from inference.errors import CalibrationError
from inference.findings import BundleIdentity
from inference.runtime import Device, Runtime
from inference.wff.calibration.bundle import write_calibrated_bundle
from inference.wff.calibration.card import SiteData
from inference.wff.calibration.fitting import SiteCalibration, SiteModel, calibrate
from inference.wff.patient_counter import Report, patient_counter
from inference.wff.patients import classify_all, detect_all
from inference.wff.seen_before import seen_before
from inference.wff.weights import load_model


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRequest:
    bundle: Path
    data: Path
    splits: Path | None = None  # splits.json of a training
    part: str = HELD_OUT  # of the splits
    even_if_seen: bool = False  # cases that the bundle saw in its training, or may have seen


class CalibrationRun:
    """Opens the parent and the data set; `fit` runs the networks, `write` makes the new bundle.

    Raises when opened, before any network runs.

    Raises
    ------
    BundleError
        the bundle is damaged.
    CalibrationError
        the bundle is of another pipeline, or its record says that it has seen the cases.
    LabelsError
        the data set is damaged; the message names the file and the patient.
    SettingsError
        the split file does not fit the data set, or has no such part.
    OSError
        a file cannot be read.
    """

    def __init__(self, request: CalibrationRequest) -> None:
        self.parent: Bundle = open_bundle(request.bundle)
        if self.parent.identity.pipeline != "wff":
            raise CalibrationError(
                f"{request.bundle} is of pipeline {self.parent.identity.pipeline!r}; only wff is calibrated"
            )
        part = open_data_part(request.data, request.splits, request.part)
        self._patients = [patient for patient in part.patients if patient.verdict is not None]
        known = part.facts.known_by(self._patients)
        seen = seen_before(self.parent.metadata, part.facts.sha256, part.splits_sha256, part.name, known)
        if seen.is_possible and not request.even_if_seen:
            raise CalibrationError(
                f"{seen.told} Calibrate on patients that its training held out (--split names the splits.json of its "
                "run), or on others; --even-if-seen calibrates all the same, and every report will say so"
            )
        self.data = SiteData(
            sha256=part.facts.sha256,
            part=part.name,
            patients_sha256=part.patients_sha256,
            images_sha256=part.facts.images_of(self._patients),
            is_phantom=part.facts.is_phantom,
            overlap=seen.told if seen.is_possible else "",
            patients=part.facts.patients if part.facts.is_phantom else "labelled patients of a site",
        )

    @property
    def is_phantom(self) -> bool:
        """Synthetic images took part: the numbers have no clinical meaning."""
        return self.parent.identity.phantom_trained or self.data.is_phantom

    def fit(self, *, processes: int = 1, report: Report | None = None) -> SiteCalibration:
        """One process: this one, on a GPU where there is one; more: as many copies of the networks on the CPU.

        Raises CalibrationError when the cases do not allow it.
        """
        model = load_model(self.parent, runtime=Runtime(device=Device.AUTO if processes == 1 else Device.CPU))
        fusion, count = model.config.fusion, len(self._patients)
        detected = detect_all(
            model, self._patients, processes=processes, progress=patient_counter("lesion detector", count, report)
        )
        classified = classify_all(
            model, detected, fusion, progress=patient_counter("sequence classifier", count, report)
        )
        return calibrate(SiteModel(fusion, model.age_table), classified)

    def write(
        self, made: SiteCalibration, out: Path, *, name: str | None = None, even_if_worse: bool = False
    ) -> BundleIdentity:
        """Raises CalibrationError when the calibrated model is the worse one, or `out` exists."""
        if made.is_worse and not even_if_worse:
            raise CalibrationError(
                f"the calibration would make the model worse: cross-validated log loss {made.after.log_loss:.4f}, "
                f"before {made.before.log_loss:.4f}, 95 % interval of the change {made.change.low:+.4f} to "
                f"{made.change.high:+.4f}; nothing was written (--even-if-worse writes it all the same)"
            )
        return write_calibrated_bundle(out, self.parent, made, self.data, name=name)
