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
from inference.phantom.dicom.form import StudyForm
from inference.phantom.dicom.habits import PLAIN, habits_of_site
from inference.phantom.dicom.study import write_file
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


def make_set(recipe: SetRecipe, folder: Path, *, processes: int, progress: Progress | None = None) -> MadeSet:
    """Make the patients that the folder lacks, then pathology.csv and, if wanted, coco.json of all.

    A patient's folder appears whole or not at all, so a stopped run is gone on with by the same call. Same recipe,
    same bytes, whatever the number of processes.

    Raises
    ------
    PhantomSetError
        the folder is not this recipe's, another machine began it, there is too little room, or a worker process died.
        Every patient that is there is whole.
    OSError
        a file cannot be written for another reason.
    """
    report, write = progress or _unseen, partial(write_patient, recipe, folder)
    with claimed(folder, recipe), _explained(folder):
        missing = _missing(recipe, folder)
        kept = sorted(set(recipe.indices) - set(missing))
        _require_room(recipe, folder, len(missing))
        write_recipe(folder, recipe)
        report(len(kept), recipe.count)
        if kept and missing:
            _require_painted_here(recipe, folder, kept[0])
        for done, _ in enumerate(each(write, missing, processes=processes), start=1):
            report(len(kept) + done, recipe.count)
        labels = _write_overviews(recipe, folder)
    return MadeSet(made=len(missing), kept=len(kept), labels=labels)


def _missing(recipe: SetRecipe, folder: Path) -> list[int]:
    """Patients that are not there yet, after what a stopped run left half done was removed."""
    for leftover in folder.glob(f".*{_PART}"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    there = {entry.name for entry in folder.iterdir()}
    return [index for index, name in recipe.patient_ids.items() if name not in there]


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
    with _made(recipe, folder, index) as (part, name):
        part.rename(folder / name)


def _require_painted_here(recipe: SetRecipe, folder: Path, index: int) -> None:
    """Make a patient once more and compare the files: not every machine rounds alike, and code changes."""
    with _made(recipe, folder, index) as (part, name):
        there = folder / name
        differing = next((file.name for file in sorted(part.iterdir()) if not _same(file, there / file.name)), None)
    if differing is not None:
        raise PhantomSetError(
            f"{there} was made elsewhere, or changed since: this machine paints other grey values ({differing} "
            "differs); go on where the set was begun, with the code of that time, or name another --out"
        )


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


@contextmanager
def _made(recipe: SetRecipe, folder: Path, index: int) -> Iterator[tuple[Path, str]]:
    """A patient's files under a temporary name, and the name that is meant; what is not renamed is removed."""
    patient = generate_patient(index, seed=recipe.seed, config=recipe.config)
    form = StudyForm(
        kinds=recipe.kinds,
        enhanced=recipe.enhanced,
        distractors=recipe.distractors,
        habits=habits_of_site(patient.site) if recipe.site_habits else PLAIN,
    )
    study = WrittenStudy.of(patient, form)
    part = folder / f".{patient.patient_id}.{os.getpid()}{_PART}"
    try:
        part.mkdir()
        for file in study.files:
            write_file(file, part)
        write_truth(study, part, recipe.truth)
        yield part, patient.patient_id
    finally:
        shutil.rmtree(part, ignore_errors=True)


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
    names = recipe.patient_ids.values()
    truths = [_content(folder / name / TRUTH_FILE) for name in names]
    if TruthKind.COCO in recipe.truth:
        studies = [(name, _content(folder / name / COCO_FILE)) for name in names]
        write_whole(folder / COCO_FILE, json.dumps(joined(studies), separators=(",", ":")) + "\n")
    write_whole(folder / PATHOLOGY_FILE, pathology_table(truths))
    counts = Counter(truth["label"] or LESION_FREE for truth in truths)
    return {label: counts[label] for label in (*Verdict, LESION_FREE)}


def _content(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PhantomSetError(
            f"{file} cannot be read ({error}); remove the folder {file.parent.name}, and the same command makes "
            "it again"
        ) from error
    return content
