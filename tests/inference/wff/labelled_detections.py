"""Detections as if the detector had made them: on every labelled box, and one on nothing."""

from inference.datasets import LabelledPatient
from inference.findings import Box, Verdict
from inference.wff.model import SliceBoxes
from inference.wff.patients import DetectedPatient
from inference.wff.reading import DetectedBox


def detected(patient: LabelledPatient, *, right: float, wrong: float) -> DetectedPatient:
    """Every labelled box found with score `right`, and one box on nothing with score `wrong` on the first slice."""
    nothing = DetectedBox(Box(x0=80, y0=80, x1=90, y1=90), Verdict.BENIGN, wrong)
    (series,) = patient.series
    slices: list[SliceBoxes] = [
        tuple(DetectedBox(box, patient.verdict or Verdict.BENIGN, right) for box in boxes) for boxes in series.boxes
    ]
    slices[0] = (nothing,)
    return DetectedPatient(patient, (tuple(slices),))
