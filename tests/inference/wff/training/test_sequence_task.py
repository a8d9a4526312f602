from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from inference.datasets import DataSetWriter, LabelledPatient, open_data_set
from inference.errors import TrainingError
from inference.findings import Box, SequenceKind, Verdict
from inference.wff.config import micro_config
from inference.wff.networks.sequence_classifier import SequenceClassifier
from inference.wff.training.sequence_task import (
    ClipSource,
    SequenceTask,
    labelled_sequences,
    training_slices,
)
from inference.wff.training.settings import SequenceTraining

CONFIG = micro_config().sequence


class Fixed(SequenceClassifier):
    """Says the same of every clip."""

    def forward(self, clips: Tensor) -> Tensor:
        return torch.tensor([[0.0, 2.0]]).expand(len(clips), 2)


def task_of(settings: SequenceTraining) -> SequenceTask:
    return SequenceTask(config=CONFIG, settings=settings, data=Path("none"), patients=())


def loss(settings: SequenceTraining, labels: list[int]) -> float:
    clip = torch.zeros(CONFIG.clip_slices, CONFIG.clip_size, CONFIG.clip_size)
    items = [(clip, label) for label in labels]
    return task_of(settings).losses(Fixed(CONFIG), items, torch.device("cpu"))["classification"].item()


def test_drawn_clips_are_balanced_and_of_the_size_of_the_net(data_set: Path) -> None:
    source = ClipSource(CONFIG, SequenceTraining(), open_data_set(data_set))
    rng = np.random.default_rng(0)

    drawn = [source.draw(rng) for _ in range(60)]

    assert {tuple(clip.shape) for clip, _ in drawn} == {(CONFIG.clip_slices, CONFIG.clip_size, CONFIG.clip_size)}
    assert 15 < sum(label for _, label in drawn) < 45


def test_clips_need_both_classes(data_set: Path) -> None:
    benign = [p for p in open_data_set(data_set) if p.verdict is Verdict.BENIGN]

    with pytest.raises(TrainingError, match="benign and malignant patients"):
        ClipSource(CONFIG, SequenceTraining(), benign)


def test_a_drawn_clip_carries_the_class_of_its_patient(tmp_path: Path) -> None:
    """The lesions of the malignant patient are bright above, those of the benign one bright on the left."""
    writer, patients = DataSetWriter(tmp_path), []
    box = Box(x0=30, y0=40, x1=54, y1=64)
    for verdict, bright in (
        (Verdict.MALIGNANT, np.s_[:, 20:52, 10:74]),
        (Verdict.BENIGN, np.s_[:, 20:84, 10:42]),
    ):
        images = np.full((6, 96, 96), 40, dtype=np.uint8)
        images[bright] = 200
        series = writer.add_series(verdict.value, 0, SequenceKind.T1, images, [[box]] * 6)
        patients.append(LabelledPatient(patient_id=verdict.value, age_years=50.0, verdict=verdict, series=(series,)))
    source = ClipSource(CONFIG, SequenceTraining(), patients)
    rng = np.random.default_rng(0)

    drawn = [source.draw(rng) for _ in range(20)]

    assert {label for _, label in drawn} == {0, 1}
    for clip, label in drawn:
        middle = clip.shape[-1] // 2
        above = clip[:, :middle].mean() - clip[:, middle:].mean()
        left = clip[..., :middle].mean() - clip[..., middle:].mean()
        assert (above > left) == (label == 1)


def test_half_of_the_clips_are_random_labelled_slices_and_half_a_run() -> None:
    labelled = [3, 4, 5, 6, 8, 9, 10, 11]
    runs = [labelled[n : n + 4] for n in range(5)]
    rng = np.random.default_rng(0)

    drawn = [training_slices(labelled, 4, rng) for _ in range(400)]

    assert all(slices == sorted(set(slices)) and set(slices) <= set(labelled) for slices in drawn)
    assert {tuple(run) for run in runs} <= {tuple(slices) for slices in drawn}
    # a random draw is one of the 5 runs among 70 choices in 1 of 14 cases
    assert 0.45 < sum(slices in runs for slices in drawn) / 400 < 0.62


@pytest.mark.parametrize(("share", "runs_only"), [(0.0, True), (1.0, False)])
def test_the_share_of_random_clips_can_be_set(share: float, runs_only: bool) -> None:
    labelled = list(range(12))
    rng = np.random.default_rng(0)

    drawn = [training_slices(labelled, 4, rng, random_share=share) for _ in range(40)]

    assert all(slices[-1] - slices[0] == 3 for slices in drawn) is runs_only


def test_equal_class_weights_give_the_plain_cross_entropy() -> None:
    plain = nn.functional.cross_entropy(torch.tensor([[0.0, 2.0]] * 3), torch.tensor([0, 1, 1])).item()

    for weights in ((0.5, 0.5), (3.0, 3.0)):
        assert loss(SequenceTraining(class_weights=weights, label_smoothing=0.0), [0, 1, 1]) == pytest.approx(plain)


def test_a_class_weight_counts_its_class_that_much_more() -> None:
    settings = SequenceTraining(class_weights=(0.2, 0.8), label_smoothing=0.0)
    equal = SequenceTraining(class_weights=(0.5, 0.5), label_smoothing=0.0)

    assert loss(settings, [0]) == pytest.approx(0.4 * loss(equal, [0]))
    assert loss(settings, [1]) == pytest.approx(1.6 * loss(equal, [1]))


class ByBrightness(SequenceClassifier):
    """Says malignant as loudly as the clip is bright."""

    def forward(self, clips: Tensor) -> Tensor:
        bright = clips.mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(bright), bright], dim=1)


def test_mixup_blends_clips_and_labels_alike() -> None:
    """Of a pair without difference in class, the loss is that of the blended clip: between the two, and convex."""
    shape = (CONFIG.clip_slices, CONFIG.clip_size, CONFIG.clip_size)
    items = [(torch.full(shape, -2.0), 1), (torch.full(shape, 2.0), 1)]
    plain, mixed = (SequenceTraining(mixup=m, label_smoothing=0.0) for m in (0.0, 1.0))
    alone = task_of(plain).losses(ByBrightness(CONFIG), items, torch.device("cpu"))["classification"].item()

    seen = []
    for seed in range(20):
        torch.manual_seed(seed)
        blended = task_of(mixed).losses(ByBrightness(CONFIG), items, torch.device("cpu"))["classification"].item()
        seen.append(blended)

    middle = nn.functional.softplus(torch.tensor(0.0)).item()
    assert all(middle - 1e-6 <= blended <= alone + 1e-6 for blended in seen)
    assert len({round(blended, 4) for blended in seen}) > 5
    assert min(seen) < alone - 0.1


def test_an_epoch_counts_the_labelled_sequences(data_set: Path) -> None:
    assert labelled_sequences(open_data_set(data_set)) == 4
