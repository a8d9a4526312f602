"""The folder of a training: everything needed to repeat it, and one owner at a time.

```
settings.toml           as run, every key
run.json                inputs by hash, each start with its command line and versions, the end
splits.json             who was trained on and who was held out
folds/candidate-1/fold-1/...   checkpoints, then weights, and the detections of the patients left out
final/...               the same of the final fit
cross_validation.json   what the candidates reached, tau and the weights
evaluation.json         on the held-out patients
metrics.jsonl, tensorboard/, log
bundle/                 what the node serves
```
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import torch

from inference.bundle import open_bundle
from inference.durable_files import PART, write_json, write_text
from inference.errors import BundleError, TrainingError
from inference.wff.versions import versions

SETTINGS: Final = "settings.toml"
RUN: Final = "run.json"
CROSS_VALIDATION: Final = "cross_validation.json"
EVALUATION: Final = "evaluation.json"
BUNDLE: Final = "bundle"
LOG: Final = "log"
_LOCK: Final = "lock"
_SCHEMA: Final = 1
_KEYS: Final = ("schema", "data_sha256", "weights_sha256", "splits_sha256", "starts", "finished")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What decides the result of a run."""

    settings: str  # TOML, every key
    data_sha256: str
    weights_sha256: str  # over the files to start from
    splits_sha256: str


class RunFolder:
    """Opened by `open_run_folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def is_finished(self) -> bool:
        """It came to its end, and its bundle is whole; one that is not is made again from the weights of the run."""
        return _read(self.folder)["finished"] is not None and _opens(self.folder / BUNDLE)

    @property
    def changes(self) -> list[str]:
        """Versions and threads that are not those of the start before; each can change the order of a sum."""
        starts = [{**one.get("versions", {}), "threads": one.get("threads")} for one in _read(self.folder)["starts"]]
        before, now = starts[-2:] if len(starts) > 1 else ({}, {})
        return [f"{name} {now[name]} instead of {before[name]}" for name in now if _differ(before.get(name), now[name])]

    def part(self, *names: str) -> Path:
        folder = self.folder.joinpath(*names)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def finish(self) -> None:
        write_json(self.folder / RUN, {**_read(self.folder), "finished": _now()})


@contextmanager
def open_run_folder(folder: Path, inputs: Inputs, command: Sequence[str]) -> Iterator[RunFolder]:
    """A new folder, or one of the same inputs to go on in. The lock goes with the process, however it ends.

    Raises TrainingError when the folder is another run's, another process works in it, or it holds other things.
    """
    _require_ours(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(f"another process trains in {folder}; wait for it, or choose another --out") from None
        _begin(folder, inputs, command)
        yield RunFolder(folder)


def _require_ours(folder: Path) -> None:
    if not folder.exists() or (folder / RUN).exists():
        return
    if {file.name.removesuffix(PART) for file in folder.iterdir()} - {_LOCK, SETTINGS, RUN}:
        raise TrainingError(f"{folder} holds other files and no {RUN}; choose an empty folder with --out")


def _begin(folder: Path, inputs: Inputs, command: Sequence[str]) -> None:
    start = {
        "at": _now(),
        "command": list(command),
        "versions": versions(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    stored = {key: value for key, value in asdict(inputs).items() if key != "settings"}
    if not (folder / RUN).exists():
        write_text(folder / SETTINGS, inputs.settings)
        write_json(folder / RUN, {"schema": _SCHEMA, **stored, "starts": [start], "finished": None})
        return
    run = _read(folder)
    if (folder / SETTINGS).read_bytes() != inputs.settings.encode():
        raise TrainingError(f"{folder} is a run with other settings (see its {SETTINGS}); choose another --out")
    if run["data_sha256"] != inputs.data_sha256:
        raise TrainingError(f"{folder} is a run with another data set (see its {RUN}); choose another --out")
    if any(run[key] != value for key, value in stored.items()):
        raise TrainingError(f"{folder} is a run with other splits or starting weights; choose another --out")
    if run["finished"] is None or not _opens(folder / BUNDLE):
        write_json(folder / RUN, {**run, "starts": [*run["starts"], start]})


def _differ(before: object, now: object) -> bool:
    return before is not None and before != now  # None: that start did not record it


def _read(folder: Path) -> dict[str, Any]:
    try:
        run: dict[str, Any] = json.loads((folder / RUN).read_text(encoding="utf-8"))
        missing = {*_KEYS} - run.keys()
    except (ValueError, AttributeError) as error:
        raise TrainingError(f"{folder / RUN} is damaged ({error}); choose another --out") from error
    if missing:
        raise TrainingError(f"{folder / RUN} is damaged (it lacks {min(missing)}); choose another --out")
    return run


def _opens(bundle: Path) -> bool:
    try:
        open_bundle(bundle)
    except BundleError:
        return False
    return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
