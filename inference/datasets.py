"""Labelled patients for training and evaluation: windowed slices with boxes, one class per patient.

A data set is a folder with `patients.json` and one `.npy` per series, (Z, Y, X) uint8, read through memory maps so
that several processes share one copy. No pickles.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.durable_files import write_durably, write_text
from inference.errors import LabelsError
from inference.findings import Box, SequenceKind, Verdict

INDEX = "patients.json"


class SpineRegion(StrEnum):
    CERVICAL = "cervical"
    THORACIC = "thoracic"
    LUMBAR = "lumbar"
    SACRAL = "sacral"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSeries:
    """One sequence: windowed slices in spatial order and the labelled boxes of each slice, in image pixels."""

    kind: SequenceKind
    file: Path  # .npy, (Z, Y, X) uint8
    boxes: tuple[tuple[Box, ...], ...]  # one entry per slice

    def images(self) -> NDArray[np.uint8]:
        """(Z, Y, X) uint8, memory-mapped: copy before writing."""
        array: NDArray[np.uint8] = np.load(self.file, mmap_mode="r", allow_pickle=False)
        return array

    @property
    def labelled_slices(self) -> list[int]:
        return [index for index, boxes in enumerate(self.boxes) if boxes]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPatient:
    """`verdict` is None for a patient without a lesion; every box of a patient has the patient's class.

    `regions`, `site` and `lesion_type` part the patients for the evaluation; empty where nobody said.
    """

    patient_id: str
    age_years: float | None
    verdict: Verdict | None
    series: tuple[LabelledSeries, ...]
    regions: tuple[SpineRegion, ...] = ()  # where the lesions lie
    site: str = ""  # hospital or scanner
    lesion_type: str = ""  # e.g. "hemangioma"


class DataSetWriter:
    """Writes a data set patient by patient; arrays, and by `close` the index, are on disk to stay, whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)

    def add_series(
        self,
        patient_id: str,
        number: int,
        kind: SequenceKind,
        images: NDArray[np.uint8],
        boxes: Sequence[Sequence[Box]],
    ) -> LabelledSeries:
        if images.dtype != np.uint8 or images.ndim != 3 or len(images) != len(boxes):
            raise ValueError(
                f"{patient_id} series {number}: need (Z, Y, X) uint8 and one list of boxes per slice, "
                f"got {images.dtype} {images.shape} and {len(boxes)} lists"
            )
        file = self._folder / f"{patient_id}.{number}.npy"
        write_durably(file, lambda out: np.save(out, images, allow_pickle=False))
        return LabelledSeries(kind=kind, file=file, boxes=tuple(tuple(b) for b in boxes))

    def close(self, patients: Iterable[LabelledPatient]) -> None:
        write_text(self._folder / INDEX, json.dumps([patient_as_json(patient) for patient in patients]))


def open_data_set(folder: Path) -> list[LabelledPatient]:
    """Reads the index only. Raises FileNotFoundError naming the index when the folder holds no data set."""
    return [patient_from_json(folder, entry) for entry in json.loads((folder / INDEX).read_text(encoding="utf-8"))]


def whole_data_set(folder: Path) -> list[LabelledPatient]:
    """The patients, each once, by the index alone; `inference.checked_data_set` looks at the files too.

    Raises LabelsError when the index is damaged, OSError when it cannot be read.
    """
    try:
        patients = open_data_set(folder)
        require_disjoint({"the data set": patients})
    except KeyError as error:
        raise LabelsError(
            f"{folder / INDEX} is damaged (a patient lacks the key {error}); make the data set again"
        ) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise LabelsError(f"{folder / INDEX} is damaged ({error}); make the data set again") from error
    return patients


def require_disjoint(splits: Mapping[str, Sequence[LabelledPatient]]) -> None:
    """Raises ValueError when a patient is in two splits, or twice in one: nothing measured would mean anything."""
    home: dict[str, str] = {}
    for name, patients in splits.items():
        for patient in patients:
            other = home.setdefault(patient.patient_id, name)
            if other != name:
                raise ValueError(f"patient {patient.patient_id} is in {other!r} and in {name!r}; split by patient")
        if len({p.patient_id for p in patients}) != len(patients):
            raise ValueError(f"a patient is twice in {name!r}")


def split_hash(splits: Mapping[str, Sequence[LabelledPatient]]) -> str:
    """sha256 over the sorted patient identifiers of each split, to record which split a number belongs to."""
    ids = {name: sorted(p.patient_id for p in patients) for name, patients in splits.items()}
    return hashlib.sha256(json.dumps(ids, sort_keys=True).encode()).hexdigest()


def patient_as_json(patient: LabelledPatient) -> dict[str, object]:
    """An entry of the index."""
    return {
        "patient_id": patient.patient_id,
        "age_years": patient.age_years,
        "verdict": patient.verdict,
        "regions": patient.regions,
        "site": patient.site,
        "lesion_type": patient.lesion_type,
        "series": [
            {
                "kind": s.kind,
                "file": s.file.name,
                "boxes": [[[b.x0, b.y0, b.x1, b.y1] for b in boxes] for boxes in s.boxes],
            }
            for s in patient.series
        ],
    }


def patient_from_json(folder: Path, entry: dict[str, object]) -> LabelledPatient:
    """Of an entry of the index in `folder`. Raises ValueError, KeyError or TypeError when it is none."""
    data = json.loads(json.dumps(entry))
    return LabelledPatient(
        patient_id=_text(data["patient_id"]),
        age_years=data["age_years"],
        verdict=None if data["verdict"] is None else Verdict(data["verdict"]),
        regions=tuple(map(SpineRegion, data["regions"])),
        site=_text(data["site"]),
        lesion_type=_text(data["lesion_type"]),
        series=tuple(
            LabelledSeries(
                kind=SequenceKind(s["kind"]),
                file=folder / s["file"],
                boxes=tuple(tuple(Box(x0=x0, y0=y0, x1=x1, y1=y1) for x0, y0, x1, y1 in boxes) for boxes in s["boxes"]),
            )
            for s in data["series"]
        ),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
