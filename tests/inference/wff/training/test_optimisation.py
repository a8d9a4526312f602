from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from inference.wff.training.optimisation import learning_rate_at, optimiser_of, peak_learning_rate
from inference.wff.training.settings import OptimiserKind, OptimiserSettings, Schedule

PAPER = OptimiserSettings(warmup_steps=20)


def rates(settings: OptimiserSettings, *, steps: int, peak: float = 1.0) -> list[float]:
    return [learning_rate_at(step, settings, steps=steps, peak=peak) for step in range(steps)]


def test_the_rate_of_the_detector_falls_tenfold_after_epochs_8_and_11_of_12() -> None:
    per_epoch = [epoch[-1] for epoch in zip(*[iter(rates(PAPER, steps=1200))] * 100, strict=True)]

    assert per_epoch == pytest.approx([1.0] * 8 + [0.1] * 3 + [0.01])


def test_the_warm_up_grows_linearly_from_its_start() -> None:
    warm = rates(PAPER, steps=1200)[:21]

    assert warm[0] == pytest.approx(0.001 + 0.999 / 20)
    steps = [after - before for before, after in pairwise(warm)]
    assert steps[:19] == pytest.approx([0.999 / 20] * 19)
    assert warm[19] == warm[20] == 1.0


def test_a_short_training_warms_up_for_a_third_of_it() -> None:
    found = rates(replace(PAPER, schedule=Schedule.COSINE, warmup_steps=500), steps=30)

    assert found.index(max(found)) == 9


def test_a_cosine_falls_to_nothing() -> None:
    found = rates(OptimiserSettings(schedule=Schedule.COSINE, warmup_steps=10, warmup_start=0.0), steps=100)

    assert found[0] == pytest.approx(0.1)
    assert max(found) == found[9] == found[10] == 1.0
    assert found[10:] == sorted(found[10:], reverse=True)
    assert found[-1] < 0.001


@pytest.mark.parametrize(("batch", "peak"), [(16, 0.02), (4, 0.005), (64, 0.08)])
def test_the_rate_grows_with_the_batch(batch: int, peak: float) -> None:
    assert peak_learning_rate(OptimiserSettings(), batch=batch) == pytest.approx(peak)
    assert peak_learning_rate(OptimiserSettings(reference_batch=0), batch=batch) == 0.02


def test_what_is_frozen_is_not_given_to_the_optimiser() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    net[0].requires_grad_(False)

    optimiser = optimiser_of(net, OptimiserSettings(), peak=0.1)

    assert isinstance(optimiser, torch.optim.SGD)
    assert optimiser.param_groups[0]["params"] == list(net[1].parameters())
    assert (optimiser.defaults["momentum"], optimiser.defaults["weight_decay"]) == (0.9, 1e-4)


def test_adamw_is_at_hand_for_small_nets() -> None:
    settings = OptimiserSettings(kind=OptimiserKind.ADAMW, weight_decay=0.5)

    optimiser = optimiser_of(nn.Linear(1, 1), settings, peak=0.1)

    assert isinstance(optimiser, torch.optim.AdamW)
    assert optimiser.defaults["weight_decay"] == 0.5
