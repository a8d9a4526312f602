"""The map of the sequence classifier points where the classifier looks."""

import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from inference.errors import ExplanationError
from inference.findings import Box
from inference.wff.config import ClipNet, SequenceConfig, micro_config
from inference.wff.explanation.saliency import clip_saliency, require_captum, saliency_of
from inference.wff.networks.clips import Clip
from inference.wff.networks.sequence_classifier import SequenceClassifier

CONFIG = replace(micro_config().sequence, clip_slices=8)
CORNER = (slice(0, 4), slice(2, 11), slice(2, 11))  # of (8, 32, 32): half of the slices, top left
STEPS = 40


def clips_with_the_answer_in_a_corner(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Malignant: a bright square in the corner. Every clip has another one elsewhere that means nothing."""
    generator = torch.Generator().manual_seed(seed)
    clips = torch.randn(count, 8, 32, 32, generator=generator)
    labels = torch.arange(count) % 2
    for clip, label in zip(clips, labels, strict=True):
        clip[4:, 20:29, 20:29] += 2.0 * torch.rand(1, generator=generator)
        clip[CORNER] += 2.5 * label
    return clips, labels


@pytest.fixture(scope="module", params=list(ClipNet))
def trained(request: pytest.FixtureRequest) -> SequenceClassifier:
    """A classifier that has learned where the answer lies."""
    config: SequenceConfig = replace(CONFIG, variant=request.param)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = SequenceClassifier(config).train()
        optimiser = torch.optim.AdamW(net.parameters(), lr=5e-3)
        for step in range(STEPS):
            clips, labels = clips_with_the_answer_in_a_corner(16, seed=step)
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(clips), labels).backward()
            optimiser.step()
    return net.eval()


def test_the_map_points_to_the_corner_where_the_answer_lies(trained: SequenceClassifier) -> None:
    clips, labels = clips_with_the_answer_in_a_corner(4, seed=99)

    assert trained(clips).argmax(dim=1).tolist() == labels.tolist()
    strength = clip_saliency(clips[1], trained).maps

    inside = torch.zeros(8, 32, 32, dtype=torch.bool)
    inside[CORNER] = True
    assert strength[inside].mean() > 3 * strength[~inside].mean()
    slice_, row, column = np.unravel_index(int(strength.argmax()), strength.shape)
    assert slice_ < 5
    assert max(row, column) < 14


def as_bright_everywhere_as_the_answer() -> Tensor:
    """No place stands out in the picture, so that a map can only come from the model."""
    return torch.randn(8, 32, 32, generator=torch.Generator().manual_seed(5)) + 2.5


def drawn_anew(net: SequenceClassifier, seed: int) -> SequenceClassifier:
    stranger = deepcopy(net)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for parameter in stranger.parameters():
            if parameter.ndim > 1:
                nn.init.kaiming_normal_(parameter)
    return stranger


def test_the_map_changes_when_the_weights_are_drawn_anew(trained: SequenceClassifier) -> None:
    """The sanity check of Adebayo et al. 2018: a map that stays has not looked at the model."""
    clip = as_bright_everywhere_as_the_answer()
    learned = clip_saliency(clip, trained).maps.flatten()

    strangers = [clip_saliency(clip, drawn_anew(trained, seed)).maps.flatten() for seed in range(1, 9)]

    alike = [abs(spearmanr(learned, stranger).statistic) for stranger in strangers]
    assert sum(alike) / len(alike) < 0.5
    assert spearmanr(learned, clip_saliency(clip, deepcopy(trained)).maps.flatten()).statistic > 0.99


def sees(place: tuple[slice, slice, slice]) -> Callable[[Tensor], Tensor]:
    """A classifier whose log odds are the mean of one part of the clip."""

    def logits(clips: Tensor) -> Tensor:
        odds = clips[(slice(None), *place)].mean(dim=(1, 2, 3))
        return torch.stack((torch.zeros_like(odds), odds), dim=1)

    return logits


REGION = Box(x0=100, y0=40, x1=164, y1=60)


def test_a_map_lies_in_the_pixels_of_the_region_one_for_each_slice_from_nothing_to_one() -> None:
    clip = Clip(REGION, (3, 3, 4, 4, 5, 5, 6, 6), torch.ones(8, 32, 32))

    found = saliency_of(clip, sees((slice(0, 8), slice(0, 6), slice(26, 32))))

    assert found.slices == (3, 4, 5, 6)
    assert found.maps.shape == (4, 20, 64)
    assert found.maps.min() == 0.0
    assert found.maps.max() == 1.0
    assert (found.maps[:, :3, -8:] > 0.5).all()  # the top right corner of the region
    assert (found.maps[:, 12:] < 0.2).all()


SURE = 0.9526  # sigmoid of 3
PIXELS = tuple(range(8))


def answers(odds: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A classifier with these log odds of clips (B, N, rows, columns). Windows are 6 pixels wide, 3 apart."""
    return lambda clips: torch.stack((torch.zeros(len(clips)), odds(clips)), dim=1)


def test_how_far_covering_one_window_moves_the_probability_is_told_and_a_weak_map_is_called_so() -> None:
    clip = Clip(REGION, PIXELS, torch.ones(8, 32, 32))

    blind = saliency_of(clip, answers(lambda clips: 0.0 * clips[:, 0, 0, 0]))
    seeing = saliency_of(clip, answers(lambda clips: 3.0 * clips[:, 0, 0, 0]))

    assert (blind.strongest, blind.maps.max(), blind.is_weak) == (0.0, 0.0, True)
    assert (seeing.uncovered, seeing.covered) == pytest.approx((SURE, 0.5), abs=1e-3)
    assert seeing.strongest == pytest.approx(SURE - 0.5, abs=1e-3)
    assert not seeing.is_weak


def test_what_one_window_changes_is_not_made_smaller_by_the_windows_beside_it() -> None:
    """Only the window that covers both pixels changes the answer; four windows beside it cover one of them."""
    clip = Clip(REGION, PIXELS, torch.ones(8, 32, 32))

    found = saliency_of(clip, answers(lambda clips: 3.0 * torch.maximum(clips[:, 0, 3, 3], clips[:, 0, 8, 8])))

    assert found.strongest == pytest.approx(SURE - 0.5, abs=1e-3)


def test_windows_that_move_the_answer_in_opposite_directions_do_not_cancel_where_they_overlap() -> None:
    clip = Clip(REGION, PIXELS, torch.ones(8, 32, 32))

    maps = clip_saliency(clip.values, answers(lambda clips: 3.0 * (clips[:, 0, 0, 0] - clips[:, 0, 0, 8]))).maps

    assert maps[0, 0, 4] == pytest.approx(SURE - 0.5, abs=1e-3)  # covered by a window of each direction


def test_a_slice_that_stands_in_the_clip_several_times_is_covered_everywhere_at_once() -> None:
    clip = Clip(REGION, (4, 4, 4, 4, 4, 4, 9, 9), torch.ones(8, 32, 32))

    found = saliency_of(clip, answers(lambda clips: 3.0 * clips[:, :6, 0, 0].amax(dim=1)))

    assert found.slices == (4, 9)
    assert found.strongest == pytest.approx(SURE - 0.5, abs=1e-3)
    assert (found.maps[0].max(), found.maps[1].max()) == (1.0, 0.0)


def test_a_missing_library_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)

    with pytest.raises(ExplanationError, match=r'pip install "spinenode\[science\]"'):
        require_captum()
