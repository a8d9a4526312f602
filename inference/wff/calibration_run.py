"""From a bundle and a site's data set to a calibrated bundle."""

from pathlib import Path

from inference.bundle import Bundle, open_bundle
from inference.datasets import whole_data_set
from inference.errors import CalibrationError
from inference.findings import BundleIdentity
from inference.runtime import Device, Runtime
from inference.wff.calibrated_bundle import overlap_of, write_calibrated_bundle
from inference.wff.calibration import SiteCalibration, SiteModel, calibrate
from inference.wff.calibration_card import SiteData
from inference.wff.measurement import classify_all, detect_all
from inference.wff.patient_counter import Report, patient_counter
from inference.wff.training.data_facts import data_facts
from inference.wff.weights import load_model


class CalibrationRun:
    """Opens the parent and the data set; `fit` runs the networks, `write` makes the new bundle."""

    def __init__(self, bundle: Path, data: Path) -> None:
        self.parent: Bundle = open_bundle(bundle)
        if self.parent.identity.pipeline != "wff":
            raise CalibrationError(f"{bundle} is of pipeline {self.parent.identity.pipeline!r}; only wff is calibrated")
        patients = whole_data_set(data)
        facts = data_facts(data, patients)
        self.data = SiteData(
            sha256=facts.sha256,
            is_phantom=facts.is_phantom,
            overlap=overlap_of(self.parent, facts.sha256, patients),
            patients=facts.patients if facts.is_phantom else "labelled patients of a site",
        )
        self._patients = [patient for patient in patients if patient.verdict is not None]

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
