"""What a set is made of, and the folder that holds it: one recipe per folder, one run at a time."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from inference.errors import InferenceError
from inference.findings import SequenceKind
from inference.phantom.dicom.identifiers import NOTICE
from inference.phantom.identity import pseudonym, set_mark, versions
from inference.phantom.patient import PhantomConfig
from inference.phantom.truth.write import TruthKind

RECIPE_FILE: Final = "recipe.json"
_LOCK_FILE: Final = ".lock"
_PATIENTS: Final = 10**6  # their PatientIDs have six digits


class PhantomSetError(InferenceError):
    """The set cannot be made in this folder; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRecipe:
    """Patients `first` .. `first + count - 1` of the phantom with this seed, and how they are written."""

    first: int
    count: int
    seed: int
    config: PhantomConfig
    kinds: tuple[SequenceKind, ...] = tuple(SequenceKind)
    truth: tuple[TruthKind, ...] = (TruthKind.LABELME, TruthKind.COCO)
    enhanced: bool = False
    distractors: bool = False
    site_habits: bool = True  # DICOM as each site writes it; else plainly filled in

    def __post_init__(self) -> None:
        if self.first < 0 or self.count < 1 or self.seed < 0:
            raise ValueError(f"first {self.first}, count {self.count}, seed {self.seed}: need 0, 1 and 0 at least")
        if self.first + self.count > _PATIENTS:
            raise ValueError(f"patients {self.first} to {self.first + self.count - 1}: there are {_PATIENTS} of a seed")
        if not self.kinds:
            raise ValueError("no kind of series is wanted, so there is nothing to write")

    @property
    def indices(self) -> range:
        return range(self.first, self.first + self.count)

    @property
    def patient_ids(self) -> dict[int, str]:
        """PatientID by number; the patient's folder has the same name."""
        mark = set_mark(self.seed, self.config)
        return {index: pseudonym(index, mark) for index in self.indices}

    def as_data(self) -> dict[str, Any]:
        """With the versions that paint: others may paint other bytes."""
        data: dict[str, Any] = json.loads(json.dumps({"notice": NOTICE, **asdict(self), "versions": versions()}))
        return data


@contextmanager
def claimed(folder: Path, recipe: SetRecipe) -> Iterator[None]:
    """The folder is this run's alone, and holds nothing of another set.

    Raises
    ------
    PhantomSetError
        the folder holds another set or foreign files, or another run is making it.
    OSError
        the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _require_own(folder, recipe)
    with (folder / _LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PhantomSetError(f"another run is making {folder}; wait for it, or name another --out") from error
        _require_own(folder, recipe)
        yield


def write_recipe(folder: Path, recipe: SetRecipe) -> None:
    """From now on the folder is for this recipe alone."""
    write_whole(folder / RECIPE_FILE, json.dumps(recipe.as_data(), indent=1) + "\n")


def _require_own(folder: Path, recipe: SetRecipe) -> None:
    path = folder / RECIPE_FILE
    if path.is_file():
        _require_same(folder, _read(path), recipe.as_data())
    elif strangers := sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith(".")):
        raise PhantomSetError(f"{folder} holds other files ({', '.join(strangers[:3])}); name a new or empty --out")


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PhantomSetError(f"{path} is no recipe; name a new or empty --out") from error
    return content if isinstance(content, dict) else {}


def _require_same(folder: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    one, other = _flat(there), _flat(wanted)
    differing = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
    if differing:
        told = ", ".join(f"{key} {one.get(key)} there, {other.get(key)} wanted" for key in differing[:3])
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise PhantomSetError(f"{folder} holds a set of another recipe ({told}{more}); name another --out")


def _flat(data: Mapping[str, Any]) -> dict[str, Any]:
    """Nested keys joined by a point."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": deeper for inner, deeper in _flat(value).items()}
        else:
            flat[key] = value
    return flat


def write_whole(path: Path, text: str) -> None:
    """A killed run leaves the file as it was, or whole."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
