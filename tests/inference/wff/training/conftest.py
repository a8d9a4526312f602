from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.datasets import DataSetWriter, LabelledPatient, SpineRegion
from inference.findings import Box, SequenceKind, Verdict
from inference.wff.training.display import Silent
from inference.wff.training.framework import prepare, train_framework
from inference.wff.training.presets import micro_settings
from inference.wff.training.run_folder import open_run_folder
from inference.wff.training.settings import Candidate, TrainingSettings

COMMAND = ["spinenode", "train", "wff", "--data", "/home/somebody/data", "--out", "run"]
_MICRO = micro_settings()
TWO_CANDIDATES = replace(
    _MICRO,
    cross_validation=replace(
        _MICRO.cross_validation,
        candidates=(Candidate(), Candidate(overrides={"sequence": {"optimiser": {"learning_rate": 0.05}}})),
    ),
)
COHORT: tuple[Verdict | None, ...] = (*[Verdict.BENIGN] * 4, *[Verdict.MALIGNANT] * 4, None, None)


def write_cohort(folder: Path, verdicts: Sequence[Verdict | None] = COHORT) -> Path:
    """A bright square as lesion (malignant: larger) on three of six slices; a T1 and a T2 series of each patient."""
    writer, patients = DataSetWriter(folder), []
    for number, verdict in enumerate(verdicts):
        rng = np.random.default_rng(number)
        side = 24 if verdict is Verdict.MALIGNANT else 12
        series = []
        for place, kind in enumerate((SequenceKind.T1, SequenceKind.T2)):
            images = rng.integers(0, 60, size=(6, 64, 64), dtype=np.uint8)
            boxes: list[list[Box]] = [[] for _ in range(6)]
            for z in (2, 3, 4) if verdict is not None else ():
                images[z, 20 : 20 + side, 18 : 18 + side] += 150
                boxes[z] = [Box(x0=18, y0=20, x1=18 + side, y1=20 + side)]
            series.append(writer.add_series(f"P{number}", place, kind, images, boxes))
        patients.append(
            LabelledPatient(
                patient_id=f"P{number}",
                age_years=30.0 + 5 * number,
                verdict=verdict,
                series=tuple(series),
                regions=(SpineRegion.LUMBAR,) if verdict is not None else (),
                site="A" if number % 2 else "B",
                lesion_type="square" if verdict is not None else "",
            )
        )
    writer.close(patients)
    return folder


def train_in(folder: Path, data: Path, settings: TrainingSettings) -> Silent:
    """The whole training, without the command; returns what it said."""
    display, prepared = Silent(), prepare(data, settings)
    with open_run_folder(folder, prepared.inputs, COMMAND) as run:
        train_framework(prepared, run, display, command=COMMAND)
    return display


@pytest.fixture(scope="session")
def finished(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with two candidates that came to its end."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train_in(folder, cohort, TWO_CANDIDATES)
    return folder


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten patients: four benign, four malignant, two without a lesion."""
    return write_cohort(tmp_path_factory.mktemp("cohort") / "data")
