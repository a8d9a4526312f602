"""truth.json: everything that was drawn for a patient, with where it shows in the written images."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from enum import Enum
from pathlib import Path
from typing import Any, Final

import numpy as np

from inference.phantom.dicom.identifiers import NOTICE
from inference.phantom.dicom.study import StudyFile
from inference.phantom.identity import software_version
from inference.phantom.law import oracle_probability
from inference.phantom.patient import PhantomPatient, PhantomSeries
from inference.phantom.truth.labelled_images import LabelledImage, labelled_images, tracking_uid

TRUTH_FILE: Final = "truth.json"
# Of a series, what truth.json does not repeat: arrays, and boxes, which are told per image
_LEFT_OUT: Final = frozenset({"pixels", "masks", "boxes", "positions_mm"})


def latent_truth(patient: PhantomPatient, files: Sequence[StudyFile]) -> dict[str, Any]:
    truth = patient.truth
    return {
        "notice": NOTICE,
        "version": software_version(),
        "patient_id": patient.patient_id,
        "seed": patient.seed,
        "index": patient.index,
        "config": asdict(patient.config),
        "age_years": patient.age_years,
        "sex": patient.sex,
        "site": patient.site,
        "style": asdict(patient.style),
        "label": truth.label,
        "family": patient.family,
        "regions": patient.regions,
        "truth": asdict(truth),
        "oracle_probability_malignant": {
            "signs": oracle_probability(truth, with_age=False),
            "signs_and_age": oracle_probability(truth, with_age=True),
        },
        "tracking_uids": [tracking_uid(patient, number + 1) for number in range(len(truth.lesions))],
        "series": _series(files),
    }


def write_latent_truth(content: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(content, indent=1, default=plain) + "\n", encoding="utf-8")


def plain(value: Any) -> Any:
    """For JSON: what dataclasses of the phantom hold beside numbers and texts."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _series(files: Sequence[StudyFile]) -> list[dict[str, Any]]:
    images: dict[int, list[LabelledImage]] = {}
    for image in labelled_images(files):
        images.setdefault(image.stack.number, []).append(image)
    return [
        {
            "number": number,
            "series_instance_uid": str(of_series[0].file.header.SeriesInstanceUID),
            **_facts(of_series[0].stack.series),
            "images": list(_images(of_series)),
        }
        for number, of_series in images.items()
    ]


def _facts(series: PhantomSeries | None) -> dict[str, Any]:
    if series is None:
        return {}
    told = {f.name: getattr(series, f.name) for f in fields(series) if f.name not in _LEFT_OUT}
    return {name: asdict(value) if hasattr(value, "__dataclass_fields__") else value for name, value in told.items()}


def _images(images: Iterable[LabelledImage]) -> Iterable[dict[str, Any]]:
    """In spatial order."""
    for image in images:
        yield {
            "file": image.file.name,
            "frame": image.frame,
            "sop_instance_uid": str(image.file.header.SOPInstanceUID),
            "boxes": [{"lesion": one.lesion, **asdict(one.box)} for one in image.boxes],
        }
