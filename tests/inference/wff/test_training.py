from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from inference.datasets import DataSetWriter, LabelledPatient, open_data_set
from inference.findings import Box, SequenceKind, Verdict
from inference.wff.augmentation import AugmentationConfig
from inference.wff.config import micro_config
from inference.wff.detector import MALIGNANT
from inference.wff.training import Losses, TrainingFailed, TrainingPlan, learning_rate_at, train
from inference.wff.training_detector import DetectorTask, SliceSource
from inference.wff.training_sequence import ClipSource, SequenceTask, training_slices

PLAN = TrainingPlan(steps=4, learning_rate=1e-2, warmup_steps=1, checkpoint_every=2, seed=5)


@dataclass(frozen=True)
class LineTask:
    """Fits y = 2x; small enough to train in a moment. From step `breaks_at` on the loss is not a number."""

    breaks_at: float = 1e9

    def build(self) -> nn.Module:
        return nn.Linear(1, 1)

    def open(self) -> Losses:
        calls = 0

        def losses(model: nn.Module, rng: np.random.Generator) -> dict[str, Tensor]:
            nonlocal calls
            calls += 1
            x = torch.from_numpy(rng.normal(size=(8, 1)).astype(np.float32))
            loss = (model(x) - 2 * x).square().mean()
            return {"fit": loss * (float("nan") if calls > self.breaks_at else 1.0)}

        return losses


@dataclass(frozen=True)
class StoppedTask(LineTask):
    """Ends like a killed process after `stop_after` batches; leaves the same settings as LineTask."""

    stop_after: int = 3

    def __repr__(self) -> str:
        return repr(LineTask())

    def open(self) -> Losses:
        inner, calls = super().open(), 0

        def losses(model: nn.Module, rng: np.random.Generator) -> dict[str, Tensor]:
            nonlocal calls
            calls += 1
            if calls > self.stop_after:
                raise KeyboardInterrupt
            return inner(model, rng)

        return losses


def weights(net: nn.Module) -> list[float]:
    return [value for p in net.parameters() for value in p.flatten().tolist()]


def test_training_repeats_exactly_with_its_seed(tmp_path: Path) -> None:
    first = train(LineTask(), PLAN, tmp_path / "a")
    second = train(LineTask(), PLAN, tmp_path / "b")

    assert weights(first) == weights(second)
    assert weights(first) != weights(train(LineTask(), replace(PLAN, seed=6), tmp_path / "c"))


def test_a_run_that_was_stopped_goes_on_exactly_where_its_checkpoint_stood(tmp_path: Path) -> None:
    whole = train(LineTask(), PLAN, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(StoppedTask(), PLAN, tmp_path / "parts")

    continued = train(LineTask(), PLAN, tmp_path / "parts")

    assert weights(continued) == weights(whole)


def test_a_checkpoint_of_other_settings_is_not_gone_on_from(tmp_path: Path) -> None:
    train(LineTask(), PLAN, tmp_path / "run")

    again = train(LineTask(), replace(PLAN, learning_rate=1e-3), tmp_path / "run")

    assert weights(again) == weights(train(LineTask(), replace(PLAN, learning_rate=1e-3), tmp_path / "fresh"))


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match="step 2: loss is nan"):
        train(LineTask(breaks_at=2), PLAN, tmp_path)


def test_replicas_average_their_gradients_and_end_with_one_model(tmp_path: Path) -> None:
    net = train(LineTask(), replace(PLAN, steps=150, learning_rate=0.1, replicas=2, average_decay=0.9), tmp_path)

    slope, offset = weights(net)
    assert slope == pytest.approx(2.0, abs=0.1)
    assert offset == pytest.approx(0.0, abs=0.1)


def test_the_learning_rate_warms_up_and_falls_to_nothing() -> None:
    plan = TrainingPlan(steps=100, learning_rate=1.0, warmup_steps=10)

    rates = [learning_rate_at(step, plan) for step in range(100)]

    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.001


def test_drawn_slices_carry_the_class_of_their_patient(data_set: Path) -> None:
    task = DetectorTask(config=micro_config().detector, data=data_set, lesion_share=1.0)
    source = SliceSource(task, open_data_set(data_set))
    rng = np.random.default_rng(0)

    drawn = [source.draw(rng)[1] for _ in range(40)]

    sides: dict[int, list[float]] = {1: [], 2: []}
    for target in drawn:
        first = target.boxes[0]
        sides[int(target.labels[0])].append(float(first[2] - first[0]))
    assert all(sides.values())
    assert max(sides[1]) < min(sides[MALIGNANT])


def test_a_share_of_the_drawn_slices_shows_no_lesion(data_set: Path) -> None:
    task = DetectorTask(config=micro_config().detector, data=data_set, lesion_share=0.5)
    source = SliceSource(task, open_data_set(data_set))
    rng = np.random.default_rng(0)

    empty = sum(len(source.draw(rng)[1].boxes) == 0 for _ in range(100))

    assert 30 < empty < 70


def test_training_needs_patients_of_both_classes(data_set: Path) -> None:
    benign = [p for p in open_data_set(data_set) if p.verdict is Verdict.BENIGN]

    with pytest.raises(ValueError, match="benign and malignant"):
        SliceSource(DetectorTask(config=micro_config().detector, data=data_set), benign)
    with pytest.raises(ValueError, match="benign and malignant"):
        ClipSource(SequenceTask(config=micro_config().sequence, data=data_set), benign)


def test_drawn_clips_are_balanced_and_of_the_size_of_the_net(data_set: Path) -> None:
    config = micro_config().sequence
    source = ClipSource(SequenceTask(config=config, data=data_set), open_data_set(data_set))
    rng = np.random.default_rng(0)

    drawn = [source.draw(rng) for _ in range(60)]

    assert {tuple(clip.shape) for clip, _ in drawn} == {(config.clip_slices, config.clip_size, config.clip_size)}
    assert 15 < sum(label for _, label in drawn) < 45


def test_a_drawn_clip_carries_the_class_of_its_patient(tmp_path: Path) -> None:
    """The lesions of the malignant patient are bright above, those of the benign one bright on the left."""
    writer, patients = DataSetWriter(tmp_path / "data"), []
    box = Box(x0=30, y0=40, x1=54, y1=64)
    for verdict, bright in (
        (Verdict.MALIGNANT, np.s_[:, 20:52, 10:74]),
        (Verdict.BENIGN, np.s_[:, 20:84, 10:42]),
    ):
        images = np.full((6, 96, 96), 40, dtype=np.uint8)
        images[bright] = 200
        series = writer.add_series(verdict.value, 0, SequenceKind.T1, images, [[box]] * 6)
        patients.append(LabelledPatient(patient_id=verdict.value, age_years=50.0, verdict=verdict, series=(series,)))
    writer.close(patients)
    task = SequenceTask(config=micro_config().sequence, data=tmp_path / "data")
    source = ClipSource(task, open_data_set(task.data))
    rng = np.random.default_rng(0)

    drawn = [source.draw(rng) for _ in range(20)]

    assert {label for _, label in drawn} == {0, 1}
    for clip, label in drawn:
        middle = clip.shape[-1] // 2
        above, left = (
            clip[:, :middle].mean() - clip[:, middle:].mean(),
            clip[..., :middle].mean() - clip[..., middle:].mean(),
        )
        assert (above > left) == (label == 1)


def test_boxes_of_an_image_that_is_not_square_are_scaled_along_their_own_axes(tmp_path: Path) -> None:
    """96 columns become 128, 10 rows become 13: 4/3 along x and 1.3 along y."""
    writer, patients = DataSetWriter(tmp_path / "data"), []
    for verdict in Verdict:
        images = np.full((1, 10, 96), 90, dtype=np.uint8)
        series = writer.add_series(verdict.value, 0, SequenceKind.T1, images, [[Box(x0=30, y0=2, x1=90, y1=10)]])
        patients.append(LabelledPatient(patient_id=verdict.value, age_years=50.0, verdict=verdict, series=(series,)))
    writer.close(patients)
    still = AugmentationConfig(paste_probability=0.0, scale=(1.0, 1.0), shift=0.0)
    task = DetectorTask(config=micro_config().detector, data=tmp_path / "data", lesion_share=1.0, augmentation=still)

    _, target = SliceSource(task, open_data_set(task.data)).draw(np.random.default_rng(0))

    assert target.boxes[0].tolist() == pytest.approx([40.0, 2.6, 120.0, 13.0], abs=0.05)


def test_training_slices_are_labelled_ones_in_order() -> None:
    labelled = [3, 4, 5, 6, 8, 9]
    rng = np.random.default_rng(0)

    drawn = [training_slices(labelled, 4, rng) for _ in range(50)]

    assert all(slices == sorted(set(slices)) and set(slices) <= set(labelled) for slices in drawn)
    runs = [labelled[n : n + 4] for n in range(3)]
    assert any(slices in runs for slices in drawn)
    assert any(slices not in runs for slices in drawn)


def test_both_nets_train_a_few_steps_on_a_data_set(data_set: Path, tmp_path: Path) -> None:
    plan = replace(PLAN, steps=2)

    detector = train(DetectorTask(config=micro_config().detector, data=data_set, batch=2), plan, tmp_path / "d")
    classifier = train(SequenceTask(config=micro_config().sequence, data=data_set, batch=2), plan, tmp_path / "s")

    assert not detector.training
    assert all(np.isfinite(weights(detector)))
    assert all(np.isfinite(weights(classifier)))
