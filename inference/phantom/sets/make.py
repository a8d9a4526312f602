"""Makes a set: one folder per patient, then the files about all of them."""

import errno
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from inference.findings import Verdict
from inference.phantom.dicom.habits import PLAIN, habits_of_site
from inference.phantom.dicom.study import StudyForm, write_file
from inference.phantom.patient import generate_patient
from inference.phantom.sets.recipe import PhantomSetError, SetRecipe, claimed, write_recipe, write_whole
from inference.phantom.truth.coco import COCO_FILE, joined
from inference.phantom.truth.latent import TRUTH_FILE
from inference.phantom.truth.objects import WrittenStudy
from inference.phantom.truth.pathology import LESION_FREE, PATHOLOGY_FILE, pathology_table
from inference.phantom.truth.write import TruthKind, write_truth
from inference.phantom.workers import each

Progress = Callable[[int, int], None]  # patients that are there, of how many

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_PART: Final = ".part"
_SLICES: Final = 13  # of a series, on average
_BYTES_PER_PIXEL: Final = 2
_HEADROOM: Final = 1.2  # headers, and truth


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSet:
    made: int  # patients of this run
    kept: int  # patients that an earlier run had made
    labels: dict[str, int]  # patients of the whole set: benign, malignant, none


def patient_folder(index: int) -> str:
    """Named by the phantom's pseudonym, which is its PatientID."""
    return f"PH-{index:06d}"


def make_set(recipe: SetRecipe, folder: Path, *, processes: int, progress: Progress | None = None) -> MadeSet:
    """Make the patients that the folder lacks, then pathology.csv and, if wanted, coco.json of all.

    A patient's folder appears whole or not at all, so a stopped run is gone on with by the same call. Same recipe,
    same bytes, whatever the number of processes.

    Raises
    ------
    PhantomSetError
        the folder is not this recipe's, there is too little room, or a worker process died. Every patient that is
        there is whole.
    OSError
        a file cannot be written for another reason.
    """
    report, write = progress or _unseen, partial(write_patient, recipe, folder)
    with claimed(folder, recipe), _explained(folder):
        missing = _missing(recipe, folder)
        _require_room(recipe, folder, len(missing))
        write_recipe(folder, recipe)
        kept = recipe.count - len(missing)
        report(kept, recipe.count)
        for done, _ in enumerate(each(write, missing, processes=processes), start=1):
            report(kept + done, recipe.count)
        labels = _write_overviews(recipe, folder)
    return MadeSet(made=len(missing), kept=kept, labels=labels)


def _missing(recipe: SetRecipe, folder: Path) -> list[int]:
    """Patients that are not there yet, after what a stopped run left half done was removed."""
    for leftover in folder.glob(f".*{_PART}"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    there = {entry.name for entry in folder.iterdir()}
    return [index for index in recipe.indices if patient_folder(index) not in there]


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """What goes wrong outside the program, with what to do."""
    try:
        yield
    except BrokenProcessPool as error:
        raise PhantomSetError(
            "a worker process died, for want of memory perhaps; the same command with fewer --processes goes on"
        ) from error
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise PhantomSetError(f"the disk of {folder} is full; make room, and the same command goes on") from error


def _unseen(done: int, total: int) -> None:
    """Progress that nobody watches."""


def write_patient(recipe: SetRecipe, folder: Path, index: int) -> None:
    """Make one patient under a temporary name, then give the folder its name."""
    patient = generate_patient(index, seed=recipe.seed, config=recipe.config)
    form = StudyForm(
        kinds=recipe.kinds,
        enhanced=recipe.enhanced,
        distractors=recipe.distractors,
        habits=habits_of_site(patient.site) if recipe.site_habits else PLAIN,
    )
    study = WrittenStudy.of(patient, form)
    part = folder / f".{patient_folder(index)}.{os.getpid()}{_PART}"
    with _removed_on_failure(part):
        part.mkdir()
        for file in study.files:
            write_file(file, part)
        write_truth(study, part, recipe.truth)
        part.rename(folder / patient_folder(index))


@contextmanager
def _removed_on_failure(part: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _require_room(recipe: SetRecipe, folder: Path, patients: int) -> None:
    """A rough sum, to say at once what would else be said after an hour."""
    images = len(recipe.kinds) * recipe.config.stations * _SLICES
    needed = patients * images * recipe.config.matrix**2 * _BYTES_PER_PIXEL * _HEADROOM
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise PhantomSetError(
            f"{patients} patients need about {needed / 1e9:.1f} GB, the disk of {folder} has {free / 1e9:.1f} GB free"
        )


def _write_overviews(recipe: SetRecipe, folder: Path) -> dict[str, int]:
    """The files about all patients; returns how many have each label."""
    truths = [_content(folder, index, TRUTH_FILE) for index in recipe.indices]
    if TruthKind.COCO in recipe.truth:
        studies = [(patient_folder(index), _content(folder, index, COCO_FILE)) for index in recipe.indices]
        write_whole(folder / COCO_FILE, json.dumps(joined(studies), separators=(",", ":")) + "\n")
    write_whole(folder / PATHOLOGY_FILE, pathology_table(truths))
    counts = Counter(truth["label"] or LESION_FREE for truth in truths)
    return {label: counts[label] for label in (*Verdict, LESION_FREE)}


def _content(folder: Path, index: int, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / patient_folder(index) / name).read_text(encoding="utf-8"))
    return content
