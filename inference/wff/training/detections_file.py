"""Detections of patients as a file, so that a run that goes on does not search every slice again.

Floats survive JSON to the last bit, so what is read is what was found; its sha256 stands in the file.
"""

import hashlib
import json
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Final

import structlog

from inference.datasets import LabelledPatient
from inference.durable_files import write_text
from inference.errors import TrainingError
from inference.findings import Box, Verdict
from inference.wff.patients import DetectedPatient
from inference.wff.reading import DetectedBox

log = structlog.get_logger(__name__)

_SHA256: Final = "sha256"  # over the detections, as text
_DETECTIONS: Final = "detections"  # by patient


def save_detections(detected: Sequence[DetectedPatient], file: Path) -> None:
    found = {one.patient.patient_id: _to_json(one) for one in detected}
    write_text(file, json.dumps({_SHA256: _hash_of(found), _DETECTIONS: found}))


def load_detections(file: Path, patients: Sequence[LabelledPatient]) -> list[DetectedPatient]:
    """Of these patients, in their order. Raises TrainingError when the file is damaged or of other patients."""
    try:
        found = _checked(json.loads(file.read_text(encoding="utf-8")), file)
        return [_of_patient(patient, found[patient.patient_id]) for patient in patients]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TrainingError(f"{file} is damaged ({error!r}); delete it, and the slices are searched again") from error


def _checked(data: dict[str, Any], file: Path) -> dict[str, Any]:
    said = data.get(_SHA256)
    if not isinstance(said, str):  # runs of before the hash have the patients alone
        log.warning("detections_without_hash", file=str(file), advice="delete it, and the slices are searched again")
        return data
    found: dict[str, Any] = data[_DETECTIONS]
    if said != _hash_of(found):
        raise ValueError("it does not fit its sha256")
    return found


def _hash_of(found: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def _to_json(one: DetectedPatient) -> list[list[list[list[Any]]]]:
    """Per sequence, per slice, per box: x0, y0, x1, y1, class, score."""
    return [
        [[[b.box.x0, b.box.y0, b.box.x1, b.box.y1, b.verdict, b.score] for b in boxes] for boxes in slices]
        for slices in one.found
    ]


def _of_patient(patient: LabelledPatient, data: list[list[list[list[Any]]]]) -> DetectedPatient:
    found = tuple(tuple(tuple(map(_box, boxes)) for boxes in slices) for slices in data)
    if [len(slices) for slices in found] != [len(series.boxes) for series in patient.series]:
        raise ValueError(f"patient {patient.patient_id} has other slices")
    return DetectedPatient(patient, found)


def _box(values: list[Any]) -> DetectedBox:
    x0, y0, x1, y1, verdict, score = values
    if not all(map(isfinite, (x0, y0, x1, y1, score))):
        raise ValueError(f"{values} is no box")
    return DetectedBox(Box(x0=x0, y0=y0, x1=x1, y1=y1), Verdict(verdict), score)
