"""The map of the sequence classifier points where the classifier looks."""

import sys
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from inference.errors import ExplanationError
from inference.findings import Box
from inference.wff.clips import Clip
from inference.wff.config import ClipNet, SequenceConfig, micro_config
from inference.wff.saliency import clip_saliency, require_captum, saliency_of
from inference.wff.sequence_classifier import SequenceClassifier

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
    strength = clip_saliency(clips[1], trained)

    inside = torch.zeros(8, 32, 32, dtype=torch.bool)
    inside[CORNER] = True
    assert strength[inside].mean() > 3 * strength[~inside].mean()
    slice_, row, column = np.unravel_index(int(strength.argmax()), strength.shape)
    assert slice_ < 5
    assert max(row, column) < 14


def with_the_same_square_in_every_corner() -> Tensor:
    """As bright everywhere as in the one corner that counts: what is bright alone draws no map there."""
    clip = torch.randn(8, 32, 32, generator=torch.Generator().manual_seed(5))
    for slices in (slice(0, 4), slice(4, 8)):
        for rows in (slice(2, 11), slice(20, 29)):
            for columns in (slice(2, 11), slice(20, 29)):
                clip[slices, rows, columns] += 2.5
    return clip


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
    clip = with_the_same_square_in_every_corner()
    learned = clip_saliency(clip, trained).flatten()

    strangers = [clip_saliency(clip, drawn_anew(trained, seed)).flatten() for seed in range(1, 5)]

    alike = [abs(spearmanr(learned, stranger).statistic) for stranger in strangers]
    assert sum(alike) / len(alike) < 0.5
    assert spearmanr(learned, clip_saliency(clip, deepcopy(trained)).flatten()).statistic > 0.99


def sees(place: tuple[slice, slice, slice]) -> object:
    """A classifier whose log odds are the mean of one part of the clip."""

    def logits(clips: Tensor) -> Tensor:
        odds = clips[(slice(None), *place)].mean(dim=(1, 2, 3))
        return torch.stack((torch.zeros_like(odds), odds), dim=1)

    return logits


REGION = Box(x0=100, y0=40, x1=164, y1=60)


def test_a_map_lies_in_the_pixels_of_the_region_one_for_each_slice_from_nothing_to_one() -> None:
    clip = Clip(REGION, (3, 3, 4, 4, 5, 6, 7, 8), torch.ones(8, 32, 32))

    found = saliency_of(clip, sees((slice(0, 8), slice(0, 6), slice(26, 32))))  # type: ignore[arg-type]

    assert found.slices == (3, 4, 5, 6, 7, 8)
    assert found.maps.shape == (6, 20, 64)
    assert found.maps.min() == 0.0
    assert found.maps.max() == 1.0
    assert (found.maps[:, :3, -8:] > 0.5).all()  # the top right corner of the region
    assert (found.maps[:, 12:] < 0.2).all()


def test_how_far_the_strongest_place_moves_the_log_odds_is_told_and_a_weak_map_is_called_so() -> None:
    clip = Clip(REGION, tuple(range(8)), torch.ones(8, 32, 32))

    blind = saliency_of(clip, lambda clips: torch.zeros(len(clips), 2))
    seeing = saliency_of(clip, lambda clips: torch.stack((0 * clips[:, 0, 0, 0], 3 * clips[:, 0, 0, 0]), dim=1))

    assert (blind.strongest, blind.maps.max(), blind.is_weak) == (0.0, 0.0, True)
    assert seeing.strongest == pytest.approx(3.0)
    assert not seeing.is_weak


def test_a_missing_library_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)

    with pytest.raises(ExplanationError, match=r'pip install "spinenode\[science\]"'):
        require_captum()
