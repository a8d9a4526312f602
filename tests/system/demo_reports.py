"""Whole reports about phantom patients as `spinenode demo` makes them: what the pictures of docs/results.md show."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset, dcmread

from config.reporting import OBJECT_NAMES
from inference.phantom import PhantomConfig, generate_patient, write_study
from node.report.context import ReportKind
from tests.system.node_process import SPINENODE

_SEED: Final = 20_260  # as the demo's own patient: used nowhere in training, tuning or evaluation
_LESION_FREE: Final = 2
_ENVIRONMENT: Final = {**os.environ, "SPINENODE_REPORTS__OBJECTS": json.dumps(OBJECT_NAMES), "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True, kw_only=True)
class DemoReport:
    """One run of the demo: the images that were sent, and the objects that the archive received."""

    folder: Path
    images: list[Path]
    objects: dict[ReportKind, list[Path]]

    @property
    def study_instance_uid(self) -> str:
        return str(self.header("sr").StudyInstanceUID)

    @property
    def series_count(self) -> int:
        files = [*self.images, *(path for paths in self.objects.values() for path in paths)]
        return len({str(dcmread(path, stop_before_pixels=True).SeriesInstanceUID) for path in files})

    def header(self, kind: ReportKind) -> Dataset:
        return dcmread(self.objects[kind][0], stop_before_pixels=True)

    def show(self, out: Path) -> None:
        """`spinenode report show` of the only case."""
        settings = self.folder / "show.toml"
        settings.write_text(f'[storage]\ndata_dir = "{self.folder / "out" / "node"}"\n')
        command = [str(SPINENODE), "--config", str(settings), "report", "show", "1", "--out", str(out)]
        subprocess.run(command, check=True, capture_output=True, timeout=600)


def lesion_report(folder: Path) -> DemoReport:
    """The demo's own patient."""
    return _run(folder)


def negative_report(folder: Path) -> DemoReport:
    """A patient without a lesion, whom the networks find none in."""
    patient = generate_patient(_LESION_FREE, seed=_SEED, config=PhantomConfig(lesion_free_fraction=1.0))
    write_study(patient, folder / "study", distractors=True)
    return _run(folder, study=folder / "study")


def not_analysed_report(folder: Path) -> DemoReport:
    """A patient of whom only the axial series and the localizer were sent."""
    patient = generate_patient(_LESION_FREE + 1, seed=_SEED, config=PhantomConfig())
    for path in write_study(patient, folder / "study", distractors=True):
        if path.name.startswith(("series01", "series02", "series03")):  # the sagittal ones
            path.unlink()
    return _run(folder, study=folder / "study")


def _run(folder: Path, study: Path | None = None) -> DemoReport:
    out = folder / "out"
    chosen = ["--study", str(study)] if study else []
    run = subprocess.run(
        [str(SPINENODE), "demo", "--out", str(out), "--json", *chosen],
        capture_output=True,
        text=True,
        timeout=1200,
        env=_ENVIRONMENT,
    )
    if run.returncode != 0:
        raise RuntimeError(run.stderr)
    case: dict[str, Any] = json.loads(run.stdout)[0]
    objects: dict[ReportKind, list[Path]] = {}
    for made in case["objects"]:
        objects.setdefault(made["kind"], []).append(Path(made["path"]))
    return DemoReport(folder=folder, images=sorted((study or out / "sent").glob("*.dcm")), objects=objects)
