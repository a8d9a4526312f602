"""Trainings that run side by side give what each gives alone, and go on after a stop."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from inference.errors import TrainingError
from inference.runtime import Device
from inference.wff.phantom_verification.side_by_side import Training, train_side_by_side
from inference.wff.training.display import Silent
from inference.wff.training.engine import WEIGHTS, Plan
from inference.wff.training.presets import micro_settings
from inference.wff.training.sequence_task import SequenceTask
from inference.wff.training.settings import ComputeSettings

SETTINGS = micro_settings()


class DyingTask(SequenceTask):
    """As if the machine had run out of memory."""

    def build(self) -> nn.Module:
        os._exit(9)


class BrokenTask(SequenceTask):
    """Cannot be built: an error of the training itself."""

    def build(self) -> nn.Module:
        raise TrainingError("no such net")


def training(data_set: Path, folder: Path, *, seed: int, kind: type[SequenceTask] = SequenceTask) -> Training:
    task = kind(
        config=SETTINGS.config.sequence,
        settings=SETTINGS.sequence,
        data=data_set,
        patients=("P0", "P1", "P2", "P3"),
    )
    plan = Plan(
        steps=3,
        batch=2,
        optimiser=SETTINGS.sequence.optimiser,
        compute=ComputeSettings(device=Device.CPU, devices=1),
        seed=seed,
        checkpoint_every=2,
        log_every=1,
        device="cpu",
    )
    return Training(f"seed-{seed}", task, plan, folder / f"seed-{seed}")


def weights(folder: Path) -> dict[str, bytes]:
    return {file.parent.name: file.read_bytes() for file in folder.rglob(WEIGHTS)}


def test_two_at_a_time_give_the_weights_that_one_after_the_other_gives(data_set: Path, tmp_path: Path) -> None:
    for processes, name in ((1, "alone"), (2, "together")):
        jobs = [training(data_set, tmp_path / name, seed=seed) for seed in (1, 2, 3)]
        train_side_by_side(jobs, processes=processes, display=Silent())

    alone, together = weights(tmp_path / "alone"), weights(tmp_path / "together")
    assert len(alone) == 3
    assert len(set(alone.values())) == 3
    assert alone == together


def test_a_training_that_is_done_is_left_as_it_is(data_set: Path, tmp_path: Path) -> None:
    first, second = (training(data_set, tmp_path, seed=seed) for seed in (1, 2))
    train_side_by_side([first], processes=1, display=Silent())
    before = (first.folder / WEIGHTS).stat().st_mtime_ns
    shown = Silent()

    train_side_by_side([first, second], processes=1, display=shown)

    assert shown.said == ["seed-2"]
    assert (first.folder / WEIGHTS).stat().st_mtime_ns == before


@pytest.mark.parametrize("processes", [1, 2])
def test_the_error_of_one_training_ends_all_and_is_told(data_set: Path, tmp_path: Path, processes: int) -> None:
    endless = training(data_set, tmp_path, seed=1)
    endless = replace(endless, plan=replace(endless.plan, steps=10**6))
    broken = training(data_set, tmp_path, seed=2, kind=BrokenTask)

    with pytest.raises(TrainingError, match="no such net"):
        train_side_by_side([broken, endless], processes=processes, display=Silent())


def test_a_process_that_dies_is_told_with_what_to_do(data_set: Path, tmp_path: Path) -> None:
    dying = training(data_set, tmp_path, seed=1, kind=DyingTask)

    with pytest.raises(TrainingError, match=r"a training process died.*the same command goes on"):
        train_side_by_side([dying, training(data_set, tmp_path, seed=2)], processes=2, display=Silent())
