"""The numbers of a training as it goes: JSON lines in the run folder and, where tensorboard is installed, its logs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from inference.durable_files import write_text
from inference.errors import TrainingError

METRICS: Final = "metrics.jsonl"
TENSORBOARD: Final = "tensorboard"


def tensorboard_is_installed() -> bool:
    return find_spec("tensorboard") is not None


@dataclass(frozen=True, slots=True)
class Journal:
    """Where the numbers of one stage go. Holds paths only: it travels to other processes."""

    folder: Path  # of the run
    stage: str  # e.g. "final/detector"

    def open(self, *, after: int) -> "JournalWriter":
        """Goes on after this step: what an earlier attempt wrote of later ones is dropped."""
        return JournalWriter(self, after)


class JournalWriter:
    """A context manager; `write` once per logged step."""

    def __init__(self, journal: Journal, after: int) -> None:
        self._stage = journal.stage
        file = journal.folder / METRICS
        _forget(file, journal.stage, after)
        self._lines = file.open("a", encoding="utf-8")
        self._board: Any = None
        if tensorboard_is_installed():
            from torch.utils.tensorboard import SummaryWriter  # seconds to import; optional

            log_dir = str(journal.folder / TENSORBOARD / journal.stage)
            self._board = SummaryWriter(log_dir=log_dir, purge_step=after + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """`step` counts from 1."""
        self._lines.write(json.dumps({"stage": self._stage, "step": step, **values}) + "\n")
        self._lines.flush()
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def __enter__(self) -> "JournalWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        if self._board is not None:
            self._board.close()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run folder; a line cut off by a crash is left out. Raises TrainingError when one is damaged."""
    file = folder / METRICS
    if not file.exists():
        return []
    lines = file.read_bytes().split(b"\n")[:-1]  # the last one has no end yet, or is empty
    return [_numbers(file, number, line) for number, line in enumerate(lines, 1) if line]


def _numbers(file: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        numbers: dict[str, Any] = json.loads(line)
        is_whole = isinstance(numbers["stage"], str) and isinstance(numbers["step"], int)
    except (ValueError, KeyError, TypeError):
        is_whole = False
    if not is_whole:
        raise TrainingError(
            f"{file} is damaged in line {number}; delete the line, or the file: only its curves are lost"
        )
    return numbers


def _forget(file: Path, stage: str, after: int) -> None:
    if not file.exists():
        return
    kept = [line for line in read_metrics(file.parent) if line["stage"] != stage or line["step"] <= after]
    text = "".join(json.dumps(line) + "\n" for line in kept)
    if text.encode() != file.read_bytes():
        write_text(file, text)
