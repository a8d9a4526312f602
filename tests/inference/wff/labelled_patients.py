"""Labelled patients with detections set by hand, so that every vote is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from inference.datasets import DataSetWriter, LabelledPatient, SpineRegion
from inference.findings import Box, SequenceKind, Verdict
from inference.wff.patients import DetectedPatient
from inference.wff.reading import DetectedBox

LESION = Box(x0=30, y0=40, x1=54, y1=64)
SLICES = 4
LABELLED = (1, 2)
T1, T2, T2FS = SequenceKind.T1, SequenceKind.T2, SequenceKind.T2FS


@dataclass(frozen=True)
class Case:
    """What the detector says of the lesion in each sequence: its class, or None where it finds nothing."""

    truth: Verdict | None
    says: Mapping[SequenceKind, Verdict | None]
    score: float = 0.9
    age_years: float | None = 50.0
    regions: tuple[SpineRegion, ...] = (SpineRegion.LUMBAR,)
    site: str = ""
    lesion_type: str = ""
    extra: Mapping[SequenceKind, DetectedBox] = field(default_factory=dict)  # on the first slice


def write_patients(folder: Path, cases: Sequence[Case]) -> list[LabelledPatient]:
    """P00, P01, ... in the order of the cases."""
    writer = DataSetWriter(folder)
    patients = [_patient(writer, f"P{number:02d}", case) for number, case in enumerate(cases)]
    writer.close(patients)
    return patients


def detected(patients: Sequence[LabelledPatient], cases: Sequence[Case]) -> list[DetectedPatient]:
    return [
        DetectedPatient(patient, tuple(_found(case, kind) for kind in case.says))
        for patient, case in zip(patients, cases, strict=True)
    ]


def _patient(writer: DataSetWriter, name: str, case: Case) -> LabelledPatient:
    rng = np.random.default_rng([*map(ord, name)])
    boxes = [[LESION] if case.truth is not None and z in LABELLED else [] for z in range(SLICES)]
    series = tuple(
        writer.add_series(name, number, kind, rng.integers(0, 255, size=(SLICES, 96, 96), dtype=np.uint8), boxes)
        for number, kind in enumerate(case.says)
    )
    return LabelledPatient(
        patient_id=name,
        age_years=case.age_years,
        verdict=case.truth,
        series=series,
        regions=case.regions if case.truth is not None else (),
        site=case.site,
        lesion_type=case.lesion_type,
    )


def _found(case: Case, kind: SequenceKind) -> tuple[tuple[DetectedBox, ...], ...]:
    said = case.says[kind]
    slices: list[tuple[DetectedBox, ...]] = [
        () if said is None or z not in LABELLED else (DetectedBox(LESION, said, case.score),) for z in range(SLICES)
    ]
    if kind in case.extra:
        slices[0] = (case.extra[kind],)
    return tuple(slices)
