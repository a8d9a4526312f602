"""A training that is killed at a given moment: `python -m tests.inference.wff.training.killed_run MOMENT DATA RUN`.

The process kills itself with SIGKILL: nothing is flushed, no handler runs, and the moment is the same each time.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from inference.wff.training import checkpoint, fit, trained_bundle
from inference.wff.training.journal import JournalWriter
from inference.wff.training.presets import micro_settings
from inference.wff.training.settings import TrainingSettings
from tests.inference.wff.training.conftest import train_in

SETTINGS: TrainingSettings = micro_settings()  # a checkpoint every 2 of 4 steps


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_step(stage: str, step: int) -> Callable[..., None]:
    """When the numbers of this step are to be written: the step is done, and in no checkpoint yet."""
    real = JournalWriter.write

    def write(self: JournalWriter, at: int, values: Any) -> None:
        if (self._stage, at) == (stage, step):
            die()
        real(self, at, values)

    return write


def within_checkpoint(stage: str) -> Callable[..., None]:
    """When half of a checkpoint of this stage is on disk."""
    real = checkpoint.write_durably

    def write(file: Path, content: Any) -> None:
        if file.parent.match(stage):
            with file.with_name(f"{file.name}.part").open("wb") as out:
                content(out)
                out.truncate(out.tell() // 2)
                out.flush()
                die()
        real(file, content)

    return write


MOMENTS: dict[str, Any] = {
    "detector": lambda: mock.patch.object(JournalWriter, "write", in_step("folds/candidate-1/fold-1/detector", 3)),
    "checkpoint": lambda: mock.patch.object(
        checkpoint, "write_durably", within_checkpoint("folds/candidate-1/fold-2/detector")
    ),
    "between": lambda: mock.patch.object(fit, "SequenceTask", die),
    "searching": lambda: mock.patch.object(fit, "save_detections", die),
    "bundle": lambda: mock.patch.object(trained_bundle, "write_bundle", die),
    "renaming": lambda: mock.patch.object(Path, "rename", die),
    "sequence": lambda: mock.patch.object(JournalWriter, "write", in_step("final/sequence", 3)),
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    moment, data, run = sys.argv[1:]
    with MOMENTS[moment]():
        train_in(Path(run), Path(data), SETTINGS)
