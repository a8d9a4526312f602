from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn

from inference.datasets import open_data_set
from inference.errors import TrainingError
from inference.wff.config import micro_config
from inference.wff.training import engine
from inference.wff.training.detector_task import DetectorTask
from inference.wff.training.divergence import TrainingFailed
from inference.wff.training.engine import CHECKPOINT, WEIGHTS, Plan, WithLosses
from inference.wff.training.journal import Journal, read_metrics
from inference.wff.training.processes import train
from inference.wff.training.sequence_task import SequenceTask
from inference.wff.training.settings import ComputeSettings, DetectorTraining, Precision, SequenceTraining
from tests.inference.wff.training.line_task import PLAN, LineTask

FP16 = replace(PLAN, steps=200, compute=ComputeSettings(precision=Precision.FP16))


def weights(net: nn.Module) -> list[float]:
    return [value for p in net.parameters() for value in p.flatten().tolist()]


def detector_task(data: Path) -> DetectorTask:
    names = tuple(p.patient_id for p in open_data_set(data))
    return DetectorTask(config=micro_config().detector, settings=DetectorTraining(), data=data, patients=names)


def sequence_task(data: Path) -> SequenceTask:
    names = tuple(p.patient_id for p in open_data_set(data))
    return SequenceTask(config=micro_config().sequence, settings=SequenceTraining(), data=data, patients=names)


def test_training_repeats_exactly_with_its_seed(tmp_path: Path) -> None:
    first = train(LineTask(), PLAN, tmp_path / "a")
    second = train(LineTask(), PLAN, tmp_path / "b")

    assert weights(first) == weights(second)
    assert weights(first) != weights(train(LineTask(), replace(PLAN, seed=6), tmp_path / "c"))


def test_a_run_that_was_stopped_goes_on_exactly_where_its_checkpoint_stood(tmp_path: Path) -> None:
    whole = train(LineTask(), PLAN, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(LineTask(stops_at=3), PLAN, tmp_path / "parts")
    seen: list[int] = []

    continued = train(LineTask(), PLAN, tmp_path / "parts", progress=lambda step, _: seen.append(step))

    assert seen == [3, 4, 5, 6]
    assert weights(continued) == weights(whole)


def test_a_checkpoint_is_written_after_the_numbers_of_its_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the two, the next run would go on behind a line that nobody writes again."""
    known: list[tuple[int, list[int]]] = []
    save = engine.save_checkpoint

    def spy(file: Path, state: dict[str, Any]) -> None:
        known.append((state["step"], [line["step"] for line in read_metrics(tmp_path)]))
        save(file, state)

    monkeypatch.setattr(engine, "save_checkpoint", spy)
    train(LineTask(), replace(PLAN, log_every=1), tmp_path / "net", journal=Journal(tmp_path, "net"))

    assert known
    assert all(lines == list(range(1, step + 1)) for step, lines in known)


def test_a_training_that_came_to_its_end_is_not_done_again(tmp_path: Path) -> None:
    first = train(LineTask(), PLAN, tmp_path)

    again = train(LineTask(stops_at=0), PLAN, tmp_path)

    assert weights(again) == weights(first)
    assert [file.name for file in tmp_path.iterdir()] == [WEIGHTS]


@pytest.mark.parametrize("cut", [slice(0, 40), slice(0, -7), slice(0, 0)])
def test_a_damaged_checkpoint_is_told_and_nothing_is_trained_over_it(tmp_path: Path, cut: slice) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(LineTask(stops_at=3), PLAN, tmp_path)
    file = tmp_path / CHECKPOINT
    file.write_bytes(file.read_bytes()[cut])

    with pytest.raises(TrainingError, match=r"checkpoint\.pt is damaged.*delete it"):
        train(LineTask(), PLAN, tmp_path)


def test_a_checkpoint_with_one_bit_changed_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(LineTask(stops_at=3), PLAN, tmp_path)
    content = bytearray((tmp_path / CHECKPOINT).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / CHECKPOINT).write_bytes(content)

    with pytest.raises(TrainingError, match="damaged"):
        train(LineTask(), PLAN, tmp_path)


def test_a_loss_that_is_not_finite_stops_the_training_by_step_and_parts(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"step 3: loss is nan, parts \{'fit': nan\}"):
        train(LineTask(breaks_at=2), PLAN, tmp_path)

    assert not (tmp_path / WEIGHTS).exists()


def test_a_gradient_that_is_not_finite_stops_the_training(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match="step 1: length of the gradient is nan"):
        train(LineTask(breaks_gradients=1), PLAN, tmp_path)


def test_steps_that_overflow_in_fp16_are_left_out_and_the_training_goes_on(tmp_path: Path) -> None:
    plan = replace(FP16, steps=150, optimiser=replace(PLAN.optimiser, learning_rate=0.1, average_decay=0.9))

    slope, _ = weights(train(LineTask(breaks_gradients=10), plan, tmp_path))

    assert slope == pytest.approx(2.0, abs=0.1)


def test_gradients_that_overflow_in_fp16_at_every_scale_stop_the_training(tmp_path: Path) -> None:
    """Else it would count its steps to the end, and keep the weights it began with."""
    with pytest.raises(TrainingFailed, match=r"step 30: .* overflow in fp16 .* precision = \"bf16\""):
        train(LineTask(breaks_gradients=1000), FP16, tmp_path)

    assert not (tmp_path / WEIGHTS).exists()


def test_an_overflow_at_every_scale_stops_a_run_that_was_continued_too(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(LineTask(breaks_gradients=1000, stops_at=20), FP16, tmp_path)

    with pytest.raises(TrainingFailed, match="step 30: "):
        train(LineTask(breaks_gradients=1000), FP16, tmp_path)


def test_training_begins_at_the_weights_it_was_given(tmp_path: Path) -> None:
    still = replace(PLAN, steps=1, optimiser=replace(PLAN.optimiser, learning_rate=0.0))

    net = train(LineTask(first_weight=1.5), still, tmp_path)

    assert weights(net)[0] == 1.5


def test_the_kept_weights_are_a_running_average(tmp_path: Path) -> None:
    moving = replace(PLAN, steps=40, optimiser=replace(PLAN.optimiser, learning_rate=0.1, average_decay=0.9))
    at_once = replace(moving, optimiser=replace(moving.optimiser, average_decay=0.0))

    slow, fast = train(LineTask(), moving, tmp_path / "slow"), train(LineTask(), at_once, tmp_path / "fast")

    assert 0.0 < weights(slow)[0] < weights(fast)[0] < 2.5


def test_a_net_learns(tmp_path: Path) -> None:
    plan = replace(PLAN, steps=150, optimiser=replace(PLAN.optimiser, learning_rate=0.1, average_decay=0.9))

    slope, offset = weights(train(LineTask(), plan, tmp_path))

    assert slope == pytest.approx(2.0, abs=0.05)
    assert offset == pytest.approx(0.0, abs=0.05)


def test_threads_that_draw_ahead_change_nothing(tmp_path: Path) -> None:
    ahead = replace(PLAN, compute=ComputeSettings(loader_threads=2))

    assert weights(train(LineTask(), ahead, tmp_path / "a")) == weights(train(LineTask(), PLAN, tmp_path / "b"))


def test_two_processes_with_half_the_batch_learn_what_one_learns(cohort: Path, tmp_path: Path) -> None:
    """For a loss that is a mean over the items of a batch; see the engine."""
    plan = replace(PLAN, steps=3, optimiser=replace(PLAN.optimiser, average_decay=0.5))
    shared = replace(plan, compute=ComputeSettings(devices=2))

    one = train(sequence_task(cohort), plan, tmp_path / "one")
    two = train(sequence_task(cohort), shared, tmp_path / "two")

    torch.manual_seed(plan.seed)
    moved = torch.tensor(weights(one)) - torch.tensor(weights(sequence_task(cohort).build()))
    assert moved.abs().max() > 1e-3
    torch.testing.assert_close(torch.tensor(weights(two)), torch.tensor(weights(one)), rtol=0, atol=1e-5)


def test_two_processes_train_the_detector_to_one_finite_net(cohort: Path, tmp_path: Path) -> None:
    plan = replace(PLAN, steps=2, compute=ComputeSettings(devices=2))

    net = train(detector_task(cohort), plan, tmp_path, journal=Journal(tmp_path, "detector"))

    assert torch.tensor(weights(net)).isfinite().all()
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2]


def test_a_fault_in_one_of_several_processes_is_told_in_its_own_words(tmp_path: Path) -> None:
    plan = replace(PLAN, compute=ComputeSettings(devices=2))

    with pytest.raises(TrainingFailed, match="step 2: loss is nan"):
        train(LineTask(breaks_at=1), plan, tmp_path)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("memory", r"^process 2 of 2 stopped: CUDA out of memory\. Tried to allocate 2\.00 GiB\.; [^\n]*$"),
        ("kill", r"^process 2 of 2 was ended by SIGKILL; [^\n]*$"),
        ("exit", r"^process 2 of 2 ended with status 3; [^\n]*$"),
    ],
)
def test_a_process_that_ends_before_its_time_is_told_in_one_sentence(
    fault: Literal["memory", "kill", "exit"], told: str, tmp_path: Path
) -> None:
    """Not as that of the others, who only notice that it is gone."""
    plan = replace(PLAN, compute=ComputeSettings(devices=2))

    with pytest.raises(TrainingError, match=told):
        train(LineTask(fails_at=3, fault=fault), plan, tmp_path)

    assert (tmp_path / CHECKPOINT).exists()


def test_a_disk_that_one_of_several_processes_cannot_write_is_told_as_by_one(tmp_path: Path) -> None:
    unwritable = tmp_path / f"{CHECKPOINT}.part"  # as a full disk
    unwritable.mkdir()

    with pytest.raises(OSError, match=str(unwritable)) as told:
        train(LineTask(), replace(PLAN, compute=ComputeSettings(devices=2)), tmp_path)

    assert told.value.filename == str(unwritable)


def test_a_batch_that_cannot_be_shared_evenly_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="batch of 4 cannot be shared by 3 devices"):
        train(LineTask(), replace(PLAN, compute=ComputeSettings(devices=3)), tmp_path)


def test_both_nets_train_a_few_steps(cohort: Path, tmp_path: Path) -> None:
    plan = replace(PLAN, steps=2)

    for name, task in (("d", detector_task(cohort)), ("s", sequence_task(cohort))):
        net = train(task, plan, tmp_path / name)

        assert not net.training
        assert torch.tensor(weights(net)).isfinite().all()


@pytest.mark.parametrize("make", [detector_task, sequence_task])
def test_half_precision_gives_nearly_the_same_losses(make: type, cohort: Path) -> None:
    task, cpu = make(cohort), torch.device("cpu")
    draw = task.open()
    items = [draw(rng) for rng in map(np.random.default_rng, range(4))]
    net = task.build()
    task.train_mode(net)

    losses = {}
    for precision in (Precision.FP32, Precision.BF16):
        torch.manual_seed(0)  # of the proposals that count
        losses[precision] = WithLosses(task, net, cpu, precision)(items)

    full, half = losses[Precision.FP32], losses[Precision.BF16]
    assert any(not torch.equal(full[name], half[name]) for name in full)
    for name in full:
        torch.testing.assert_close(half[name], full[name], rtol=0.05, atol=0.02)


def test_a_training_in_half_precision_keeps_its_weights_in_single(cohort: Path, tmp_path: Path) -> None:
    plan = replace(PLAN, steps=2, compute=ComputeSettings(precision=Precision.BF16))

    net = train(detector_task(cohort), plan, tmp_path)

    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert torch.tensor(weights(net)).isfinite().all()


def test_channels_last_is_another_order_of_the_same_numbers(cohort: Path, tmp_path: Path) -> None:
    plan = replace(PLAN, steps=2)
    turned = replace(plan, compute=ComputeSettings(channels_last=True))

    nets = [train(detector_task(cohort), p, tmp_path / n) for n, p in (("a", plan), ("b", turned))]

    one, other = (torch.tensor(weights(net)) for net in nets)
    torch.testing.assert_close(one, other, rtol=0, atol=1e-3)


def test_the_numbers_of_each_logged_step_are_written(tmp_path: Path) -> None:
    plan: Plan = replace(PLAN, steps=5, log_every=2)

    train(LineTask(), plan, tmp_path / "net", journal=Journal(tmp_path, "folds/1/detector"))

    lines = read_metrics(tmp_path)
    assert [line["step"] for line in lines] == [2, 4, 5]
    assert {line["stage"] for line in lines} == {"folds/1/detector"}
    assert all(line["fit"] == line["loss"] > 0 for line in lines)
    assert lines[-1]["learning_rate"] < lines[0]["learning_rate"]


def test_going_on_leaves_each_step_once_in_the_numbers(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "net")
    with pytest.raises(KeyboardInterrupt):
        train(LineTask(stops_at=3), PLAN, tmp_path / "net", journal=journal)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "net", "st')  # what a crash may leave

    train(LineTask(), PLAN, tmp_path / "net", journal=journal)

    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_tensorboard_reads_what_training_writes(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    train(LineTask(), PLAN, tmp_path / "net", journal=Journal(tmp_path, "net"))

    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard" / "net")).Reload()
    assert [one.step for one in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]
    assert [one.value for one in events.Scalars("loss")] == pytest.approx(
        [line["loss"] for line in read_metrics(tmp_path)]
    )
